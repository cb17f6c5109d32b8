from __future__ import annotations

import asyncio
import math
from dataclasses import replace
from pathlib import Path

import msgspec
import pandas as pd
import pytest
from fakes import LIMITS, ScriptedEngine, noise, subject

from cof_eval.agent.conversation import Conversation
from cof_eval.agent.protocols import PROTOCOLS, BoxFrame, Calls, Crops, Protocol
from cof_eval.agent.rollout import Subject, rollout
from cof_eval.agent.showing import look
from cof_eval.agent.view import View
from cof_eval.agent.zoom import ImageNaming
from cof_eval.core.frames import box_units, find_frame
from cof_eval.core.geometry import Box, Frame
from cof_eval.core.records import (
    Call,
    Crop,
    Finish,
    ImageRef,
    Outcome,
    Question,
    Row,
    ShownImage,
    Stop,
    Trajectory,
    Turn,
    Verdict,
)
from cof_eval.core.resolution import parse_resolution
from cof_eval.report.rows import tidy
from cof_eval.report.target_summary import target_summary
from cof_eval.report.viewer.details import Pictures, details
from cof_eval.runs.folder import RunData

NATIVE, SHOWN = (2000, 1000), (400, 200)
TARGET = (1000.0, 500.0, 1100.0, 600.0)
"""100 x 100 native pixels, 20 x 20 in the shown image."""
FAR = (100.0, 100.0, 200.0, 200.0)


def zoomed(*crops: Crop | None, boxes=(TARGET,), asked=(200.0, 100.0, 220.0, 120.0), frame: str = "shown") -> Trajectory:
    """A trajectory with a turn per crop (None: a refused call), all called with the same box."""
    question = Question("q", "vstar", "c", "image", "What?", ("a", "b"), "A", tuple(boxes))
    calls = [Call("{}", asked, frame, None if crop else "bad box", crop) for crop in crops]
    turns = [*(Turn("", Finish.STOP, 9, 0, 1, None, 0.0, (call,)) for call in calls), Turn("", Finish.STOP, 9, 0, 1, None, 0.0)]
    return Trajectory("k", question, ImageRef("n", NATIVE), "cof", ShownImage(SHOWN, 9, "s"), tuple(turns), "A", Stop.ANSWERED)


def crop(box, size=(400, 400)) -> Crop:
    return Crop("c", size, box)


def tables(trajectory: Trajectory, outcome: Outcome = Outcome.CORRECT, settings: dict | None = None):
    row = Row("t", 0, "q", "vstar", "448", 0, "k", 1)
    verdict = Verdict("v", "card", "", outcome, "rule:letter")
    return tidy(RunData(Path("run"), settings or {"label": "m"}, (row,), {"k": trajectory}, {"k": verdict}, 1))


def roll(engine: ScriptedEngine, protocol: Protocol, about: Subject) -> Trajectory:
    return asyncio.run(rollout(about, engine, protocol))


def facts(trajectory: Trajectory) -> dict:
    return tables(trajectory).rows.iloc[0].to_dict()


def calls(trajectory: Trajectory) -> list[dict]:
    return tables(trajectory).calls.to_dict("records")


def test_target_pixels_are_those_of_the_image_that_shows_them() -> None:
    row = facts(zoomed(crop((950, 450, 1150, 650), (800, 800))))
    assert row["target_px"] == pytest.approx(20 * 20)
    assert row["best_target_px"] == pytest.approx(400 * 400)  # a native 200 x 200 shown at 800 x 800: four times


def test_a_crop_is_measured_against_the_box() -> None:
    (call,) = calls(zoomed(crop((1050, 450, 1250, 650), (800, 800))))
    assert call["coverage"] == pytest.approx(0.5)
    assert call["target_px"] == pytest.approx(200 * 400)
    assert call["gain"] == pytest.approx(200)
    assert call["useful"] is True
    # the box as given is 200-220 x 100-120 of the shown image: exactly the target
    assert call["iou"] == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("frame", "box"),
    [("native", TARGET), ("unit", (0.5, 0.5, 0.55, 0.6)), ("milli", (500, 500, 550, 600)), ("shown", (200, 100, 220, 120))],
)
def test_the_given_box_is_read_in_its_own_frame(frame: str, box) -> None:
    assert calls(zoomed(crop(TARGET), asked=box, frame=frame))[0]["iou"] == pytest.approx(1.0)


def test_a_frame_that_is_not_known_leaves_iou_open() -> None:
    (call,) = calls(zoomed(crop(TARGET), frame="crop[2]"))
    assert pd.isna(call["iou"])
    assert call["coverage"] == 1.0


NESTED = [name for name, protocol in PROTOCOLS.items() if protocol.image_naming is not ImageNaming.NONE]

PIXELS = [name for name in NESTED if PROTOCOLS[name].frame in (BoxFrame.UNIT_OR_PIXELS, BoxFrame.BELOW_ONE_OR_PIXELS)]
TARGET_INSIDE = (224.0, 168.0, 392.0, 336.0)


def play(protocol: Protocol, *calls: str, target=TARGET_INSIDE, size=(1120, 784)) -> Trajectory:
    """What is recorded of a model that makes these calls on an image whose shown, loaded and native sizes differ."""
    about = begin(size, protocol)
    engine = ScriptedEngine([*calls, "<answer>B</answer>"], context=10**6)
    return roll(engine, protocol, replace(about, question=replace(about.question, boxes=(target,))))


def begin(size: tuple[int, int], protocol: Protocol) -> Subject:
    about = subject(560, 392, native=size)
    return replace(about, view=look(noise(*size), parse_resolution("native"), protocol, protocol.limits(LIMITS)))


def after(protocol: Protocol, call: str, size=(1120, 784)) -> View:
    """What a model can look at once it made this call."""
    about = begin(size, protocol)
    conversation = Conversation(protocol, protocol.limits(LIMITS), about.question, about.view)
    conversation.execute_calls(protocol.read(call).calls)
    return conversation.view


def in_numbers_of(protocol: Protocol, box: Box, view: View, part: Frame, *, pixels: bool) -> tuple[float, ...]:
    """A box of the photograph as a model of this protocol writes it on a part of it."""
    return box.to(part if pixels else protocol.box_frame(view).within(part)).corners


def check_nested(name: str, *, pixels: bool, recorded: bool) -> None:
    protocol, size = PROTOCOLS[name], (1120, 784)
    view = begin(size, protocol).view
    around, inside = Box(112, 112, 672, 504, view.native_frame), Box(*TARGET_INSIDE, view.native_frame)
    first = protocol.call_text(around.to(protocol.box_frame(view)).corners)
    second = in_numbers_of(protocol, inside, view, after(protocol, first).crops[0], pixels=pixels)
    result = play(protocol, first, protocol.call_text(second, 1))
    settings = {"label": "m", "protocol": msgspec.to_builtins(protocol)}
    result = result if recorded else as_older(result)
    call = tables(result, settings=settings).calls.to_dict("records")[1]
    assert (result.calls[1].frame, call["iou"]) == ("crop[1]", pytest.approx(1.0))
    drawn = details(result, None, Pictures(Path("nowhere")), box_units(settings)).boxes[1][0]
    assert drawn == pytest.approx(inside.to(Frame.unit()).corners, abs=1e-4)


def as_older(trajectory: Trajectory) -> Trajectory:
    """The record as it was before boxes were recorded in native pixels too."""
    turns = (replace(turn, calls=tuple(replace(call, native_box=None) for call in turn.calls)) for turn in trajectory.turns)
    return replace(trajectory, turns=tuple(turns))


def test_there_are_protocols_whose_calls_name_an_earlier_crop() -> None:
    assert {"mini_o3", "pixel_reasoner", "qwen3_vl"} <= set(NESTED)


@pytest.mark.parametrize(("name", "pixels"), [*((name, False) for name in NESTED), *((name, True) for name in PIXELS)])
def test_a_box_on_an_earlier_crop_that_is_the_target_has_an_iou_of_1(name: str, pixels: bool) -> None:
    check_nested(name, pixels=pixels, recorded=True)


@pytest.mark.parametrize("name", [name for name in NESTED if name not in PIXELS])
def test_so_it_has_in_an_older_record_whose_protocol_tells_the_units(name: str) -> None:
    check_nested(name, pixels=False, recorded=False)


def test_an_older_record_that_does_not_tell_its_units_says_nothing() -> None:
    protocol = PROTOCOLS["mini_o3"]
    result = play(protocol, protocol.call_text((0, 0, 0.5, 0.5)), protocol.call_text((0, 0, 1, 1), 1))
    assert pd.isna(tables(as_older(result)).calls["iou"][1])


@pytest.mark.parametrize("name", [name for name, protocol in PROTOCOLS.items() if protocol.zooms])
def test_a_box_that_is_the_target_has_an_iou_of_1_whatever_image_it_lies_on(name: str) -> None:
    protocol, size = (
        replace(PROTOCOLS[name], calls=Calls.TEXT),
        (1117, 783),
    )  # the processor, and the protocol before it, make other sizes of it
    view = begin(size, protocol).view
    target = Box(*TARGET_INSIDE, view.native_frame)
    result = play(protocol, protocol.call_text(target.to(protocol.box_frame(view)).corners), size=size)
    assert tables(result).calls["iou"][0] == pytest.approx(1.0)


def test_a_withheld_crop_counts_and_its_region_is_not_known() -> None:
    protocol = replace(PROTOCOLS["mini_o3"], crops=Crops.WITHHELD)
    result = play(protocol, protocol.call_text((0, 0, 0.5, 0.5)), protocol.call_text((0, 0, 1, 1), 1))
    assert [call.frame for call in result.calls] == ["unit", "crop[1]"]
    assert find_frame(result, "crop[1]", "unit") is None


def test_a_zoom_that_shows_the_target_no_larger_is_not_useful() -> None:
    assert calls(zoomed(crop((0, 0, 2000, 1000), SHOWN)))[0]["useful"] is False
    assert calls(zoomed(crop((0, 0, 2000, 1000), (800, 400))))[0]["useful"] is True


def test_the_first_useful_zoom_counts_executed_calls() -> None:
    row = facts(zoomed(None, crop(FAR), crop(TARGET), crop(TARGET)))
    assert (row["zooms"], row["tool_errors"], row["first_useful_zoom"], row["place"]) == (3, 1, 2, "target")
    refused, executed = calls(zoomed(None, crop(TARGET)))
    assert refused["error"] == "bad box"
    assert pd.isna(executed["error"])
    assert pd.isna(refused["zoom"])


def test_two_targets_seen_one_after_the_other_are_covered() -> None:
    row = facts(zoomed(crop(TARGET), crop(FAR), boxes=(TARGET, FAR)))
    assert (row["targets"], row["coverage"], row["first_useful_zoom"]) == (2, 1.0, 1)
    assert facts(zoomed(crop(TARGET), boxes=(TARGET, FAR)))["coverage"] == 0.5


def test_a_box_around_both_targets_fits_them() -> None:
    (call,) = calls(zoomed(crop((100, 100, 1100, 600)), boxes=(TARGET, FAR), asked=(20, 20, 220, 120)))
    assert call["iou"] == pytest.approx(1.0)


@pytest.mark.parametrize("boxes", [(), ((5, 5, 5, 9),), ((9, 9, 5, 5),), ((3000, 0, 3100, 50),)])
def test_without_a_box_inside_the_image_nothing_is_said_about_places(boxes) -> None:
    row = facts(zoomed(crop(FAR), boxes=boxes))
    assert row["targets"] == 0
    assert all(pd.isna(row[name]) for name in ("target_px", "coverage", "iou", "first_useful_zoom", "place"))


def test_right_answers_from_the_wrong_place_are_counted() -> None:
    elsewhere, there, unzoomed = (zoomed(crop(FAR)), zoomed(crop(TARGET)), zoomed())
    (line,) = target_summary(
        pd.concat([
            tables(elsewhere).rows, tables(elsewhere, Outcome.WRONG).rows, tables(there).rows.assign(cluster="b"),
            tables(unzoomed, Outcome.WRONG).rows,
        ], ignore_index=True)
    ).to_dict("records")  # fmt: skip
    assert (line["n"], line["zoomed"], line["found"]) == (4, 3, pytest.approx(1 / 3))
    assert (line["right_elsewhere"], line["wrong_elsewhere"], line["right_target"], line["wrong_not_zoomed"]) == (1, 1, 1, 1)
    assert (line["target_side"], line["best_target_side"]) == (pytest.approx(20), pytest.approx(0.0))
    assert 0 <= line["found_low"] < 1 / 3 < line["found_high"] <= 1


def test_unscored_rows_and_rows_without_boxes_have_no_place_in_it() -> None:
    rows = pd.concat([tables(zoomed(crop(TARGET)), Outcome.UNSCORED).rows, tables(zoomed(boxes=())).rows], ignore_index=True)
    assert target_summary(rows).empty


def test_never_zoomed_has_no_share_that_was_found() -> None:
    (line,) = target_summary(tables(zoomed()).rows).to_dict("records")
    assert line["zoomed"] == 0
    assert math.isnan(line["found"])
    assert math.isnan(line["found_low"])
