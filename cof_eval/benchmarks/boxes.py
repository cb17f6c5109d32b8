"""Annotated boxes as data sets write them: lists, or lists written as text; one box, or several."""

from __future__ import annotations

import ast
from typing import Any

import msgspec

from ..core.records import Corners
from ..core.text import cut

Boxes = list[Any] | str | None
"""A column of boxes, or of one box."""


def parse_boxes(value: Boxes) -> tuple[Corners, ...]:
    """Boxes (x1, y1, x2, y2) from a list, or from a list written as text; those without any area are excluded.

    Raises:
        ValueError: if it is no list of four numbers each.
    """
    if value is None or value in ("", "nan"):
        return ()
    try:
        boxes = msgspec.convert(_listed(value), type=list[Corners])
    except (ValueError, TypeError) as error:
        raise ValueError(f"the boxes {cut(value)} are no list of [x1, y1, x2, y2]") from error
    return tuple(box for box in boxes if box[0] < box[2] and box[1] < box[3])


def parse_one_or_several(value: Boxes) -> tuple[Corners, ...]:
    """The same, where one box may stand for a list of one; "None" is none.

    Raises:
        ValueError: if it is neither.
    """
    if value is None or value in ("", "nan", "None", "[]"):
        return ()
    found = _listed(value)
    if isinstance(found, list | tuple) and found and not isinstance(found[0], list | tuple):
        return parse_boxes([list(found)])
    return parse_boxes(found)


def _listed(value: Boxes) -> Boxes:
    try:
        return ast.literal_eval(value) if isinstance(value, str) else value
    except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError) as error:
        raise ValueError(f"the boxes {cut(value)} are no list of [x1, y1, x2, y2]") from error
