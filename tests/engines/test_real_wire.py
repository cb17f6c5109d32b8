"""Real vLLM servers take every lossless format of images alike, and a vLLM in process runs copies of a model."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from fakes import noise, subject
from real import ENGINE_ARGS, Served

from cof_eval.agent.protocols import COF_FORCED
from cof_eval.agent.rollout import rollout
from cof_eval.core.records import Stop, Trajectory
from cof_eval.engines import EngineSettings, open_engine

pytestmark = [pytest.mark.engine, pytest.mark.timeout(1500)]


def rolled(name: str, count: int, **settings: Any) -> tuple[list[Trajectory], Any, int]:
    """(trajectories of some questions at once, what the engine tells of its servers, its engine processes)."""

    async def run() -> tuple[list[Trajectory], Any, int]:
        engine: Any = await open_engine(name, EngineSettings(**settings), COF_FORCED)
        await engine.start()
        try:
            asked = (subject(252 + 28 * n, 196, key=str(n)) for n in range(count))
            found = list(await asyncio.gather(*(rollout(each, engine, COF_FORCED) for each in asked)))
            core = getattr(getattr(engine, "_llm", None), "engine_core", None)
            return found, getattr(engine, "facts", None), len(getattr(core, "core_engines", ()))
        finally:
            await engine.close()

    return asyncio.run(run())


def said(trajectories: list[Trajectory]) -> list[list[tuple[str, int, int | None]]]:
    return [[(turn.text, turn.prompt_tokens, turn.visual_tokens) for turn in each.turns] for each in trajectories]


def test_what_arrives_as_bmp_is_what_arrives_as_png(served: Served) -> None:
    given = {"pretrained": str(served.checkpoint), "base_url": served.url}
    nearby, facts, _ = rolled("openai", 3, **given)
    plain, plain_facts, _ = rolled("openai", 3, **given, engine_args={"image_format": "png"})
    assert [told["images"] for told in (*facts["asked"].values(), *plain_facts["asked"].values())] == ["bmp", "png"]
    assert {each.stop for each in nearby} == {Stop.ANSWERED}
    assert all(each.verified for each in nearby)
    assert said(nearby) == said(plain)


@pytest.mark.parametrize("kind", ["BMP", "PNG", "TIFF"])
def test_vllm_reads_what_pillow_reads(served: Served, kind: str) -> None:
    buffer = io.BytesIO()
    noise(85, 57).save(buffer, kind)
    url = f"data:image/{kind.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"
    parts = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": "What is it?"}]
    body = {"model": "tiny", "max_tokens": 8, "temperature": 0, "messages": [{"role": "user", "content": parts}]}
    asked = urllib.request.Request(
        f"{served.url}/chat/completions", json.dumps(body).encode(), {"content-type": "application/json"}
    )
    with urllib.request.urlopen(asked, timeout=300) as reply:
        assert json.load(reply)["usage"]["prompt_tokens"] > 6


def test_two_copies_in_process_give_what_one_model_gives(tiny: Path) -> None:
    copies, _, processes = rolled("vllm", 6, pretrained=str(tiny), engine_args={**ENGINE_ARGS, "data_parallel_size": 2})
    assert processes == 2
    assert {each.stop for each in copies} == {Stop.ANSWERED}
    alone, _, _ = rolled("transformers", 6, pretrained=str(tiny), engine_args={"dtype": "float32"})
    assert said(copies) == said(alone)
