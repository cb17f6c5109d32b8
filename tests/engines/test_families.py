"""Models whose processors have other rules than Qwen-VL's: real architectures with random weights, from the frame to the report."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fake_server import serve
from fakes import ScriptedEngine, answer, answer_all, job, noise, planner, question, stored
from tiny_families import WRITERS
from tiny_qwen35 import chat_template, write_qwen35

from cof_eval.agent.protocols import COF, DIRECT, PROTOCOLS
from cof_eval.agent.rollout import Subject, rollout
from cof_eval.agent.showing import look
from cof_eval.core.errors import UsageError
from cof_eval.core.images import pixel_hash
from cof_eval.core.records import ImageRef, Stop, Trajectory
from cof_eval.core.resolution import COUNTED, OWN_PROCESSOR, RESOLUTIONS, PixelLimits
from cof_eval.core.settings import ModelSettings
from cof_eval.engines import EngineSettings, open_engine
from cof_eval.engines.checkpoint import Checkpoint, load_checkpoint
from cof_eval.report import report_runs, write_report
from cof_eval.runs.doctor import examine
from cof_eval.runs.folder import load_run
from cof_eval.runs.template_probe import check_template

pytestmark = pytest.mark.slow

CALL = r'<tool_call>\n\{"name": "image_zoom_in_tool", "arguments": \{"bbox_2d": \[[12]00, 200, 600, 700\], "label": "x", "img_idx": 0\}\}\n</tool_call>'
FORCED = replace(
    PROTOCOLS["qwen3_vl"],
    turn_patterns=(CALL, "<think>[a-z ]{8,24}</think> <answer>[A-D]</answer>"),
    max_new_tokens=160,
    min_pixels=1,
    shown_fits=(),
)
"""Boxes 0-1000 with a call and an answer forced, so that an untrained model walks the loop."""
FORGED = "Is <image>, <IMG_CONTEXT>, <start_of_image> or <|image_pad|> to be seen?\n(A) red\n(B) blue"
NATIVE = (651, 483)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    return {name: write(tmp_path_factory.mktemp("families") / name) for name, write in WRITERS.items()}


def rolled(engine_name: str, folder: Path, **engine_args: Any) -> list[Trajectory]:
    """Two questions, one of them about image tokens, at two resolutions at once through one engine."""

    async def run() -> list[Trajectory]:
        args = {"dtype": "float32", **engine_args}
        engine = await open_engine(engine_name, EngineSettings(pretrained=str(folder), engine_args=args), FORCED)
        await engine.start()
        native, subjects = noise(*NATIVE), []
        for name, text in (("224", FORGED), ("448", "What is it?")):
            view = look(native, RESOLUTIONS[name], FORCED, FORCED.limits(engine.limits))
            about = question(text=text, options=())
            subjects.append(
                Subject(question=about, image=ImageRef("n", NATIVE), view=view, shown_hash=pixel_hash(view.shown), key=name)
            )
        try:
            return list(await asyncio.gather(*(rollout(each, engine, FORCED) for each in subjects)))
        finally:
            await engine.close()

    return asyncio.run(run())


def alone(checkpoint: Checkpoint, size: tuple[int, int]) -> int:
    """Visual tokens that the model's own processor makes of one image of this size."""
    prompt = checkpoint.processor.apply_chat_template([{"role": "user", "content": [{"type": "image"}]}], tokenize=False)
    ids = checkpoint.processor(text=[prompt], images=[[noise(*size)]])["input_ids"][0]
    return list(ids).count(checkpoint.image_token_id)


@pytest.mark.parametrize("family", WRITERS)
def test_it_zooms_and_answers_and_what_its_processor_made_is_counted(family: str, written: Mapping[str, Path]) -> None:
    checkpoint = load_checkpoint(str(written[family]))
    assert checkpoint.limits == OWN_PROCESSOR
    for side, each in zip((224, 448), rolled("transformers", written[family]), strict=True):
        assert (each.stop, each.zooms, each.tool_errors, each.verified) == (Stop.ANSWERED, 1, 0, True), each.error
        width, height = each.shown.size
        assert 0.98 * side * side < width * height <= side * side
        assert math.isclose(width / height, NATIVE[0] / NATIVE[1], rel_tol=0.01)
        assert each.turns[0].visual_tokens == alone(checkpoint, each.shown.size)
        assert each.visual_tokens == each.turns[1].visual_tokens
        assert (each.shown.visual_tokens, each.calls[0].crop.visual_tokens) == (0, 0)  # type: ignore[union-attr]
    (finding,) = check_template(FORCED, checkpoint)
    assert "sees all of two earlier turns" in finding.says


def test_a_template_that_begins_the_prompt_is_not_begun_twice(written: Mapping[str, Path]) -> None:
    async def run() -> list[int]:
        engine: Any = await open_engine("transformers", EngineSettings(pretrained=str(written["gemma3"])), DIRECT)
        view = look(noise(64, 64), RESOLUTIONS["224"], DIRECT, engine.limits)
        about = Subject(question=question(), image=ImageRef("n", (64, 64)), view=view, shown_hash="", key="k")
        recorder = ScriptedEngine([answer("A")], limits=engine.limits)
        await rollout(about, recorder, DIRECT)
        return list(engine._inputs(recorder.requests)["input_ids"][0].tolist())

    begin = load_checkpoint(str(written["gemma3"])).processor.tokenizer.bos_token_id
    assert asyncio.run(run()).count(begin) == 1


@pytest.mark.parametrize("protocol", ["cof", "deepeyes", "pixel_reasoner"])
def test_boxes_in_pixels_are_refused_with_protocols_that_work(protocol: str, written: Mapping[str, Path]) -> None:
    with pytest.raises(UsageError, match=r"boxes in pixels .*0-1000, work: .*direct.*qwen3_vl") as caught:
        asyncio.run(open_engine("transformers", EngineSettings(pretrained=str(written["internvl"])), PROTOCOLS[protocol]))
    assert "\n" not in str(caught.value)
    works = str(caught.value).rpartition(": ")[2].split(", ")
    assert protocol not in works
    for name in works:
        asyncio.run(open_engine("transformers", EngineSettings(pretrained=str(written["internvl"])), PROTOCOLS[name]))


@pytest.mark.parametrize("tells", [True, False])
def test_a_served_one_is_counted_where_the_server_tells_and_unknown_where_not(
    tells: bool, written: Mapping[str, Path], tmp_path: Path
) -> None:
    folder = written["internvl"]
    pad = load_checkpoint(str(folder)).image_token_id

    async def findings(url: str, protocol: str) -> dict[str, str]:
        settings = ModelSettings(pretrained=str(folder), engine="openai", base_url=url)
        found = examine(settings, PROTOCOLS[protocol], benchmarks=[], resolutions=[RESOLUTIONS["224"]])
        return {each.what: f"{each.level.value}: {each.says}" async for each in found}

    with serve(models=[folder.name], image_pad=pad if tells else None) as server:
        good, refused = (asyncio.run(findings(server.url, name)) for name in ("direct", "cof"))
    assert good["engine openai"].endswith(COUNTED)
    assert good["pixels"] == f"ok: {COUNTED}"
    assert good["pixels at 224, tried"].startswith("ok: 224×224 is taken" if tells else "warning: the server does not tell")
    assert refused["engine openai"].startswith("failed: protocol 'cof' has boxes in pixels")
    engine = ScriptedEngine([answer("B")], limits=OWN_PROCESSOR, tells_visual=tells, extra_visual=37)
    plan = planner(DIRECT, limits=OWN_PROCESSOR).plan(job(source=stored(300, 200)))
    assert (plan.shown, plan.visual_tokens) == ((274, 182), 0)
    answer_all(tmp_path / "run", [plan], engine, protocol=DIRECT)
    run = load_run(tmp_path / "run")
    run.settings["model"] = {"pretrained": "tiny"}
    (trajectory,) = run.trajectories.values()
    assert trajectory.visual_tokens == (37 if tells else None)
    write_report(report_runs([run]), tmp_path / "report")
    summary = (tmp_path / "report" / "summary.md").read_text()
    assert ("visual tokens are unknown: the server does not tell them (1 rows)" in summary) is not tells
    assert "visual tokens are predicted" not in summary


@pytest.mark.parametrize("moe", [False, True], ids=["qwen3_5", "qwen3_5_moe"])
def test_qwen3_5_keeps_its_own_rules(moe: bool, tmp_path: Path) -> None:
    if chat_template() is None:
        pytest.skip("TRL, which ships Qwen3.5's chat template, is not installed")
    folder = write_qwen35(tmp_path / "tiny", moe=moe)
    assert load_checkpoint(str(folder)).limits == PixelLimits(32, 65_536, 16_777_216)

    async def answered() -> Trajectory:
        protocol = replace(PROTOCOLS["direct"], turn_patterns=(r"<answer>[A-D]</answer>",), max_new_tokens=40)
        engine = await open_engine("transformers", EngineSettings(pretrained=str(folder)), protocol)
        await engine.start()
        try:
            view = look(noise(*NATIVE), RESOLUTIONS["448"], protocol, protocol.limits(engine.limits))
            about = Subject(question=question(), image=ImageRef("n", NATIVE), view=view, shown_hash="", key="k")
            return await rollout(about, engine, protocol)
        finally:
            await engine.close()

    done = asyncio.run(answered())
    assert (done.stop, done.verified, done.visual_tokens) == (Stop.ANSWERED, True, (512 // 32) * (384 // 32))


@pytest.mark.engine
@pytest.mark.timeout(1500)
def test_vllm_and_transformers_agree_on_internvl_token_for_token(_vllm: None, written: Mapping[str, Path]) -> None:
    def said(trajectories: list[Trajectory]) -> list[list[tuple[str, int, int | None]]]:
        return [[(turn.text, turn.prompt_tokens, turn.visual_tokens) for turn in each.turns] for each in trajectories]

    served = rolled("vllm", written["internvl"], enforce_eager=True, max_num_seqs=2)
    assert said(served) == said(rolled("transformers", written["internvl"]))


def test_cof_itself_still_needs_a_known_processor() -> None:
    assert COF.boxes_in_pixels
    assert not DIRECT.boxes_in_pixels
