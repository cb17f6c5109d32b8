"""Rows of a data source as plain dicts, one by one: JSON lines, a JSON list, parquet, a folder of these, or a hub dataset.

A row that cannot be read is handed on as a `RowError`, so that it is counted and the others are still used.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cof_eval.core.errors import DataError, flat_message
from cof_eval.core.images import ImageSource

from .rows import Reason, RowError

ENDINGS = (".parquet", ".jsonl", ".json")
_BATCH = 64

Cell = tuple[str, dict[str, Any] | RowError]
"""(where in the source, the row or why it is none)."""


def find_data(path: str) -> Path:
    """The local file or folder of a source; a hub id is downloaded, or found in the cache.

    Raises:
        DataError: if it is neither.
    """
    local = Path(path).expanduser()
    if local.exists():
        return local
    if path.startswith((".", "/", "~")) or path.count("/") != 1 or local.suffix in ENDINGS:
        raise DataError(f"no data at {path!r}; expected a file ({', '.join(ENDINGS)}), a folder, or the hub id of a dataset")
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(path, repo_type="dataset"))
    except Exception as error:  # the hub client raises a dozen unrelated types; each means that it is not to be had
        raise DataError(
            f"{path!r} is no local file or folder and could not be fetched from the hub ({type(error).__name__}); check the name "
            "and the network, or pass a local copy"
        ) from error


def read_table(path: Path) -> Iterator[Cell]:
    """Every row of a file, or of all data files below a folder, in the order of their names.

    Raises:
        DataError: if there is no data file, or one cannot be read at all.
    """
    files = [path] if path.is_file() else _files(path)
    for file in files:
        where = file.name if path.is_file() else file.relative_to(path).as_posix()
        try:
            yield from _READERS[file.suffix](file, where)
        except (OSError, ValueError) as error:  # pyarrow's and json's errors are ValueErrors
            raise DataError(f"{file} cannot be read: {flat_message(error)}") from error


def image_sources(value: object, folder: Path) -> tuple[ImageSource, ...]:
    """Where the images of a cell are: a path, bytes, `{"path": …, "bytes": …}`, or a list of these.

    Raises:
        RowError: for anything else, and for a path that leaves the folder.
    """
    values = value if isinstance(value, list | tuple) else [] if value is None else [value]
    return tuple(_image_source(each, folder) for each in values)


def _image_source(value: object, folder: Path) -> ImageSource:
    if isinstance(value, Mapping):
        value = value.get("bytes") or value.get("path")
    if isinstance(value, bytes) and value:
        return ImageSource(data=value)
    if not isinstance(value, str) or not value:
        raise RowError(Reason.IMAGE, f"an image is {str(value)[:60]!r}; expected a path, or bytes")
    if not Path(value).is_absolute() and ".." in Path(value).parts:
        raise RowError(Reason.IMAGE, f"the image {value!r} is not below {folder}")
    return ImageSource(path=str(folder / value))


def _files(folder: Path) -> list[Path]:
    """Its data files of one kind: parquet if there is any, else JSON lines, else JSON."""
    for ending in ENDINGS:
        found = sorted(p for p in folder.rglob(f"*{ending}") if not any(part.startswith(".") for part in p.parts[-2:]))
        if found:
            return found
    raise DataError(f"{folder} holds no data file; expected one ending in {', '.join(ENDINGS)}")


def _jsonl(file: Path, where: str) -> Iterator[Cell]:
    with file.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                yield f"{where}:{number}", _parsed(line)


def _json(file: Path, where: str) -> Iterator[Cell]:
    values = json.loads(file.read_bytes())
    if not isinstance(values, list):
        raise ValueError(f"expected a list of rows, got {type(values).__name__}")
    for index, value in enumerate(values):
        yield f"{where}[{index}]", _object(value)


def _parquet(file: Path, where: str) -> Iterator[Cell]:
    from pyarrow import parquet

    index = 0
    for batch in parquet.ParquetFile(file).iter_batches(batch_size=_BATCH):
        for value in batch.to_pylist():
            yield f"{where}[{index}]", value
            index += 1


_READERS = {".jsonl": _jsonl, ".json": _json, ".parquet": _parquet}


def _parsed(line: bytes) -> dict[str, Any] | RowError:
    try:
        return _object(json.loads(line))
    except ValueError as error:
        return RowError(Reason.UNREADABLE, f"not JSON: {error}")


def _object(value: Any) -> dict[str, Any] | RowError:
    return value if isinstance(value, dict) else RowError(Reason.UNREADABLE, f"a row is an object, not {type(value).__name__}")
