"""From a table to items: what all benchmarks with embedded images share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import msgspec

from ..core.errors import DataError
from ..core.images import ImageSource
from ..core.records import Question
from .hub import fetch_folder
from .item import Item
from .tables import find_tables, image_file, load_table

ANY_TABLE = ("*.parquet", "*.tsv", "*.jsonl", "data/*.parquet")

_Row = TypeVar("_Row", bound=msgspec.Struct)


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Where a benchmark's rows are."""

    benchmark: str
    title: str
    """What messages call it."""
    repository: str
    """Hub id of the dataset."""
    files: tuple[str, ...]
    """Patterns of its files in the repository."""
    local: tuple[str, ...] = ANY_TABLE
    """Patterns that are tried in addition in a folder of the user's."""
    image: str = "image"
    """The column that holds the image."""


def load_items(table: Table, data: Path | None, row: type[_Row], question: Callable[[str, str, _Row], Question]) -> list[Item]:
    """Every row of a benchmark's table, in order.

    Args:
        table: where the rows are.
        data: a file, or a folder with one; None to fetch the benchmark from the hub.
        row: the columns that are used, with their types; others are ignored.
        question: (benchmark, hash of the image, row) -> question; raises `ValueError` for a row that makes no sense.

    Raises:
        DataError: if the data cannot be had, or a row is not as expected, naming it.
    """
    place = data or fetch_folder(table.title, table.benchmark, table.repository, table.files)
    columns = [field.encode_name for field in msgspec.structs.fields(row)]
    items = []
    for file in find_tables(place, (*table.files, *(table.local if data else ()))):
        for number, stored in enumerate(load_table(file, table.image, columns), 1):
            try:
                parsed = msgspec.convert(stored.fields, type=row, strict=False)
                asked = question(table.benchmark, stored.image, parsed)
            except ValueError as error:  # msgspec's errors are ValueErrors too
                raise DataError(
                    f"{file}, row {number}: {error}; correct this row or copy the file from {table.repository} again"
                ) from error
            items.append(Item(asked, ImageSource(path=str(image_file(stored.image)))))
    if not items:
        raise DataError(f"{place} holds no row; copy it from {table.repository} again")
    return with_distinct_ids(items)


def with_distinct_ids(items: list[Item]) -> list[Item]:
    """The items; where an id occurs again, "#2", "#3" … are added to it."""
    seen: Counter[str] = Counter()
    distinct = []
    for item in items:
        seen[item.question.id] += 1
        number = seen[item.question.id]
        again = replace(item.question, id=f"{item.question.id}#{number}") if number > 1 else item.question
        distinct.append(Item(again, item.image))
    return distinct
