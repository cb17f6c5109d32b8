"""One trajectory as its page shows it: the record as it is, its verdict, where its boxes lie, and which pictures were kept."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ...core.geometry import Box, Frame
from ...core.records import Call, Corners, Trajectory, Verdict

_DIGITS = 5
"""Decimals of a share (0-1) of the image: a hundredth of a pixel in 1,000."""


@dataclass(frozen=True, slots=True)
class TrajectoryDetails:
    """What the trajectory page is made from."""

    trajectory: Trajectory
    verdict: Verdict | None
    boxes: tuple[tuple[Corners | None, ...], ...]
    """For each call of each turn, the box as shares (0-1) of the image; None where it cannot be placed."""
    cuts: tuple[tuple[Corners | None, ...], ...]
    """Likewise, what the crop shows: the box widened, clipped and truncated to whole pixels."""
    targets: tuple[Corners, ...]
    """The annotated boxes as shares (0-1) of the image."""
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


def details(trajectory: Trajectory, verdict: Verdict | None, pictures: Pictures) -> TrajectoryDetails:
    """What the page of one trajectory shows."""
    native = _frame("native", trajectory)
    hashes = (trajectory.shown.hash, *(call.crop.hash for call in trajectory.calls if call.crop))
    shares = (_share(box, native) for box in trajectory.question.boxes)
    return TrajectoryDetails(
        trajectory,
        verdict,
        boxes=tuple(tuple(_called(call, trajectory) for call in turn.calls) for turn in trajectory.turns),
        cuts=tuple(
            tuple(_share(call.crop.native_box, native) if call.crop else None for call in turn.calls)
            for turn in trajectory.turns
        ),
        targets=tuple(share for share in shares if share),
        pictures=pictures.kept(hashes),
    )


def _called(call: Call, trajectory: Trajectory) -> Corners | None:
    """Where the model asked to look; where its frame is unknown here, what it was given."""
    if call.box is None:
        return None
    frame = _frame(call.frame or "", trajectory)
    if frame is None and call.crop:
        return _share(call.crop.native_box, _frame("native", trajectory))
    return _share(call.box, frame)


def _frame(name: str, trajectory: Trajectory) -> Frame | None:
    """The frame of this name over this trajectory's image; None if there is no such frame or no image."""
    sizes = {"shown": trajectory.shown.size, "native": trajectory.image.size, "unit": (1, 1), "milli": (1000, 1000)}
    width, height = sizes.get(name, (0, 0))
    return Frame(name, width, height) if width > 0 and height > 0 else None


def _share(corners: Corners, frame: Frame | None) -> Corners | None:
    if frame is None:
        return None
    try:
        x1, y1, x2, y2 = Box(*corners, frame).to(Frame.unit()).corners
    except ValueError:  # empty, inverted or not finite: there is nothing to draw
        return None
    return round(x1, _DIGITS), round(y1, _DIGITS), round(x2, _DIGITS), round(y2, _DIGITS)
