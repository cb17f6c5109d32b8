"""TSV as users have it: quoted fields of any size, and rows whose quotes do not close, which must not swallow others."""

from __future__ import annotations

import csv
import sys
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from ..core.text import cut
from .json_rows import Fields, Found
from .text_files import open_text, undecodable

_MOST_BROKEN = 20
"""Rows with broken quotes after which a file is given up: each makes the rest be read again."""


def tsv_rows(file: Path) -> Iterator[Found]:
    """The rows of a TSV file, one at a time.

    Raises:
        ValueError: if the header is none, or too many rows are broken.
    """
    csv.field_size_limit(sys.maxsize)  # an 8K image in one field; the default ends at 128 KiB
    with open_text(file, newline="") as opened:
        records = _Records(opened)
        header = next(records, [])
        if isinstance(header, str) or len(set(header)) < len(header):
            raise ValueError(f"its header is {cut(header)}; expected every column once, with tabs between them")
        for record in records:
            if record:
                yield 0, record if isinstance(record, str) else _row(header, record)


def _row(header: list[str], record: list[str]) -> Fields | str:
    return next(filter(None, map(undecodable, record)), "") or dict(zip(header, record, strict=True))


class _Records:
    """Records of a TSV file. Where a record of several lines does not fit, its first line is bad, and the next is read anew."""

    def __init__(self, opened: TextIO) -> None:
        self._opened = opened
        self._again: deque[str] = deque()
        self._read: list[str] = []
        self._csv = csv.reader(iter(self._line, ""), delimiter="\t", strict=True)
        self._columns = 0
        self._broken = 0

    def _line(self) -> str:
        line = self._again.popleft() if self._again else self._opened.readline()
        if line:
            self._read.append(line)
        return line

    def __iter__(self) -> _Records:
        return self

    def __next__(self) -> list[str] | str:
        self._read.clear()
        try:
            record = next(self._csv)
            problem = ""
        except csv.Error as error:
            record, problem = [], f"its quotes do not fit ({error})"
        if not problem and self._columns and record and len(record) != self._columns:
            problem = f"it has another number of fields than the header: {len(record)}, not {self._columns}"
        self._columns = self._columns or len(record)
        if not problem:
            return record
        shown = cut(self._read[0].rstrip("\r\n")) if self._read else ""
        self._restart()
        return f"{problem}: {shown}; write the file with a program that quotes fields"

    def _restart(self) -> None:
        if len(self._read) > 1:
            self._broken += 1
            if self._broken > _MOST_BROKEN:
                raise ValueError(
                    f"more than {_MOST_BROKEN} rows have quotes that do not close; write it with a program that quotes"
                )
            self._again.extendleft(reversed(self._read[1:]))
        self._csv = csv.reader(iter(self._line, ""), delimiter="\t", strict=True)
