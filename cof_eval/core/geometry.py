"""Boxes and the frames that their numbers are relative to: pure coordinate arithmetic.

A `Frame` says how wide and high its coordinate system is and which part of the native image it covers; a `Box` never
travels without its frame. Converting between frames of the same photograph is then exact arithmetic, whatever the
resize or crop in between.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

Region = tuple[float, float, float, float]
"""(left, top, right, bottom) as fractions (0-1) of the native image."""

WHOLE: Region = (0.0, 0.0, 1.0, 1.0)


@dataclass(frozen=True, slots=True)
class Frame:
    """A coordinate system over (a part of) the native image."""

    name: str
    """`shown`, `native`, `unit` (0-1), `milli` (0-1000) or `crop[k]`: the k-th crop of a conversation, counted from 1."""
    width: float
    """Largest x, in this frame's own units."""
    height: float
    """Largest y, in this frame's own units."""
    covers: Region = WHOLE
    """The part of the native image that this frame spans."""

    def __post_init__(self) -> None:
        left, top, right, bottom = self.covers
        if not (self.width > 0 and self.height > 0):
            raise ValueError(f"frame {self.name!r} is {self.width}x{self.height}; both sides must be positive")
        if not (left < right and top < bottom):
            raise ValueError(f"frame {self.name!r} covers the empty region {self.covers}")

    @classmethod
    def shown(cls, width: int, height: int) -> Frame:
        """Pixels of the image that the model is given first."""
        return cls("shown", width, height)

    @classmethod
    def native(cls, width: int, height: int) -> Frame:
        """Pixels of the file as stored (EXIF applied)."""
        return cls("native", width, height)

    @classmethod
    def unit(cls) -> Frame:
        """Fractions of the image, 0-1."""
        return cls("unit", 1, 1)

    @classmethod
    def milli(cls) -> Frame:
        """0-1000 of the width and height of the image."""
        return cls("milli", 1000, 1000)

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in whole units; pixels, where the frame is one of pixels."""
        return int(self.width), int(self.height)

    def within(self, part: Frame) -> Frame:
        """This frame laid over the part of the native image that another frame covers, and named after it.

        Fractions and numbers of 0-1000 become those of the part; pixels become the part's own pixels.
        """
        size = (self.width, self.height) if self.name in ("unit", "milli") else (part.width, part.height)
        return Frame(part.name, *size, part.covers)


@dataclass(frozen=True, slots=True)
class Box:
    """A non-empty rectangle in a frame; x2 and y2 are exclusive edges."""

    x1: float
    y1: float
    x2: float
    y2: float
    frame: Frame

    def __post_init__(self) -> None:
        if not all(math.isfinite(v) for v in self.corners):
            raise ValueError(f"box {self.corners} has coordinates that are not finite")
        if not (self.x1 < self.x2 and self.y1 < self.y2):
            raise ValueError(f"box {self.corners} is empty or inverted; expected x1 < x2 and y1 < y2")

    @property
    def corners(self) -> tuple[float, float, float, float]:
        """(x1, y1, x2, y2)."""
        return (self.x1, self.y1, self.x2, self.y2)

    @property
    def width(self) -> float:
        """Width in the frame's units."""
        return self.x2 - self.x1

    @property
    def height(self) -> float:
        """Height in the frame's units."""
        return self.y2 - self.y1

    @property
    def area(self) -> float:
        """Area in the frame's squared units."""
        return self.width * self.height

    def to(self, frame: Frame) -> Box:
        """The same region of the photograph, in another frame's numbers."""
        if frame == self.frame:
            return self
        here, there = self.frame, frame
        x = _axis(here.width, here.covers[0], here.covers[2], there.width, there.covers[0], there.covers[2])
        y = _axis(here.height, here.covers[1], here.covers[3], there.height, there.covers[1], there.covers[3])
        return Box(
            x[0] + self.x1 * x[1],
            y[0] + self.y1 * y[1],
            x[0] + self.x2 * x[1],
            y[0] + self.y2 * y[1],
            frame,
        )

    def widened(self, factor: float) -> Box:
        """Grown about its centre; may reach out of the frame."""
        cx, cy = (self.x1 + self.x2) / 2, (self.y1 + self.y2) / 2
        half_w, half_h = self.width * factor / 2, self.height * factor / 2
        return Box(cx - half_w, cy - half_h, cx + half_w, cy + half_h, self.frame)

    def padded(self, share: float) -> Box:
        """Grown on every side by a fraction of the frame's width and height; may reach out of the frame."""
        dx, dy = share * self.frame.width, share * self.frame.height
        return Box(self.x1 - dx, self.y1 - dy, self.x2 + dx, self.y2 + dy, self.frame)

    def clipped(self) -> Box | None:
        """The part inside the frame; None if there is none."""
        x1, y1 = max(0.0, self.x1), max(0.0, self.y1)
        x2, y2 = min(float(self.frame.width), self.x2), min(float(self.frame.height), self.y2)
        return Box(x1, y1, x2, y2, self.frame) if x1 < x2 and y1 < y2 else None

    def overlap(self, other: Box) -> float:
        """Area shared with `other`, in this box's frame."""
        o = other.to(self.frame)
        width = min(self.x2, o.x2) - max(self.x1, o.x1)
        height = min(self.y2, o.y2) - max(self.y1, o.y1)
        return max(0.0, width) * max(0.0, height)

    def coverage(self, target: Box) -> float:
        """Fraction (0-1) of `target` that lies inside this box."""
        return min(1.0, self.overlap(target) / target.to(self.frame).area)

    def iou(self, other: Box) -> float:
        """Intersection over union (0-1)."""
        shared = self.overlap(other)
        return min(1.0, shared / (self.area + other.to(self.frame).area - shared))


def _axis(size: float, low: float, high: float, new_size: float, new_low: float, new_high: float) -> tuple[float, float]:
    """(offset, scale) of one axis: new = offset + scale * old."""
    share = new_high - new_low
    return (low - new_low) * new_size / share, (high - low) * new_size / (size * share)
