"""`cof-eval data check`: every row and every image of a benchmark's data looked at, without a model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from ..benchmarks import Item, Rows
from ..core.errors import ImageError
from ..core.images import ImageSource, load_native
from ..core.records import AnswerKind, Size
from ..core.resolution import NATIVE, PixelLimits, shown_size

LIMITS = PixelLimits(28, 112 * 112, 3840 * 3840)
"""Those of the protocol `cof` on Qwen2.5-VL: shapes that no Qwen-VL processor takes are told too."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that a run could not ask, or would ask otherwise than meant."""

    where: str
    says: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DataReport:
    """What a benchmark's data are."""

    questions: int
    bad_rows: tuple[Problem, ...]
    """Rows that are not asked."""
    unreadable: tuple[Problem, ...]
    """Rows whose image cannot be shown: they stay unscored."""
    odd_boxes: tuple[Problem, ...]
    """Rows with a box outside their image."""
    images: int
    """Distinct files."""
    smallest: Size | None
    largest: Size | None
    facts: dict[str, int]
    """Questions by what they have."""
    categories: dict[str, int]

    @property
    def problems(self) -> tuple[Problem, ...]:
        """All of them."""
        return self.bad_rows + self.unreadable + self.odd_boxes


def check_data(rows: Rows, track: Callable[[list[ImageSource]], Iterable[ImageSource]]) -> DataReport:
    """Look at every row and decode every distinct image.

    Args:
        rows: as the benchmark's module gives them.
        track: shows how far the images are.
    """
    sources = list(dict.fromkeys(item.image for item in rows))
    looked = {source: _look(source) for source in track(sources)}
    sizes = sorted((found for found in looked.values() if not isinstance(found, str)), key=lambda size: size[0] * size[1])
    unreadable = ((item, looked[item.image]) for item in rows)
    return DataReport(
        questions=len(rows),
        bad_rows=tuple(Problem(bad.where, bad.problem) for bad in rows.bad),
        unreadable=tuple(Problem(_name(item), found) for item, found in unreadable if isinstance(found, str)),
        odd_boxes=tuple(_odd_boxes(rows, looked)),
        images=len(sources),
        smallest=sizes[0] if sizes else None,
        largest=sizes[-1] if sizes else None,
        facts=_facts(rows),
        categories=dict(sorted(Counter(item.question.category for item in rows).items())),
    )


def _look(source: ImageSource) -> Size | str:
    """The native image's size, or why it cannot be shown."""
    try:
        size = load_native(source.read()).size
        shown_size(size, NATIVE, LIMITS)
    except ImageError as error:
        return str(error)
    return size


def _odd_boxes(rows: Rows, looked: dict[ImageSource, Size | str]) -> Iterator[Problem]:
    for item in rows:
        size = looked[item.image]
        if isinstance(size, str):
            continue
        outside = [box for box in item.question.boxes if box[0] < 0 or box[1] < 0 or box[2] > size[0] or box[3] > size[1]]
        if outside:
            yield Problem(_name(item), f"the box {list(outside[0])} reaches out of its image of {size[0]}x{size[1]} px")


def _facts(rows: Rows) -> dict[str, int]:
    questions = [item.question for item in rows]
    return {
        "with options": sum(bool(q.options) for q in questions),
        "open": sum(not q.options and q.kind is AnswerKind.TEXT for q in questions),
        "for a point": sum(q.kind is AnswerKind.POINT for q in questions),
        "without a reference answer": sum(not q.answer for q in questions),
        "with boxes": sum(bool(q.boxes) for q in questions),
    }


def _name(item: Item) -> str:
    return f"question {item.question.id}"
