"""The protocols of `examples/protocols`: each loads, walks the loop in its own syntax, and shows what it points at."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from fakes import LIMITS, ScriptedEngine, answer, noise, question

from cof_eval.agent.engine import TextPart
from cof_eval.agent.protocols import Protocol, parse_protocol
from cof_eval.agent.rollout import Subject, rollout
from cof_eval.agent.showing import look
from cof_eval.core.images import pixel_hash
from cof_eval.core.records import ImageRef, Stop, Trajectory
from cof_eval.core.resolution import NATIVE, RESOLUTIONS
from cof_eval.runs.finding import Level
from cof_eval.runs.selftest import selftest

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "protocols"
EXAMPLES = sorted(FOLDER.glob("*.yaml"))


def roll(protocol: Protocol, *replies: str) -> tuple[Trajectory, ScriptedEngine]:
    native = noise(1120, 784)
    view = look(native, NATIVE, protocol, protocol.limits(LIMITS))
    about = Subject(
        question=question(), image=ImageRef("n", native.size), view=view, shown_hash=pixel_hash(view.shown), key="k"
    )
    engine = ScriptedEngine(replies, context=1 << 20)
    return asyncio.run(rollout(about, engine, protocol)), engine


def test_there_is_an_example_for_each_family_that_the_documentation_names() -> None:
    assert {path.stem for path in EXAMPLES} >= {"sensenova_mars", "med", "adaptvision", "visionthink", "glm_4_6v"}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_zooms_in_its_own_syntax_and_shows_what_it_points_at(path: Path) -> None:
    protocol = parse_protocol(str(path))
    assert protocol.name == path.stem
    assert [finding.level for finding in selftest(protocol, LIMITS, [RESOLUTIONS["448"]])] == [Level.OK]
    width, height = 1000, 1000
    if protocol.frame.value == "unit":
        width = height = 1
    elif protocol.frame.value == "shown":
        width, height = 560, 392
    call = protocol.call_text((width / 4, height / 4, width / 2, height / 2))
    result, _ = roll(protocol, f"<think>look</think> {call}", answer("B"))
    assert (result.stop, result.answer, result.zooms, result.tool_errors) == (Stop.ANSWERED, "B", 1, 0)


def test_visionthink_is_shown_a_quarter_and_gets_the_whole_image_on_request() -> None:
    protocol = parse_protocol(str(FOLDER / "visionthink.yaml"))
    result, engine = roll(protocol, protocol.call_text((0, 0, 1, 1)), answer("B"))
    assert [image.image.size for image in engine.requests[-1].images] == [(560, 392), (1120, 784)]
    assert result.calls[0].crop is not None
    assert result.calls[0].crop.native_box == (0, 0, 1120, 784)
    asked_wrongly, engine = roll(protocol, '<tool_call>{"name": "resize_image", "arguments": {}}</tool_call>', answer("B"))
    assert asked_wrongly.tool_errors == 1
    assert isinstance(engine.requests[-1].messages[-1].parts[0], TextPart)


def test_adaptvision_points_at_the_small_image_and_gets_a_crop_of_the_native_one() -> None:
    protocol = parse_protocol(str(FOLDER / "adaptvision.yaml"))
    result, engine = roll(protocol, protocol.call_text((140, 98, 280, 196)), answer("B"))
    assert engine.requests[0].images[0].image.size == (560, 392)
    assert [call.crop and call.crop.native_box for call in result.calls] == [(280, 196, 560, 392)]
