"""What a model looked at: each call against the annotated boxes, and what that says about the trajectory.

A target is one annotated box, clipped to the native image. `pixels` of targets in an image are the pixels that it is shown
with, so a crop that was enlarged shows more of them than it was cut from.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import pandas as pd

from ..core.frames import asked_box, crop_box, target_boxes
from ..core.geometry import Box

if TYPE_CHECKING:
    from ..core.records import Call, Crop, Trajectory

USEFUL = 0.5
"""Least fraction of some target that a crop must hold, shown larger than before, for its zoom to be useful."""

CALL_COLUMNS = {
    "run": "object",
    "trajectory": "object",
    "turn": "Int64",
    "call": "Int64",
    "zoom": "Int64",
    "error": "object",
    "instead": "object",
    "crop": "object",
    "crop_width": "Int64",
    "crop_height": "Int64",
    "x1": "float64",
    "y1": "float64",
    "x2": "float64",
    "y2": "float64",
    "target_px": "float64",
    "gain": "float64",
    "coverage": "float64",
    "iou": "float64",
    "useful": "boolean",
}
"""Columns of the calls table, a row per call. `zoom` counts the executed calls of a trajectory from 1; `x1` to `y2` are what the
crop shows, px of the native image; `target_px` are the targets' pixels in it, `gain` that over their pixels in the shown image;
`coverage` is the fraction of the best covered target inside the crop, `iou` of the box as the model gave it with the best
fitting target, or with all of them together. Without annotated boxes the last five are empty."""


class Place(StrEnum):
    """Where a trajectory looked, as far as boxes say."""

    NOT_ZOOMED = "not zoomed"
    TARGET = "target"
    """Some zoom was useful."""
    ELSEWHERE = "elsewhere"


def trajectory_targets(trajectory: Trajectory, calls: list[dict[str, Any]]) -> dict[str, Any]:
    """The process columns of a row, from its trajectory and that one's rows of the calls table."""
    boxes = target_boxes(trajectory)
    zooms = [call for call in calls if call["zoom"] is not None]
    if not boxes:
        return {"targets": 0}
    useful = [call["zoom"] for call in zooms if call.get("useful")]
    crops = [crop_box(trajectory, call.crop) for call in trajectory.calls if call.crop]
    covered = [max((crop.coverage(box) for crop in crops if crop), default=0.0) for box in boxes]
    place = Place.NOT_ZOOMED if not zooms else Place.TARGET if useful else Place.ELSEWHERE
    return {
        "targets": len(boxes),
        "target_px": _shown_pixels(trajectory, boxes),
        "best_target_px": max((call["target_px"] for call in zooms if "target_px" in call), default=None),
        "coverage": sum(covered) / len(covered) if zooms else None,
        "iou": max((call["iou"] for call in zooms if call.get("iou") is not None), default=None),
        "first_useful_zoom": useful[0] if useful else None,
        "place": place.value,
    }


def trajectory_calls(trajectory: Trajectory, units: str) -> Iterator[dict[str, Any]]:
    """A row of the calls table for every call of a trajectory; `units` as of `frames.box_units`."""
    boxes = target_boxes(trajectory) if trajectory.calls else ()
    before, zoom = _shown_pixels(trajectory, boxes), 0
    for number, turn in enumerate(trajectory.turns, 1):
        for place, call in enumerate(turn.calls, 1):
            zoom += call.executed
            row = {"trajectory": trajectory.key, "turn": number, "call": place, "error": call.error, "zoom": None}
            if call.executed:
                row |= {"zoom": zoom, "instead": call.instead}
            if call.crop:
                row |= {**_crop_facts(call.crop), **_aim(trajectory, call, call.crop, boxes, before, units)}
            yield row


def calls_table(calls: Mapping[str, list[dict[str, Any]]], label: str) -> pd.DataFrame:
    """One row per call of a run's trajectories, with the columns `CALL_COLUMNS`."""
    records = [row for rows in calls.values() for row in rows]
    return pd.DataFrame(records, columns=list(CALL_COLUMNS)).assign(run=label).astype(CALL_COLUMNS)


def _crop_facts(crop: Crop) -> dict[str, Any]:
    x1, y1, x2, y2 = crop.native_box
    return {"crop": crop.hash, "crop_width": crop.size[0], "crop_height": crop.size[1], "x1": x1, "y1": y1, "x2": x2, "y2": y2}


def _aim(trajectory: Trajectory, call: Call, crop: Crop, boxes: tuple[Box, ...], before: float, units: str) -> dict[str, Any]:
    """How well a crop holds the targets; empty where there are none."""
    region = crop_box(trajectory, crop)
    if not boxes or region is None:
        return {"iou": None, "useful": None}
    scale = crop.size[0] * crop.size[1] / region.area
    pixels = scale * sum(region.overlap(box) for box in boxes)
    coverage = max(region.coverage(box) for box in boxes)
    asked = asked_box(trajectory, call, units)
    whole = Box(*_hull(boxes), boxes[0].frame)
    return {
        "target_px": pixels,
        "gain": pixels / before if before else None,
        "coverage": coverage,
        "iou": max(asked.iou(box) for box in {*boxes, whole}) if asked else None,
        "useful": coverage >= USEFUL and scale > before / sum(box.area for box in boxes),
    }


def _shown_pixels(trajectory: Trajectory, boxes: tuple[Box, ...]) -> float:
    """Pixels of the targets in the shown image."""
    if not boxes:
        return 0.0
    (width, height), (shown_width, shown_height) = trajectory.image.size, trajectory.shown.size
    return sum(box.area for box in boxes) * shown_width * shown_height / (width * height)


def _hull(boxes: tuple[Box, ...]) -> tuple[float, float, float, float]:
    return (
        min(box.x1 for box in boxes),
        min(box.y1 for box in boxes),
        max(box.x2 for box in boxes),
        max(box.y2 for box in boxes),
    )
