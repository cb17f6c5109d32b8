"""Answers that are points: how they are asked for, read in every way of writing them, recorded in native pixels, and ruled on."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from fakes import ScriptedEngine, ScriptedJudgeClient, answer, call, noise, question
from hypothesis import given
from hypothesis import strategies as st

from cof_eval.agent.protocols import PROTOCOLS, BoxFrame, Protocol
from cof_eval.agent.reply.points import native_point, read_values
from cof_eval.agent.rollout import Subject, rollout
from cof_eval.agent.view import View
from cof_eval.core.geometry import Frame
from cof_eval.core.points import read_point, write_point
from cof_eval.core.records import AnswerKind, ImageRef, Outcome, Trajectory
from cof_eval.judging import Judge, load_card
from cof_eval.judging.rules import score

BOX = (400.0, 300.0, 480.0, 360.0)
ABOUT = question(
    benchmark="screenspot_pro",
    text="Find the element for this instruction: save the file",
    options=(),
    answer="[400, 300, 480, 360]",
    boxes=(BOX,),
    kind=AnswerKind.POINT,
)
NATIVE, SHOWN = (1120, 840), (560, 420)


@pytest.mark.parametrize(
    ("text", "point"),
    [
        ("[440, 330]", (440, 330)),
        ("(440, 330)", (440, 330)),
        ("[[440, 330]]", (440, 330)),
        ("440, 330", (440, 330)),
        ("440 330", (440, 330)),
        ("Point: 440, 330.", (440, 330)),
        ("The save button is at (440, 330).", (440, 330)),
        ("I click button 3 at [440, 330]", (440, 330)),
        ('{"point_2d": [440, 330], "label": "save 2"}', (440, 330)),
        ('```json\n[{"point_2d": [440, 330], "label": "save"}]\n```', (440, 330)),
        ('{"x": 440, "y": 330}', (440, 330)),
        ('<point x="440" y="330" alt="save">save</point>', (440, 330)),
        ("<point>440 330</point>", (440, 330)),
        ("pyautogui.click(x=440, y=330)", (440, 330)),
        ("click(start_box='(440,330)')", (440, 330)),
        ("[400, 300, 480, 360]", (440, 330)),
        ('{"bbox_2d": [400, 300, 480, 360]}', (440, 330)),
        ("<|box_start|>(400,300),(480,360)<|box_end|>", (440, 330)),
        ("<|box_start|>(440,330)<|box_end|>", (440, 330)),
        ("[440, 330], that is [440, 330]", (440, 330)),
        ("[-3, 330.5]", (-3, 330.5)),
        ("", None),
        ("no point", None),
        ("I cannot see such an element.", None),
        ("[440]", None),
        ("[440, 330, 2]", None),
        ("[440, 330] or [10, 20]", None),
        ("There are 2 buttons and 3 menus", None),
        ("[nan, 1]", None),
        ("[1e999, 1]", None),
        ("[99999999999999999999, 1]", None),
        ("[" * 3000, None),
        ("[440, 330]" + " " * 5000, None),
    ],
)
def test_points_are_read_in_every_way_of_writing_one_and_several_are_none(text: str, point: tuple[float, float] | None) -> None:
    found = read_values(text)
    assert (found and found[0]) == point
    assert not (found and found[1])


@pytest.mark.parametrize(
    ("text", "point"), [("[0.5, 0.25]", (0.5, 0.25)), ("50%, 25%", (0.5, 0.25)), ("(0.4, 0.2, 0.6, 0.3)", (0.5, 0.25))]
)
def test_fractions_are_fractions_in_any_frame(text: str, point: tuple[float, float]) -> None:
    assert read_values(text) == (pytest.approx(point), True)
    assert native_point(text, Frame.milli(), Frame.native(1000, 400)) == "[500, 100]"


@given(st.text(max_size=200) | st.from_regex(r"[\[(0-9,. %xy=:<>|\])]{0,80}"))
def test_no_text_breaks_the_reader_and_what_it_writes_it_reads_back(text: str) -> None:
    recorded = native_point(text, Frame.milli(), Frame.native(3000, 2000))
    assert recorded == text or read_point(recorded) is not None
    assert score(recorded, ABOUT).outcome in (Outcome.CORRECT, Outcome.WRONG)


@pytest.mark.parametrize("value", [0.0, -0.001, 1234.567, 1e8, 12345678.99])
def test_a_written_point_is_read_back_to_a_hundredth(value: float) -> None:
    assert read_point(write_point(value, 1)) == (pytest.approx(value, abs=0.05), 1)


def rolled(protocol: Protocol, *said: str) -> tuple[Trajectory, str]:
    """The trajectory of the question under a protocol, and what was asked."""
    native = noise(*NATIVE)
    view = View(native.resize(SHOWN), NATIVE, native)
    engine = ScriptedEngine(list(said))
    about = Subject(question=ABOUT, image=ImageRef("native", NATIVE), view=view, shown_hash="", key="k")
    ended = asyncio.run(rollout(about, engine, protocol))
    return ended, "".join(
        part.text for message in engine.requests[0].messages for part in message.parts if hasattr(part, "text")
    )


WRITTEN = {
    BoxFrame.SHOWN: ("[220, 165]", "in pixels of the image, which is 560 pixels wide and 420 pixels high"),
    BoxFrame.NATIVE: ("[440, 330]", "1120 pixels wide and 840 pixels high"),
    BoxFrame.UNIT: ("[0.392857, 0.392857]", "fractions"),
    BoxFrame.UNIT_OR_PIXELS: ("[220, 165]", "fractions"),
    BoxFrame.BELOW_ONE_OR_PIXELS: ("[0.392857, 0.392857]", "fractions"),
    BoxFrame.MILLI: ("[392.857, 392.857]", "from 0 to 1000"),
}


@pytest.mark.parametrize("frame", BoxFrame)
def test_the_point_is_asked_for_in_the_protocols_frame_and_recorded_in_native_pixels(frame: BoxFrame) -> None:
    said, asked = WRITTEN[frame]
    ended, prompt = rolled(replace(PROTOCOLS["cof"], frame=frame), answer(said))
    assert asked in prompt
    assert read_point(ended.answer) == pytest.approx((440, 330), abs=0.02)
    assert score(ended.answer, ABOUT).outcome is Outcome.CORRECT


def test_after_a_zoom_the_point_is_still_one_of_the_first_image() -> None:
    ended, _ = rolled(PROTOCOLS["cof"], call(100, 100, 400, 300), answer("[220, 165]"))
    assert (ended.zooms, ended.answer) == (1, "[440, 330]")


@pytest.mark.parametrize(
    ("said", "outcome", "rule"),
    [
        ("[440, 330]", Outcome.CORRECT, "point_inside"),
        ("[400, 300]", Outcome.CORRECT, "point_inside"),
        ("[480, 360]", Outcome.CORRECT, "point_inside"),
        ("[399.99, 330]", Outcome.WRONG, "point_outside"),
        ("[4000, 330]", Outcome.WRONG, "point_outside"),
        ("no point", Outcome.WRONG, "no_point"),
        ("x" * 9000, Outcome.WRONG, "no_point"),
    ],
)
@pytest.mark.parametrize("card", ["equivalence", "cof_released"])
def test_rules_alone_decide_whatever_the_card_says(said: str, outcome: Outcome, rule: str, card: str) -> None:
    client = ScriptedJudgeClient(lambda prompt: "0" if outcome is Outcome.CORRECT else "1")
    verdict = asyncio.run(Judge(load_card(card), client).judge_answer(ABOUT, said))
    assert (verdict.verdict, verdict.by) == (outcome, f"rule:{rule}")
    assert not client.prompts


@pytest.mark.parametrize("changes", [{"boxes": ()}, {"options": ("a", "b"), "answer": "A"}])
def test_a_question_for_a_point_needs_a_box_and_has_no_options(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="asks for a point"):
        replace(ABOUT, **changes)  # type: ignore[arg-type]


def test_an_unanswered_question_for_a_point_is_no_error() -> None:
    assert score("[1, 2]", replace(ABOUT, answer="")).outcome is None
