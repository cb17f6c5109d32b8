"""From the numbers of a box to whole pixels of the image that the crop is cut from. Pure.

Everything happens in pixels of the image that the box lies on, in the order of the released tools: pad, treat what reaches
outside, widen, grow what is too small, round to whole pixels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from ..core.geometry import Box, Frame
from ..core.records import Corners


class Outside(StrEnum):
    """What becomes of a box that reaches outside its image."""

    REFUSE = "refuse"
    CLIP = "clip"
    """It ends at the edge."""
    CLIP_LAST_PIXEL = "clip_last_pixel"
    """It ends one pixel before the right and the lower edge, even if it does not reach outside (Mini-o3)."""
    PAD = "pad"
    """What lies outside is black (DeepEyes' evaluation)."""


class Edges(StrEnum):
    """How a fractional edge becomes a whole pixel."""

    TRUNCATE = "truncate"
    """Down, after a millionth of a pixel is added against rounding errors of a conversion."""
    INT = "int"
    """Down, exactly as Python's `int` does it (Mini-o3)."""
    ROUND = "round"
    """To the nearest, halves to the even one, as Pillow crops (DeepEyes, Pixel-Reasoner, Qwen-Agent)."""


class SmallBox(StrEnum):
    """What becomes of a box whose region has a side of less than `min_side` pixels."""

    REFUSE = "refuse"
    GROW = "grow"
    """It grows about its centre, its aspect kept, until its short side has them."""
    GROW_WHOLE = "grow_whole"
    """The same in whole pixels, and only if both sides then have more (Qwen-Agent)."""


class FlatBox(StrEnum):
    """What becomes of a box without area."""

    REFUSE = "refuse"
    PAD = "pad"
    """Its padding may make it a good one: only then is it looked at (Pixel-Reasoner)."""


_ROUNDING = 1e-6
"""px; keeps a conversion's rounding error from truncating an edge to the pixel before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionRules:
    """How a box becomes a region."""

    outside: Outside = Outside.REFUSE
    flat: FlatBox = FlatBox.REFUSE
    widen: float = 1.0
    """The box grows by this factor about its centre."""
    pad: float = 0.0
    """The box grows on every side by this fraction of the image that it lies on."""
    min_side: int = 0
    """Smallest side of a region, px of the image that it is cut from."""
    small: SmallBox = SmallBox.REFUSE
    edges: Edges = Edges.TRUNCATE
    max_aspect: float = 0.0
    """Largest ratio of a region's sides; 0 for no limit."""


class RegionError(Exception):
    """A box that gives no region, with the text for the model."""

    def __init__(self, text: str, *, thin: bool = False) -> None:
        super().__init__(text)
        self.thin = thin
        """Whether the box is a good one that covers too little."""


@dataclass(frozen=True, slots=True)
class Region:
    """A part of an image: whole pixels, and the edges before rounding."""

    pixels: tuple[int, int, int, int]
    exact: Corners


def plain(numbers: tuple[float, ...]) -> str:
    """A box as the model reads it back."""
    return "[" + ", ".join(f"{n:g}" for n in numbers) + "]"


def find_region(numbers: Corners, frame: Frame, size: tuple[float, float], rules: RegionRules) -> Region:
    """The region of a box.

    Args:
        numbers: the box, in the frame's numbers.
        frame: over the image that the box lies on.
        size: (width, height) of that image, px of what is cut.
        rules: what is done on the way.

    Raises:
        RegionError: if nothing, or too little, of the image is inside.
    """
    _check_outside(numbers, frame, rules)
    before = rules.pad if rules.flat is FlatBox.PAD else 0.0
    box = _scaled(numbers, frame, size, before)
    if rules.outside in (Outside.CLIP, Outside.CLIP_LAST_PIXEL):
        inset = 1.0 if rules.outside is Outside.CLIP_LAST_PIXEL else 0.0
        box = _clipped(box, (size[0] - inset, size[1] - inset))
    if box[2] <= box[0] or box[3] <= box[1]:
        raise RegionError(f"Invalid bounding box: {plain(numbers)} is empty or inverted; expected x1 < x2 and y1 < y2.")
    box = _widened(box, rules.widen)
    if rules.flat is not FlatBox.PAD:
        box = _padded(box, size, rules.pad)
    if rules.outside is not Outside.PAD:
        box = _clipped(box, size)
    return _whole(_grown(box, size, rules), numbers, rules)


def _check_outside(numbers: Corners, frame: Frame, rules: RegionRules) -> None:
    x1, y1, x2, y2 = numbers
    inside = all(0 <= x <= frame.width for x in (x1, x2)) and all(0 <= y <= frame.height for y in (y1, y2))
    if rules.outside is Outside.REFUSE and not inside:
        raise RegionError(
            f"Invalid bounding box: {plain(numbers)} reaches outside the image; expected 0 <= x1 < x2 <= {frame.width:g} "
            f"and 0 <= y1 < y2 <= {frame.height:g}."
        )


def _scaled(numbers: Corners, frame: Frame, size: tuple[float, float], pad: float) -> Corners:
    """The box in pixels, padded as a fraction: divided first, multiplied then, as the released tools do it."""
    x1, y1, x2, y2 = numbers
    wide, high = size
    if not pad and (frame.width, frame.height) == size:
        return numbers
    left, top, right, bottom = x1 / frame.width - pad, y1 / frame.height - pad, x2 / frame.width + pad, y2 / frame.height + pad
    return left * wide, top * high, right * wide, bottom * high


def _padded(box: Corners, size: tuple[float, float], fraction: float) -> Corners:
    dx, dy = fraction * size[0], fraction * size[1]
    return box[0] - dx, box[1] - dy, box[2] + dx, box[3] + dy


def _widened(box: Corners, factor: float) -> Corners:
    if factor == 1:
        return box
    x1, y1, x2, y2 = box
    cx, cy = (x1 + x2) / 2, (y1 + y2) / 2
    half_w, half_h = (x2 - x1) * factor / 2, (y2 - y1) * factor / 2
    return cx - half_w, cy - half_h, cx + half_w, cy + half_h


def _clipped(box: Corners, size: tuple[float, float]) -> Corners:
    x1, y1, x2, y2 = box
    return max(0.0, x1), max(0.0, y1), min(size[0], x2), min(size[1], y2)


def _grown(box: Corners, size: tuple[float, float], rules: RegionRules) -> Corners:
    """A box too small for the rules, grown where they say so and as far as the image allows."""
    x1, y1, x2, y2 = box
    width, height = x2 - x1, y2 - y1
    short = min(width, height)
    if rules.small is SmallBox.REFUSE or short >= rules.min_side or short <= 0:
        return box
    factor = rules.min_side / short
    if rules.small is SmallBox.GROW:
        return _clipped(_widened(box, factor), size)
    cx, cy = (x1 + x2) / 2, (y1 + y2) / 2
    half_w, half_h = math.ceil(width * factor * 0.5), math.ceil(height * factor * 0.5)
    grown = math.floor(cx - half_w), math.floor(cy - half_h), math.ceil(cx + half_w), math.ceil(cy + half_h)
    left, top, right, bottom = _clipped(grown, size)
    return (left, top, right, bottom) if min(right - left, bottom - top) > rules.min_side else box


def _whole(box: Corners, numbers: Corners, rules: RegionRules) -> Region:
    x1, y1, x2, y2 = (_edge(v, rules.edges) for v in box)
    width, height = x2 - x1, y2 - y1
    empty = box[2] <= box[0] or box[3] <= box[1] or (min(width, height) < 1 and rules.outside is not Outside.PAD)
    if empty or min(width, height) < 0:
        raise RegionError(f"Invalid bounding box: {plain(numbers)} is too small; it covers less than one pixel.", thin=True)
    if min(width, height) < rules.min_side and rules.small is SmallBox.REFUSE:
        raise RegionError(
            f"Invalid bounding box: {plain(numbers)} is too small; it covers {width} x {height} pixels, at least "
            f"{rules.min_side} x {rules.min_side} are needed.",
            thin=True,
        )
    if rules.max_aspect and max(width, height) > rules.max_aspect * min(width, height):
        raise RegionError(
            f"Invalid bounding box: {plain(numbers)} is too thin; it covers {width} x {height} pixels, and one side may be at most "
            f"{rules.max_aspect:g} times the other.",
            thin=True,
        )
    return Region((x1, y1, x2, y2), box)


def _edge(value: float, edges: Edges) -> int:
    if edges is Edges.ROUND:
        return round(value)
    return int(value + _ROUNDING) if edges is Edges.TRUNCATE else int(value)


def as_box(region: Region, frame: Frame) -> Box:
    """The region as a box; where its edges round to nothing, the edges before rounding."""
    x1, y1, x2, y2 = region.pixels
    return Box(x1, y1, x2, y2, frame) if x1 < x2 and y1 < y2 else Box(*region.exact, frame)
