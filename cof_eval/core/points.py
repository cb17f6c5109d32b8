"""Points as they are recorded: in pixels of the native image, written in one way. Pure."""

from __future__ import annotations

import re

_WRITTEN = re.compile(r"\[(-?\d{1,9}(?:\.\d{1,2})?), (-?\d{1,9}(?:\.\d{1,2})?)\]")


def write_point(x: float, y: float) -> str:
    """A point in px of the native image, to a hundredth of a pixel."""
    return f"[{round(x, 2):.10g}, {round(y, 2):.10g}]"


def read_point(text: str) -> tuple[float, float] | None:
    """(x, y) of a point as `write_point` writes it; None for any other text."""
    match = _WRITTEN.fullmatch(text)
    return (float(match[1]), float(match[2])) if match else None
