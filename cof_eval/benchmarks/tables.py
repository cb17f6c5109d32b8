"""Tables with embedded images, read once: rows one at a time, images unpacked to files by content.

Parquet, TSV and JSON files of these benchmarks hold images of up to 8K inside their rows, as bytes or as base64, and often
the same image in several rows. Loading such a table writes each distinct image to the cache folder and keeps the rest of
the rows next to it; from then on an image is a file like any other, nothing of it stays in memory, and a second load
reads text only.
"""

from __future__ import annotations

import base64
import binascii
import csv
import re
import sys
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from tqdm import tqdm

from ..core.errors import DataError, flat_message
from ..core.files import write_whole
from ..core.images import source_hash
from ..core.records import digest
from ..core.settings import cache_folder

FORMAT = 1
"""Version of what is kept; raised when the rows or images of a table come to be read differently."""

_BASE64 = re.compile(rb"[A-Za-z0-9+/]*={0,2}")

Fields = dict[str, Any]


@dataclass(frozen=True, slots=True)
class TableRow:
    """One row of a table."""

    fields: Fields
    """By column, those that were asked for."""
    image: str
    """Hash of the stored image."""


def load_table(file: Path, image: str, columns: Collection[str]) -> list[TableRow]:
    """All rows of a table: these columns as far as it has them, and the one that holds the image.

    An image that cannot be decoded is kept as it is: its row is answered with an `ImageError` later and counted as unscored.

    Raises:
        DataError: if the table cannot be read, or its images cannot be unpacked.
    """
    try:
        stat = file.stat()
        name = digest(FORMAT, str(file.resolve()), stat.st_size, stat.st_mtime_ns, image, sorted(columns))
        kept = cache_folder() / "tables" / f"{name}.jsonl"
        return _kept_rows(kept) or _unpacked(file, image, columns, kept)
    except OSError as error:
        raise DataError(
            f"{file} cannot be read or unpacked to {cache_folder()} ({error.strerror}); "
            "check permissions and free space, or choose another place with COF_CACHE"
        ) from error


def image_file(name: str) -> Path:
    """Where the image with this hash is unpacked."""
    return cache_folder() / "images" / name[:2] / name


def _kept_rows(kept: Path) -> list[TableRow]:
    """The rows of an earlier load; none if there was none, or if one of its images is gone."""
    try:
        lines = kept.read_bytes().splitlines()
    except FileNotFoundError:
        return []
    rows = [msgspec.json.decode(line, type=TableRow) for line in lines]
    return rows if all(image_file(name).exists() for name in {row.image for row in rows}) else []


def _unpacked(file: Path, image: str, columns: Collection[str], kept: Path) -> list[TableRow]:
    rows = []
    for number, fields in enumerate(
        tqdm(read_rows(file), desc=f"unpacking {file.name}", unit="row", disable=None, leave=False), 1
    ):
        if image not in fields:
            raise DataError(
                f"{file}, row {number} has no column {image!r}; it has {', '.join(fields)}: pass the benchmark's own file"
            )
        rows.append(TableRow({name: fields[name] for name in fields if name in columns}, _unpack_image(fields[image])))
    write_whole(kept, b"".join(msgspec.json.encode(row) + b"\n" for row in rows))
    return _kept_rows(kept)


def _unpack_image(value: object) -> str:
    data = image_bytes(value)
    name = source_hash(data)
    if not image_file(name).exists():
        write_whole(image_file(name), data)
    return name


def image_bytes(value: object) -> bytes:
    """The stored image in a cell: bytes, base64 with or without blanks and a data URI's head, or `datasets`' struct of bytes.

    What is none of these is given back as it is, to be reported as no image when it is looked at.
    """
    if isinstance(value, dict):
        value = value.get("bytes")
    if isinstance(value, bytes):
        return value
    if not isinstance(value, str):
        return b""
    packed = "".join(value.rpartition("base64,")[2].split()).encode("ascii", "replace")
    if not _BASE64.fullmatch(packed):
        return value.encode()
    try:
        return base64.b64decode(packed.rstrip(b"=") + b"=" * (-len(packed.rstrip(b"=")) % 4))
    except binascii.Error:
        return value.encode()


def read_rows(file: Path) -> Iterator[Fields]:
    """The rows of a parquet, TSV, JSON or JSONL file, one at a time.

    Raises:
        DataError: if the file is of another kind, or is damaged.
    """
    reader = READERS.get(file.suffix.lower())
    if reader is None:
        raise DataError(f"{file} is no table that can be read; expected one of {', '.join(READERS)}")
    try:
        yield from reader(file)
    except (ValueError, csv.Error) as error:  # msgspec's, pyarrow's and Unicode's errors are ValueErrors
        raise DataError(f"{file} is damaged ({flat_message(error)}); copy it again") from error


def _parquet_rows(file: Path) -> Iterator[Fields]:
    import pyarrow.parquet as pq

    with pq.ParquetFile(file, buffer_size=1 << 20, pre_buffer=False) as table:  # a row group may hold gigabytes of images
        for batch in table.iter_batches(batch_size=1):
            yield from batch.to_pylist()


def _tsv_rows(file: Path) -> Iterator[Fields]:
    csv.field_size_limit(sys.maxsize)  # an 8K image in one field; the default ends at 128 KiB
    with file.open(encoding="utf-8-sig", newline="") as opened:
        for row in csv.DictReader(opened, delimiter="\t"):
            if None in row or None in row.values():
                raise ValueError(f"a row has another number of fields than the header: {str(row)[:80]}")
            yield dict(row)


def _json_rows(file: Path) -> Iterator[Fields]:
    yield from msgspec.json.decode(file.read_bytes().removeprefix(_MARK), type=list[Fields])


def _jsonl_rows(file: Path) -> Iterator[Fields]:
    with file.open("rb") as opened:
        for number, line in enumerate(opened, 1):
            text = line.removeprefix(_MARK) if number == 1 else line
            if text.strip():
                try:
                    yield msgspec.json.decode(text, type=Fields)
                except msgspec.DecodeError as error:
                    raise ValueError(f"line {number}: {error}") from error


_MARK = b"\xef\xbb\xbf"
"""The byte order mark that some editors put before UTF-8."""

READERS: dict[str, Callable[[Path], Iterator[Fields]]] = {
    ".parquet": _parquet_rows,
    ".tsv": _tsv_rows,
    ".jsonl": _jsonl_rows,
    ".json": _json_rows,
}
"""By file name's end."""


def find_tables(data: Path, patterns: Iterable[str]) -> list[Path]:
    """The table files that `data` names: itself, or what the first fitting pattern finds in the folder, in order of name.

    Raises:
        DataError: if there is none.
    """
    if data.is_file():
        return [data]
    tried = list(patterns)
    for pattern in tried:
        found = sorted(path for path in data.glob(pattern) if path.is_file())
        if found:
            return found
    state = "holds no table" if data.is_dir() else "does not exist"
    raise DataError(f"{data} {state}; expected a file, or a folder with {' or '.join(tried)}")
