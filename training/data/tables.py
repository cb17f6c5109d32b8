"""Rows of a data source as plain dicts, one by one: JSON lines, a JSON list, parquet, a folder of these, or a hub dataset.

A row that cannot be read is handed on as a `RowError`, so that it is counted and the others are still used.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from cof_eval.core.data_paths import path_below
from cof_eval.core.errors import DataError, flat_message
from cof_eval.core.images import ImageSource

from .archives import unpacked_archives
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


class ImagePlaces:
    """Where a source's images are: paths from its folder, or inside the ZIP files there."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._archives: list[Path] | None = None

    def sources(self, value: object) -> tuple[ImageSource, ...]:
        """The images of a cell: a path, bytes, `{"path": …, "bytes": …}`, or a list of these.

        Raises:
            RowError: for anything else, and for a path that leaves the folder.
            DataError: if a ZIP file is damaged.
        """
        values = value if isinstance(value, list | tuple) else [] if value is None else [value]
        return tuple(self._source(each) for each in values)

    def _source(self, value: object) -> ImageSource:
        if isinstance(value, Mapping):
            value = value.get("bytes") or value.get("path")
        if isinstance(value, bytes) and value:
            return ImageSource(data=value)
        if not isinstance(value, str) or not value:
            raise RowError(Reason.IMAGE, f"an image is {str(value)[:60]!r}; expected a path, or bytes")
        try:
            path = path_below(self._folder, value)
        except ValueError as error:
            raise RowError(
                Reason.IMAGE,
                f"the image {value[:200]!r} is not below {self._folder}; move it there, name its folder (`images:` in the recipe), or set COF_ALLOW_OUTSIDE=1",
            ) from error
        return ImageSource(path=str(path if path.exists() else self._packed(value) or path))

    def _packed(self, name: str) -> Path | None:
        """The image of that name in a ZIP file, whose folders may be missing the first one: `images.zip` with `1.jpg`."""
        if self._archives is None:
            self._archives = unpacked_archives(self._folder)
        inner = PurePosixPath(name)
        names = [inner, *([inner.relative_to(inner.parts[0])] if len(inner.parts) > 1 else [])]
        found = [archive / each for each in names for archive in self._archives if (archive / each).is_file()]
        if len(found) > 1:
            raise RowError(Reason.IMAGE, f"the image {name[:200]!r} is in several ZIP files, or twice in one; keep one of them")
        return found[0] if found else None


def _files(folder: Path) -> list[Path]:
    """Its data files of one kind: parquet if there is any, else JSON lines, else JSON."""
    for ending in ENDINGS:
        found = sorted(p for p in folder.rglob(f"*{ending}") if not _is_none(p))
        if found:
            return found
    raise DataError(f"{folder} holds no data file; expected one ending in {', '.join(ENDINGS)}")


def _is_none(file: Path) -> bool:
    """Whether a file holds no rows: a hidden one, or the index that LLaMA-Factory keeps next to its data."""
    return file.name == "dataset_info.json" or any(part.startswith(".") for part in file.parts[-2:])


def _jsonl(file: Path, where: str) -> Iterator[Cell]:
    with file.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                yield f"{where}:{number}", _parsed(line)


def _json(file: Path, where: str) -> Iterator[Cell]:
    data = file.read_bytes()
    try:
        values = json.loads(data)
    except ValueError:
        if data.lstrip().startswith(b"["):
            raise
        yield from _jsonl(file, where)  # JSON lines under this name
        return
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
