"""VisualProbe: open questions about tiny details of large photographs, in three levels (Lai et al. 2025, arXiv 2509.07969).

Datasets: `Mini-o3/VisualProbe_Easy` (141 rows), `_Medium` (268) and `_Hard` (106). Each has its images in `data/`, and a
list of rows in `val.json`. A row has `doc_id`, `images` (one path, for instance `VisualProbe_Easy/data/1.jpg`), `problem`
(beginning with "<image>"), `solution` and `data_source`. Answers are free text; those that the rules cannot decide need an
LLM judge.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

import msgspec

from ..core.errors import DataError
from ..core.images import ImageSource
from ..core.records import Question
from .hub import fetch_folder
from .item import Benchmark, Item
from .loading import with_distinct_ids
from .metrics import part
from .tables import read_rows

LEVELS = ("Easy", "Medium", "Hard")
_TAGGED = re.compile(r"\s*<answer>(.*)</answer>\s*", re.DOTALL)


class _SourceRow(msgspec.Struct):
    doc_id: int | str
    images: list[str] | str
    problem: str
    solution: str


def load(data: Path | None) -> list[Item]:
    """Every row of the three levels, or of those that are there.

    Args:
        data: a folder with `VisualProbe_Easy/`, `VisualProbe_Medium/` and `VisualProbe_Hard/` (each with `val.json`), or one of
            these three; None to fetch all from the hub.

    Raises:
        DataError: if the data cannot be had, or a row is not as expected, naming it.
    """
    folders = _fetched() if data is None else _found(data)
    return with_distinct_ids([item for level, folder in folders.items() for item in _level(level, folder)])


def _fetched() -> dict[str, Path]:
    return {level: fetch_folder("VisualProbe", "visual_probe", f"Mini-o3/VisualProbe_{level}") for level in LEVELS}


def _found(data: Path) -> dict[str, Path]:
    below = {level: data / f"VisualProbe_{level}" for level in LEVELS}
    itself = {level: data for level in LEVELS if data.name == f"VisualProbe_{level}"}
    found = {level: folder for level, folder in (itself or below).items() if (folder / "val.json").is_file()}
    if not found:
        raise DataError(
            f"{data} holds no VisualProbe; expected VisualProbe_Easy/val.json, VisualProbe_Medium/val.json or "
            "VisualProbe_Hard/val.json in it: correct --data visual_probe=FOLDER"
        )
    return found


def _level(level: str, folder: Path) -> list[Item]:
    source = folder / "val.json"
    items = []
    for number, fields in enumerate(read_rows(source), 1):
        try:
            items.append(_item(level, folder, msgspec.convert(fields, type=_SourceRow, strict=False)))
        except ValueError as error:
            raise DataError(f"{source}, row {number}: {error}; correct this row or copy the file again") from error
    return items


def _item(level: str, folder: Path, row: _SourceRow) -> Item:
    images = [row.images] if isinstance(row.images, str) else row.images
    if len(images) != 1:
        raise ValueError(f"there are {len(images)} images; expected one")
    image = _image(folder, images[0])
    solution = tagged[1] if (tagged := _TAGGED.fullmatch(row.solution)) else row.solution
    if not solution.strip():
        raise ValueError("the solution is empty")
    question = Question(
        id=f"{level.lower()}/{row.doc_id}",
        benchmark="visual_probe",
        category=level.lower(),
        cluster=f"{level}/{PurePosixPath(images[0]).name}",
        text=row.problem.replace("<image>", "").strip(),
        options=(),
        answer=solution.strip(),
    )
    return Item(question, ImageSource(path=str(image)))


def _image(folder: Path, name: str) -> Path:
    """The image's file: its path is relative to the folder, or to the one above it."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.name:
        raise ValueError(f"the image {name!r} is not a file below the folder; expected a path like data/1.jpg")
    places = (folder / path, folder.parent / path, folder / "data" / path.name)
    return next((place for place in places if place.is_file()), places[-1])


VISUAL_PROBE = Benchmark(load, tuple(part(level.lower(), level.lower()) for level in LEVELS))
