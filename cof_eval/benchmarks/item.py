"""What a benchmark is here: how its rows are loaded, and what is measured of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import overload

from ..core.distinct import distinct_ids
from ..core.errors import DataError
from ..core.images import ImageSource
from ..core.records import Question
from .metrics import Metric

ROW_ERRORS = (ValueError, OSError, RecursionError, OverflowError)
"""What a row from outside can raise on its way to a question; it is then a bad row."""


@dataclass(frozen=True, slots=True)
class Item:
    """One row of a benchmark."""

    question: Question
    image: ImageSource
    target: ImageSource | None = None
    """The annotated region as the benchmark itself has cut it; without it, view `target` cuts at the question's boxes."""


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that cannot be asked: it is counted and named, and the others are asked."""

    where: str
    """File and row."""
    problem: str
    """What is wrong, with the value, and what to do."""

    def __str__(self) -> str:
        return f"{self.where}: {self.problem}"


@dataclass(frozen=True, slots=True)
class Rows(Sequence[Item]):
    """What a benchmark's loader found: a sequence of the rows that can be asked, and, apart, those that cannot."""

    items: tuple[Item, ...]
    bad: tuple[BadRow, ...] = ()

    def __post_init__(self) -> None:
        ids = [item.question.id for item in self.items]
        if len(set(ids)) < len(ids):
            raise ValueError("two rows have one id; make rows with Rows.collect, which tells them apart")

    @classmethod
    def collect(cls, found: Iterable[Item | BadRow], nothing: str) -> Rows:
        """Rows in the order found, each with an id of its own.

        Args:
            found: rows, good and bad.
            nothing: what to say if there is none.

        Raises:
            DataError: if there is none, or none that can be asked.
        """
        rows = list(found)
        items, bad = [row for row in rows if isinstance(row, Item)], [row for row in rows if isinstance(row, BadRow)]
        if not items and not bad:
            raise DataError(nothing)
        if not items:
            others = f" (all {len(bad):,} rows are bad, this is the first)" if len(bad) > 1 else ""
            raise DataError(f"{bad[0]}{others}")
        ids = distinct_ids(item.question.id for item in items)
        return cls(tuple(_named(item, name) for item, name in zip(items, ids, strict=True)), tuple(bad))

    @property
    def note(self) -> str:
        """How many rows are bad, and the first of them; empty if there is none."""
        if not self.bad:
            return ""
        count = f"{len(self.bad):,} of {len(self.bad) + len(self.items):,} rows cannot be asked and do not count"
        return f"{count}; the first: {self.bad[0]}"

    def __len__(self) -> int:
        return len(self.items)

    @overload
    def __getitem__(self, index: int) -> Item: ...
    @overload
    def __getitem__(self, index: slice) -> Rows: ...
    def __getitem__(self, index: int | slice) -> Item | Rows:
        return Rows(self.items[index], self.bad) if isinstance(index, slice) else self.items[index]


def _named(item: Item, name: str) -> Item:
    return item if name == item.question.id else replace(item, question=replace(item.question, id=name))


@dataclass(frozen=True, slots=True)
class Benchmark:
    """A benchmark that can be run."""

    load: Callable[[Path | None], Rows]
    """Its rows from the folder or file that the user gave, or, for None, from its usual place; raises `DataError`."""
    metrics: tuple[Metric, ...] = ()
    """Its own metrics, reported in addition to those of every benchmark."""
    waits_for: Callable[[], str] = lambda: "fetching it from the Hugging Face hub, if its cache has it not"
    """What `load(None)` would take long for if it were called now; "" if for nothing."""
    earlier: Callable[[Question], Question] | None = None
    """A question as earlier versions loaded it, so that their runs resume; None if that is the same."""
