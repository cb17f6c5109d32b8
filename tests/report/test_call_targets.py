from __future__ import annotations

import math

import pandas as pd
import pytest

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
from cof_eval.report.rows import tidy
from cof_eval.report.target_summary import target_summary
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


def tables(trajectory: Trajectory, outcome: Outcome = Outcome.CORRECT):
    from pathlib import Path

    row = Row("t", 0, "q", "vstar", "448", 0, "k", 1)
    verdict = Verdict("v", "card", "", outcome, "rule:letter")
    return tidy(RunData(Path("run"), {"label": "m"}, (row,), {"k": trajectory}, {"k": verdict}, 1))


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
