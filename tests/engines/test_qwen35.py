"""Qwen3.5: its real architecture and chat template, with random weights, in several turns with thoughts."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jinja2
import pytest
from fakes import noise, question
from real import serve_vllm
from tiny_qwen35 import chat_template, write_qwen35

from cof_eval.agent.protocols import PROTOCOLS
from cof_eval.agent.protocols.qwen3_5 import FUNCTION
from cof_eval.agent.rollout import Subject, rollout
from cof_eval.agent.showing import look
from cof_eval.core.images import pixel_hash
from cof_eval.core.records import ImageRef, Stop, Trajectory
from cof_eval.core.resolution import RESOLUTIONS
from cof_eval.engines import EngineSettings, open_engine
from cof_eval.engines.checkpoint import load_checkpoint
from cof_eval.runs.template_probe import check_template

_EDGE = "[1-9][0-9]"
CALL = (
    r"[a-z ]{8,24}\n</think>\n\n<tool_call>\n<function=image_zoom_in_tool>\n<parameter=bbox_2d>\n"
    rf"\[{_EDGE}, {_EDGE}, 4{_EDGE}, 4{_EDGE}\]\n</parameter>\n</function>\n</tool_call>"
)
ANSWER = r"[a-z ]{8,24}\n</think>\n\n<answer>[A-D]</answer>"
FORCED = replace(PROTOCOLS["qwen3_5"], turn_patterns=(CALL, CALL, ANSWER), max_new_tokens=256, context=16_384, max_images=6)
"""The protocol with two calls and an answer forced, so that an untrained model walks the loop."""


def template() -> str:
    text = chat_template()
    if text is None:
        pytest.skip("TRL, which ships Qwen3.5's chat template, is not installed")
    return text


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    template()
    return write_qwen35(tmp_path_factory.mktemp("tiny") / "tiny-qwen3.5")


def rolled(engine_name: str, folder: Path, base_url: str | None = None, **engine_args: Any) -> list[Trajectory]:
    """The same two questions through one engine."""

    async def run() -> list[Trajectory]:
        settings = EngineSettings(pretrained=str(folder), base_url=base_url, engine_args=engine_args)
        engine = await open_engine(engine_name, settings, FORCED)
        await engine.start()
        native = noise(640, 480)
        found = []
        try:
            for name in ("224", "448"):
                view = look(native, RESOLUTIONS[name], FORCED, FORCED.limits(engine.limits))
                about = Subject(
                    question=question(),
                    image=ImageRef("n", native.size),
                    view=view,
                    shown_hash=pixel_hash(view.shown),
                    key=name,
                )
                found.append(await rollout(about, engine, FORCED))
        finally:
            await engine.close()
        return found

    return asyncio.run(run())


def said(trajectories: list[Trajectory]) -> list[list[tuple[str, int, int | None]]]:
    return [[(turn.text, turn.prompt_tokens, turn.visual_tokens) for turn in each.turns] for each in trajectories]


def test_the_tools_stand_in_the_system_message_as_its_own_template_writes_them() -> None:
    environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True)
    environment.filters["tojson"] = lambda value: json.dumps(value, ensure_ascii=False)  # as transformers does
    source = environment.from_string(template())
    user = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What is it?"}]}
    theirs = source.render(messages=[user], tools=[{"type": "function", "function": FUNCTION}], add_generation_prompt=True)
    system = {"role": "system", "content": PROTOCOLS["qwen3_5"].system}
    assert source.render(messages=[system, user], add_generation_prompt=True) == theirs


@pytest.mark.slow
def test_it_walks_the_loop_with_its_thoughts(checkpoint: Path) -> None:
    trajectories = rolled("transformers", checkpoint, dtype="float32")
    for each in trajectories:
        assert (each.stop, each.zooms, each.tool_errors, len(each.turns)) == (Stop.ANSWERED, 2, 0, 3)
        assert each.answer in "ABCD"
        assert all("</think>" in turn.text and "<think>" not in turn.text for turn in each.turns)
    (finding,) = check_template(FORCED, load_checkpoint(str(checkpoint)))
    assert "sees all of two earlier turns" in finding.says


@pytest.mark.engine
@pytest.mark.timeout(1500)
def test_all_engines_agree_token_for_token(_vllm: None, checkpoint: Path, tmp_path: Path) -> None:
    """In bfloat16: vLLM's linear attention on a CPU knows no other type."""
    expected = said(rolled("transformers", checkpoint, dtype="bfloat16"))
    assert said(rolled("vllm", checkpoint, dtype="bfloat16", enforce_eager=True, max_num_seqs=2)) == expected
    with serve_vllm(checkpoint, tmp_path, dtype="bfloat16") as (url, _):
        assert said(rolled("openai", checkpoint, url)) == expected
