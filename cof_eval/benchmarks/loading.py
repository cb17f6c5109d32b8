"""From a table to items: what all benchmarks with embedded images share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from ..core.images import ImageSource
from ..core.records import Question
from ..core.text import cut
from .fields import Columns, convert_row
from .hub import fetch_folder
from .image_cells import find_image
from .item import ROW_ERRORS, BadRow, Item, Rows
from .readers import read_rows
from .tables import TableRow, find_tables, image_file, load_table

ANY_TABLE = ("*.parquet", "*.tsv", "*.jsonl", "data/*.parquet")


def _nothing(file: Path) -> dict[str, Any]:
    return {}


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
    """The column that holds the image, or its file's name."""
    target: str = ""
    """The column that holds the annotated region as an image of its own, if there is one."""
    images: tuple[str, ...] = ("images",)
    """Folders, next to the table or in the data folder, that images may lie in; and these two themselves."""
    image_folder: str = ""
    """A folder that rows put before their images' names, and which a copy may lack."""
    renamed: Mapping[str, str] = field(default_factory=dict)
    """Names that columns have in other official files, with those that the rows' type has."""
    from_file: Callable[[Path], dict[str, Any]] = _nothing
    """Fields that a file's name says, for rows that do not have them."""


def load_items(table: Table, data: Path | None, row: type[Columns], question: Callable[[str, str, Columns], Question]) -> Rows:
    """Every row of a benchmark's table, in order.

    Args:
        table: where the rows are.
        data: a file, or a folder with one; None to fetch the benchmark from the hub.
        row: the columns that are used, with their types; others are ignored.
        question: (benchmark, what tells the image from others, row) -> question; raises `ValueError` for a row that makes no sense.

    Raises:
        DataError: if the data cannot be had, or no row is as expected, naming the first.
    """
    place = data or fetch_folder(table.title, table.benchmark, table.repository, table.files)
    folder = place if place.is_dir() else place.parent
    columns = [column.encode_name for column in msgspec.structs.fields(row)]
    found = [
        _item(table, file, folder, stored, row, question)
        for file in find_tables(place, (*table.files, *(table.local if data else ())))
        for stored in load_table(file, table.image, columns, table.renamed, table.target)
    ]
    return Rows.collect(found, f"{place} holds no row; copy it from {table.repository} again")


def _item(
    table: Table,
    file: Path,
    folder: Path,
    stored: TableRow,
    row: type[Columns],
    question: Callable[[str, str, Columns], Question],
) -> Item | BadRow:
    where = f"{file}, row {stored.number}"
    try:
        if stored.problem:
            raise ValueError(stored.problem)
        label, source = _image(table, file, folder, stored)
        asked = question(table.benchmark, label, convert_row({**table.from_file(file), **stored.fields}, row))
        if not asked.answer:
            raise ValueError("the answer is empty")
        asked = asked if asked.id else replace(asked, id=str(stored.number))
    except ROW_ERRORS as error:
        columns = f" of the table's columns {_columns(file)}" if "missing required field" in str(error) else ""
        return BadRow(where, f"{error}{columns}; correct this row or copy the file from {table.repository} again")
    return Item(asked, source, ImageSource(path=str(image_file(stored.target))) if stored.target else None)


@lru_cache(maxsize=64)
def _columns(file: Path) -> str:
    """The names of a table's columns, as its first row has them."""
    return cut(", ".join(map(str, next((row.fields for row in read_rows(file)), {}))), chars=400)


def _image(table: Table, file: Path, folder: Path, stored: TableRow) -> tuple[str, ImageSource]:
    """What tells a row's image from others, and where it is."""
    if not stored.name:
        return stored.image, ImageSource(path=str(image_file(stored.image)))
    places = [base / sub for base in (file.parent, folder) for sub in ("", *table.images)]
    shorter = PurePosixPath(stored.name).parts[:1] == (table.image_folder,)
    names = [stored.name, *([stored.name.partition("/")[2]] if shorter else [])]
    return stored.name, ImageSource(path=str(find_image(names, places, folder)))
