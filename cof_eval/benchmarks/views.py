"""Questions under a view: what of its image each one shows, and which cannot be asked so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..core.image_view import ImageView
from ..core.images import ImageSource, RegionSource
from ..core.records import AnswerKind, Corners, Question
from .item import Item


@dataclass(frozen=True, slots=True)
class ViewedItem:
    """One row as a run asks it."""

    question: Question
    image: ImageSource | RegionSource | None
    """None: no image is shown."""


def view_items(items: Sequence[Item], view: ImageView) -> list[ViewedItem]:
    """The rows that can be asked under a view, in order. Other views than `full` have no boxes: nothing is left to look for."""
    if view is ImageView.FULL:
        return [ViewedItem(item.question, item.image) for item in items]
    shown = ((item, _shown(item, view)) for item in items if not why_excluded(item, view))
    return [ViewedItem(replace(item.question, boxes=()), image) for item, image in shown]


def why_excluded(item: Item, view: ImageView) -> str:
    """Why a row cannot be asked under a view; "" if it can."""
    if view is ImageView.FULL:
        return ""
    if item.question.kind is AnswerKind.POINT:
        return "its answer is a point in the whole image"
    return "it has no annotated box" if view is ImageView.TARGET and not (item.target or item.question.boxes) else ""


def exclusions(items: Sequence[Item], view: ImageView, *, named: int = 10) -> list[str]:
    """What a reader must know of the rows that a view excludes: how many, why, and which; empty if none is."""
    by_reason: dict[str, list[str]] = {}
    for item in items:
        if why := why_excluded(item, view):
            by_reason.setdefault(why, []).append(item.question.id)
    lines = []
    for why, ids in by_reason.items():
        which = f"{', '.join(ids[:named])}{', …' if len(ids) > named else ''}"
        lines.append(f"{len(ids):,} of {len(items):,} questions of {items[0].question.benchmark} are excluded ({why}): {which}")
    return lines


def _shown(item: Item, view: ImageView) -> ImageSource | RegionSource | None:
    """The benchmark's own crop where it has one, else the smallest region that holds all annotated boxes."""
    if view is ImageView.NONE:
        return None
    return item.target or RegionSource(item.image, _hull(item.question.boxes))


def _hull(boxes: Sequence[Corners]) -> Corners:
    lefts, tops, rights, bottoms = zip(*boxes, strict=True)
    return min(lefts), min(tops), max(rights), max(bottoms)
