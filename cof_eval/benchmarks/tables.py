"""Tables with embedded images, read once: rows one at a time, images unpacked to files by content.

Parquet, TSV and JSON files of these benchmarks hold images of up to 8K inside their rows, as bytes or as base64. Often
several rows hold the same image. Loading such a table writes each distinct image to the cache folder and keeps the rest of
the rows next to it; from then on an image is a file like any other, nothing of it stays in memory, and a second load reads
text only.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
from tqdm import tqdm

from ..core.errors import DataError, system_says
from ..core.files import write_whole
from ..core.images import source_hash
from ..core.records import digest
from ..core.settings import cache_folder
from .image_cells import image_bytes, image_name, image_row
from .json_rows import Fields
from .readers import SourceRow, read_rows

FORMAT = 2
"""Version of what is kept; raised when the rows or images of a table come to be read differently."""

_INDEX = "index"
"""Column by whose value rows refer to the image of another row."""


@dataclass(frozen=True, slots=True)
class TableRow:
    """One row of a table."""

    fields: Fields
    """By column, those that were asked for."""
    image: str
    """Hash of the stored image; empty where there is none."""
    number: int = 0
    """From 1."""
    name: str = ""
    """Of the image's file, where the row names one instead of holding it."""
    target: str = ""
    """Hash of the stored image of the annotated region; empty where there is none."""
    problem: str = ""
    """Why the row cannot be read."""


def load_table(
    file: Path, image: str, columns: Collection[str], renamed: Mapping[str, str] | None = None, target: str = ""
) -> list[TableRow]:
    """All rows of a table: these columns as far as it has them, and the one that holds or names the image.

    An image that cannot be decoded is kept as it is: its row is answered with an `ImageError` later and counted as unscored.

    Args:
        file: the table.
        image: the image's column.
        columns: the others.
        renamed: names that columns also go by, with those meant.
        target: the column that holds the annotated region as an image of its own, if there is one.

    Raises:
        DataError: if the table cannot be read, or its images cannot be unpacked.
    """
    names = dict(renamed or {})
    try:
        stat = file.stat()
        name = digest(
            FORMAT,
            str(file.resolve()),
            stat.st_size,
            stat.st_mtime_ns,
            image,
            sorted(columns),
            sorted(names.items()),
            *filter(None, [target]),
        )
        kept = cache_folder() / "tables" / f"{name}.jsonl"
        return _kept_rows(kept) or _unpacked(file, image, columns, names, kept, target)
    except OSError as error:
        raise DataError(
            f"{file} cannot be read or unpacked to {cache_folder()} "
            f"({system_says(error, 'check permissions and free space, or choose another place with COF_CACHE')})"
        ) from error


def image_file(name: str) -> Path:
    """Where the image with this hash is unpacked."""
    return cache_folder() / "images" / name[:2] / name


def _kept_rows(kept: Path) -> list[TableRow]:
    """The rows of an earlier load; none if there was none, or if one of its images is gone."""
    try:
        rows = [msgspec.json.decode(line, type=TableRow) for line in kept.read_bytes().splitlines()]
    except (FileNotFoundError, msgspec.DecodeError):
        return []
    named = {name for row in rows for name in (row.image, row.target) if name}
    return rows if all(image_file(name).exists() for name in named) else []


def _unpacked(
    file: Path, image: str, columns: Collection[str], renamed: Mapping[str, str], kept: Path, target: str
) -> list[TableRow]:
    rows: list[TableRow] = []
    stored, named = defaultdict[str, set[str]](set), dict[int, str]()
    for source in tqdm(read_rows(file), desc=f"unpacking {file.name}", unit="row", disable=None, leave=False):
        fields = _renamed(source.fields, renamed)
        index = str(fields.get(_INDEX, ""))
        row = _row(source, fields, image, columns)
        if not row.problem and (region := fields.get(target)):
            row = replace(row, target=_unpack_image(region))
        if not row.problem and (other := image_row(fields[image])):
            named[len(rows)] = other  # perhaps; it may as well be an image that is damaged
        elif row.image:
            stored[index].add(row.image)
        rows.append(row)
    for place, other in named.items():
        rows[place] = _referring(rows[place], other, stored.get(other, set()))
    write_whole(kept, b"".join(_line(row) + b"\n" for row in rows))
    return _kept_rows(kept)


def _line(row: TableRow) -> bytes:
    try:
        return msgspec.json.encode(row)
    except (OverflowError, TypeError, ValueError) as error:  # an integer of 80 bits, for one
        return msgspec.json.encode(TableRow({}, "", row.number, problem=f"it holds a value that cannot be kept ({error})"))


def _renamed(fields: Fields, renamed: Mapping[str, str]) -> Fields:
    """The fields under the names meant; a column that has that name itself is the one meant."""
    return {
        meant if (meant := renamed.get(name, name)) == name or meant not in fields else name: fields[name] for name in fields
    }


def _row(source: SourceRow, fields: Fields, image: str, columns: Collection[str]) -> TableRow:
    if source.problem:
        return TableRow({}, "", source.number, problem=source.problem)
    if image not in fields:
        problem = f"it has no column {image!r}; it has {', '.join(fields)}: pass the benchmark's own file"
        return TableRow({}, "", source.number, problem=problem)
    wanted = {name: fields[name] for name in fields if name in columns}
    if name := image_name(fields[image]):
        return TableRow(wanted, "", source.number, name=name)
    return TableRow(wanted, _unpack_image(fields[image]), source.number)


def _referring(row: TableRow, other: str, images: Collection[str]) -> TableRow:
    """The row with the image of the row that it refers to, if that one has an image."""
    if len(images) > 1:
        return replace(row, image="", problem=f"its image is that of row {other!r}, but several rows have this index")
    return replace(row, image=next(iter(images))) if images else row


def _unpack_image(value: object) -> str:
    data = image_bytes(value)
    name = source_hash(data)
    if not image_file(name).exists():
        write_whole(image_file(name), data)
    return name


def find_tables(data: Path, patterns: Iterable[str]) -> list[Path]:
    """The table files that `data` names: itself, or what the first fitting pattern finds in the folder, in order of name.

    Raises:
        DataError: if there is none.
    """
    if data.is_file():
        return [data]
    tried = list(patterns)
    for pattern in tried:
        found = sorted(path for path in data.glob(pattern) if path.is_file() and not path.name.startswith("."))
        if found:
            return found
    state = "holds no table" if data.is_dir() else "does not exist"
    raise DataError(f"{data} {state}; expected a file, or a folder with {' or '.join(tried)}")
