"""One trajectory as its page shows it: the record as it is, its verdict, where its boxes lie, and which pictures were kept."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ...core.frames import asked_box, crop_box, target_boxes
from ...core.geometry import Box, Frame
from ...core.records import Call, Corners, Trajectory, Verdict

_DIGITS = 5
"""Decimals of a fraction (0-1) of the image: a hundredth of a pixel in 1,000."""


@dataclass(frozen=True, slots=True)
class TrajectoryDetails:
    """What the trajectory page is made from."""

    trajectory: Trajectory
    verdict: Verdict | None
    boxes: tuple[tuple[Corners | None, ...], ...]
    """For each call of each turn, the box as fractions (0-1) of the image; None where it cannot be placed."""
    cuts: tuple[tuple[Corners | None, ...], ...]
    """Likewise, what the crop shows: the box widened, clipped and truncated to whole pixels."""
    targets: tuple[Corners, ...]
    """The annotated boxes as fractions (0-1) of the image."""
    pictures: dict[str, str]
    """File suffix of each picture that was kept, by content hash."""


class Pictures:
    """Which pictures a run folder keeps, found by listing it once."""

    def __init__(self, folder: Path) -> None:
        self._suffixes = {Path(name).stem: Path(name).suffix[1:] for name in _file_names(folder)}

    def kept(self, hashes: Iterable[str]) -> dict[str, str]:
        """File suffix by hash, of those that are there."""
        return {name: self._suffixes[name] for name in hashes if name in self._suffixes}


def _file_names(folder: Path) -> Iterator[str]:
    if not folder.is_dir():
        return
    for part in os.scandir(folder):
        if part.is_dir():
            yield from (entry.name for entry in os.scandir(part) if entry.name.endswith((".jpg", ".png")))


def details(trajectory: Trajectory, verdict: Verdict | None, pictures: Pictures, units: str = "") -> TrajectoryDetails:
    """What the page of one trajectory shows; `units` as of `frames.box_units`."""
    hashes = (trajectory.shown.hash, *(call.crop.hash for call in trajectory.calls if call.crop))
    return TrajectoryDetails(
        trajectory,
        verdict,
        boxes=tuple(tuple(_asked(trajectory, call, units) for call in turn.calls) for turn in trajectory.turns),
        cuts=tuple(tuple(_cut(trajectory, call) for call in turn.calls) for turn in trajectory.turns),
        targets=tuple(_rounded(box) for box in target_boxes(trajectory)),
        pictures=pictures.kept(hashes),
    )


def _asked(trajectory: Trajectory, call: Call, units: str) -> Corners | None:
    """Where the model asked to look; where that cannot be told, what it was given."""
    if call.box is None:
        return None
    box = asked_box(trajectory, call, units)
    return _rounded(box) if box else _cut(trajectory, call)


def _cut(trajectory: Trajectory, call: Call) -> Corners | None:
    box = crop_box(trajectory, call.crop) if call.crop else None
    return _rounded(box) if box else None


def _rounded(box: Box) -> Corners:
    x1, y1, x2, y2 = box.to(Frame.unit()).corners
    return round(x1, _DIGITS), round(y1, _DIGITS), round(x2, _DIGITS), round(y2, _DIGITS)
