"""Where the boxes of a recorded trajectory lie on its photograph: the box of a call, what a crop shows, the targets. Pure.

The only place that turns a recorded frame's name into a frame. The report, the viewer and the training data all ask here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from .geometry import Box, Frame
from .records import Call, Corners, Crop, Trajectory

_CROP = re.compile(r"crop\[(\d{1,6})\]")


def box_units(settings: Mapping[str, Any]) -> str:
    """The units of boxes that lie on an earlier crop, from run.yaml: its protocol's `frame`; empty if it does not tell."""
    protocol = settings.get("protocol")
    units = protocol.get("frame") if isinstance(protocol, Mapping) else None
    return units if isinstance(units, str) else ""


def asked_box(trajectory: Trajectory, call: Call, units: str = "") -> Box | None:
    """The box that a model asked for.

    Args:
        trajectory: the whole record.
        call: one of its calls.
        units: as of `box_units`. Older records hold the box only as it was given; on an earlier crop they do not tell its units.

    Returns:
        None if the box is unreadable or has no area, or if its frame is not known.
    """
    if call.native_box is not None:
        return _box(call.native_box, find_frame(trajectory, "native"))
    if call.box is None:
        return None
    if units == "unit_or_pixels":
        units = "shown" if max(call.box) > 1 else "unit"
    return _box(call.box, find_frame(trajectory, call.frame or "", units))


def find_frame(trajectory: Trajectory, name: str, units: str = "") -> Frame | None:
    """The frame of this name over a trajectory's photograph; None if there is none. `units` as for `asked_box`."""
    if (earlier := _CROP.fullmatch(name)) is not None:
        return _crop_frame(trajectory, int(earlier[1]), units)
    sizes = {"shown": trajectory.shown.size, "native": trajectory.image.size, "unit": (1, 1), "milli": (1000, 1000)}
    width, height = sizes.get(name, (0, 0))
    return Frame(name, width, height) if width > 0 and height > 0 else None


def crop_box(trajectory: Trajectory, crop: Crop) -> Box | None:
    """What a crop shows, px of the native image; None if its record has no area."""
    return _box(crop.native_box, find_frame(trajectory, "native"))


def target_boxes(trajectory: Trajectory) -> tuple[Box, ...]:
    """The annotated boxes inside the native image; those without an area there are excluded."""
    native = find_frame(trajectory, "native")
    boxes = (_box(corners, native) for corners in trajectory.question.boxes)
    return tuple(inside for box in boxes if box and (inside := box.clipped()))


def _crop_frame(trajectory: Trajectory, number: int, units: str) -> Frame | None:
    """The frame of the k-th executed call's crop, counted from 1; a withheld crop counts, but its region was not recorded."""
    executed = [call.crop for call in trajectory.calls if call.executed]
    crop = executed[number - 1] if 0 < number <= len(executed) else None
    region = crop_box(trajectory, crop) if crop else None
    if crop is None or region is None or not all(side > 0 for side in crop.size):
        return None
    pixels = Frame(f"crop[{number}]", *crop.size, region.to(Frame.unit()).corners)
    over = {"unit": Frame.unit(), "milli": Frame.milli(), "shown": pixels, "native": pixels}.get(units)
    return over.within(pixels) if over else None


def _box(corners: Corners, frame: Frame | None) -> Box | None:
    try:
        return Box(*corners, frame) if frame else None
    except ValueError:  # empty, inverted or not finite
        return None
