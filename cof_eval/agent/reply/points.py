"""Answers that are points: how a model is asked for one, and how its words are read. Pure.

The point is in the frame of the protocol's boxes on the first image, so that a checkpoint points as it zooms. A reply may write it
in many ways; a box stands for its centre. Several different points are none: nobody knows which one is meant.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from ...core.geometry import Frame
from ...core.points import write_point

_NUMBER = r"[-+]?\d{1,9}(?:\.\d{1,9})?(?:\s*+%)?"  # white space is matched in one way only: two ways would multiply
_BETWEEN = r"\s*[,;]\s*|\s+"
_NAMED = re.compile(
    rf"[\"']?\bx[\"']?\s*[:=]\s*[\"']?({_NUMBER})[\"']?\s*+[,;]?\s*+[\"']?\by[\"']?\s*[:=]\s*[\"']?({_NUMBER})", re.IGNORECASE
)
"""x=1, y=2 · {"x": 1, "y": 2} · <point x="1" y="2">."""
_GROUP = re.compile(rf"[\[(]\s*({_NUMBER}(?:(?:{_BETWEEN}){_NUMBER}){{1,3}})\s*[\])]")
"""[1, 2] · (1, 2) · [1, 2, 3, 4], also inside other brackets or JSON."""
_CORNERS = re.compile(rf"\(\s*({_NUMBER})\s*,\s*({_NUMBER})\s*\)\s*,?\s*\(\s*({_NUMBER})\s*,\s*({_NUMBER})\s*\)")
_BOX_TOKENS = re.compile(r"<\|box_start\|>(.*?)<\|box_end\|>", re.DOTALL)
_TAGGED = re.compile(rf"<point>\s*({_NUMBER})(?:{_BETWEEN})({_NUMBER})\s*</point>", re.IGNORECASE)
_BARE = re.compile(rf"(?:[A-Za-z ]{{0,40}}[:=]\s*)?({_NUMBER})(?:{_BETWEEN})({_NUMBER})\s*\.?")
MAX_CHARS = 4000
"""A longer answer is not searched for a point."""


def point_instruction(frame: Frame) -> str:
    """What a question whose answer is a point ends with.

    Args:
        frame: of the protocol's boxes on the first image.
    """
    if frame.name == "unit":
        units = "as fractions of the image's width and height, from 0 to 1"
    elif frame.name == "milli":
        units = "on a scale from 0 to 1000 across the image's width and height"
    else:
        width, height = frame.size
        units = f"in pixels of the image, which is {width} pixels wide and {height} pixels high"
    return f"Answer with one point inside the element, as [x, y]: {units}, counted from the top left corner."


def native_point(text: str, frame: Frame, native: Frame, *, pixels: Frame | None = None) -> str:
    """An answer's point in px of the native image, as `core.points` writes it; the answer itself if it has no point.

    Args:
        text: the answer.
        frame: that points are asked for in.
        native: the native image's.
        pixels: the frame of numbers above 1, where `frame` is one of fractions that allows them.
    """
    values = read_values(text)
    if values is None:
        return text
    (x, y), fractions = values
    given = Frame.unit() if fractions else frame
    if pixels is not None and not fractions and max(x, y) > 1:
        given = pixels
    return write_point(x / given.width * native.width, y / given.height * native.height)


def read_values(text: str) -> tuple[tuple[float, float], bool] | None:
    """The one point of a text as its numbers, and whether these are fractions of the image in any case (`0.5`, `50%`).

    Returns:
        None if the text has no point, or several that differ.
    """
    if len(text) > MAX_CHARS:
        return None
    found = set(_points(text.strip()))
    return found.pop() if len(found) == 1 else None


_Point = tuple[tuple[float, float], bool]


def _points(text: str) -> Iterator[_Point]:
    """Every point of a text, by the first way of writing one that occurs."""
    for tokens in (match[1] for match in _BOX_TOKENS.finditer(text)):
        corners = _CORNERS.search(tokens)
        if corners:
            yield _point(corners.groups())
            return
    ways = (_NAMED.finditer(text), _TAGGED.finditer(text))
    for matches in ways:
        points = [_point(match.groups()) for match in matches]
        if points:
            yield from points
            return
    groups = [re.findall(_NUMBER, match[1]) for match in _GROUP.finditer(text)]
    groups = [group for group in groups if len(group) in (2, 4)]
    if groups:
        yield from map(_point, groups)
    elif bare := _BARE.fullmatch(text):
        yield _point(bare.groups())


def _point(texts: Sequence[str]) -> _Point:
    """A point from two numbers, or the centre of a box from four."""
    values = [float(text.rstrip("% \t\n")) / (100 if "%" in text else 1) for text in texts]
    fractions = all("%" in text for text in texts) or (
        all(0 <= value <= 1 for value in values) and any("." in text for text in texts)
    )
    x, y = (values[0], values[1]) if len(values) == 2 else ((values[0] + values[2]) / 2, (values[1] + values[3]) / 2)
    return (x, y), fractions
