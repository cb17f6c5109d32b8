"""The shipped checkpoints of the small model: small, in bf16, and as good as the stored gates say, by the harness's own agent."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from cof_eval.agent.engine import Engine
from cof_eval.agent.protocols import COF_MINI, DIRECT, Protocol
from cof_eval.agent.rollout import Subject, rollout
from cof_eval.agent.zoom import View
from cof_eval.benchmarks.synthetic.questions import DIRECT as COLOURS_ASKED
from cof_eval.benchmarks.synthetic.questions import SceneQuestion, make_questions
from cof_eval.benchmarks.synthetic.world import NATIVE, paint
from cof_eval.benchmarks.vstar_mini import question_text
from cof_eval.core.images import pixel_hash, resize
from cof_eval.core.records import ImageRef, Outcome, Question, Stop, Trajectory
from cof_eval.core.resolution import RESOLUTIONS, PixelLimits, shown_size
from cof_eval.engines import EngineSettings, open_engine
from cof_eval.judging.rules import score
from training.mini.gates import from_json, text

pytestmark = pytest.mark.slow

SHIPPED = Path(__file__).resolve().parents[3] / "results" / "reference" / "mini"
NAMES = ("base", "sft", "rl")
LIMITS = PixelLimits(28, 112 * 112, 3840 * 3840)


@pytest.mark.parametrize("name", NAMES)
def test_weights_are_small_and_in_bf16(name: str) -> None:
    from safetensors import safe_open

    file = SHIPPED / name / "model.safetensors"
    assert file.stat().st_size < 15_000_000
    with safe_open(file, "pt") as weights:
        assert {weights.get_slice(key).get_dtype() for key in weights.keys()} == {"BF16"}  # noqa: SIM118


def test_the_stored_page_shows_the_stored_figures() -> None:
    assert (SHIPPED / "gates.md").read_text() == text(from_json((SHIPPED / "gates.json").read_text()))


def large_targets(count: int) -> list[SceneQuestion]:
    """Colour questions about targets that are large at native size and small at 224."""
    asked = [one for one in make_questions(8 * count, seed="shipped") if one.category == COLOURS_ASKED]
    return [one for one in asked if 20 <= one.targets[0].side * NATIVE[0] <= 40][:count]


def answers(name: str, protocol: Protocol, asked: list[SceneQuestion], resolution: str) -> list[tuple[Trajectory, bool]]:
    """Trajectories about questions at a resolution, each with whether the rules call its answer right."""

    async def run() -> list[Trajectory]:
        engine: Engine = await open_engine("transformers", EngineSettings(pretrained=str(SHIPPED / name)), protocol)
        await engine.start()
        try:
            return list(
                await asyncio.gather(*(rollout(subject(i, one, resolution), engine, protocol) for i, one in enumerate(asked)))
            )
        finally:
            await engine.close()

    trajectories = asyncio.run(run())
    return [(t, score(t.answer, t.question).outcome is Outcome.CORRECT) for t in trajectories]


def subject(index: int, one: SceneQuestion, resolution: str) -> Subject:
    native = paint(one.scene)
    shown = resize(native, shown_size(NATIVE, RESOLUTIONS[resolution], LIMITS))
    boxes = tuple(target.corners(NATIVE[0]) for target in one.targets)
    question = Question(str(index), "vstar_mini", one.category, "", question_text(one), one.options, "ABCD"[one.right], boxes)
    image = ImageRef(pixel_hash(native), native.size)
    return Subject(
        question=question,
        image=image,
        view=View(shown, native.size, native),
        shown_hash=pixel_hash(shown),
        key=str(index),
        repeat=0,
    )


def test_the_base_reads_at_native_size_what_it_cannot_read_at_224() -> None:
    asked = large_targets(12)
    right = {
        resolution: sum(found for _, found in answers("base", DIRECT, asked, resolution)) for resolution in ("224", "native")
    }
    assert right["native"] >= 10
    assert right["224"] < right["native"]


def test_with_the_tool_it_zooms_to_the_plate_and_reads_what_the_base_cannot() -> None:
    asked = large_targets(12)
    found = answers("sft", COF_MINI, asked, "224")
    assert sum(holds_target(trajectory, one) for (trajectory, _), one in zip(found, asked, strict=True)) >= 9
    assert sum(right for _, right in found) > sum(right for _, right in answers("base", DIRECT, asked, "224"))


def holds_target(trajectory: Trajectory, one: SceneQuestion) -> bool:
    """Whether a crop shows the centre of the plate that is asked about."""
    plate = one.targets[0]
    x, y = plate.x * NATIVE[0], plate.y * NATIVE[0]
    boxes = [call.crop.native_box for call in trajectory.calls if call.crop]
    return any(x1 <= x <= x2 and y1 <= y <= y2 for x1, y1, x2, y2 in boxes)


def test_after_reinforcement_it_zooms_where_a_dot_is_too_small_and_answers_where_it_is_not() -> None:
    asked = large_targets(12)
    native, small = answers("rl", COF_MINI, asked, "native"), answers("rl", COF_MINI, asked, "224")
    assert all(t.stop is Stop.ANSWERED for t, _ in native)
    assert sum(right for _, right in native) >= 9
    assert sum(t.zooms > 0 for t, _ in small) >= 8
    assert sum(t.zooms > 0 for t, _ in native) <= 2
