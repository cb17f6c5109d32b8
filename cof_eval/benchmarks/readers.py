"""The rows of a table, one at a time, from any of its formats. What is wrong with a row is said of that row alone."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..core.errors import DataError, flat_message
from ..core.file_kinds import other_kind
from .json_rows import Fields, Found, json_rows, jsonl_rows
from .tsv_rows import tsv_rows


@dataclass(frozen=True, slots=True)
class SourceRow:
    """One row of a table as it stands there."""

    number: int
    """From 1."""
    where: str
    """File and row, for messages."""
    fields: Fields
    """By column; empty if the row cannot be read."""
    line: int = 0
    """In the file, from 1; 0 if that is not known."""
    problem: str = ""
    """Why it cannot be read."""


def read_rows(file: Path) -> Iterator[SourceRow]:
    """The rows of a parquet, TSV, JSON or JSONL file, one at a time.

    Raises:
        DataError: if the file is of another kind, or is damaged as a whole.
    """
    reader = READERS.get(file.suffix.lower())
    if reader is None:
        raise DataError(f"{file} is no table that can be read; expected one of {', '.join(READERS)}")
    try:
        _check_kind(file)
        for number, (line, row) in enumerate(reader(file), 1):
            where = f"{file}, row {number}" + (f" (line {line})" if line not in (0, number) else "")
            fields, problem = ({}, row) if isinstance(row, str) else (row, "")
            yield SourceRow(number, where, fields, line, problem)
    except DataError:
        raise
    except (ValueError, csv.Error) as error:  # msgspec's, pyarrow's and Unicode's errors are ValueErrors
        raise DataError(f"{file} is damaged ({flat_message(error)}); copy it again") from error
    except OSError as error:
        raise DataError(f"{file} cannot be read ({error.strerror or flat_message(error)}); check its permissions") from error


def _check_kind(file: Path) -> None:
    with file.open("rb") as opened:
        kind = other_kind(opened.read(64))
    if kind:
        raise DataError(f"{file} is {kind}")


def _parquet_rows(file: Path) -> Iterator[Found]:
    import pyarrow.parquet as pq
    from pyarrow import ArrowException

    try:
        with pq.ParquetFile(file, buffer_size=1 << 20, pre_buffer=False) as table:  # a row group may hold gigabytes of images
            names = table.schema_arrow.names
            if len(set(names)) < len(names):
                raise ValueError(f"its columns are {', '.join(names)}; expected each once")
            for batch in table.iter_batches(batch_size=1):
                yield from ((0, row) for row in batch.to_pylist())
    except (ArrowException, OSError, OverflowError) as error:  # of damaged pages; not all are ValueErrors
        raise ValueError(flat_message(error)) from error


READERS: dict[str, Callable[[Path], Iterator[Found]]] = {
    ".parquet": _parquet_rows,
    ".tsv": tsv_rows,
    ".jsonl": jsonl_rows,
    ".json": json_rows,
}
"""By file name's end."""
