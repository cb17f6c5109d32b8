"""VisualProbe: open questions about tiny details of large photographs, in three levels (Lai et al. 2025, arXiv 2509.07969).

Datasets: `Mini-o3/VisualProbe_Easy` (141 rows), `_Medium` (268) and `_Hard` (106). Each has its images in `data/`, and a
list of rows in `val.json`. A row has `doc_id`, `images` (one path, for instance `VisualProbe_Easy/data/1.jpg`), `problem`
(beginning with "<image>"), `solution` and `data_source`. Answers are free text; those that the rules cannot decide need an
LLM judge.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import msgspec

from ..core.errors import DataError
from ..core.images import ImageSource
from ..core.records import Question
from .fields import convert_row
from .hub import fetch_folder
from .image_cells import find_image
from .item import ROW_ERRORS, BadRow, Benchmark, Item, Rows
from .metrics import part
from .readers import read_rows

LEVELS = ("Easy", "Medium", "Hard")
_TAGGED = re.compile(r"\s*<answer>(.*)</answer>\s*", re.DOTALL)


class _SourceRow(msgspec.Struct):
    doc_id: int | str
    images: list[str] | str
    problem: str
    solution: str


def load(data: Path | None) -> Rows:
    """Every row of the three levels, or of those that are there.

    Args:
        data: a folder with `VisualProbe_Easy/`, `VisualProbe_Medium/` and `VisualProbe_Hard/` (each with `val.json`), or one of
            these three; None to fetch all from the hub.

    Raises:
        DataError: if the data cannot be had, or no row is as expected, naming the first.
    """
    folders = _fetched() if data is None else _found(data)
    found = [row for level, folder in folders.items() for row in _level(level, folder)]
    return Rows.collect(found, "VisualProbe's val.json holds no row; copy it again")


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


def _level(level: str, folder: Path) -> Iterator[Item | BadRow]:
    for source in read_rows(folder / "val.json"):
        try:
            if source.problem:
                raise ValueError(source.problem)
            yield _item(level, folder, convert_row(source.fields, _SourceRow))
        except ROW_ERRORS as error:
            yield BadRow(source.where, f"{error}; correct this row or copy the file again")


def _item(level: str, folder: Path, row: _SourceRow) -> Item:
    images = [row.images] if isinstance(row.images, str) else row.images
    if len(images) != 1:
        raise ValueError(f"there are {len(images)} images; expected one")
    image = _image(level, folder, images[0])
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


def _image(level: str, folder: Path, name: str) -> Path:
    """The image's file: its path is relative to the folder, with or without the dataset's name before it, or to `data`."""
    path = PurePosixPath(name)
    inner = path.relative_to(f"VisualProbe_{level}") if path.parts[:1] == (f"VisualProbe_{level}",) else path
    return find_image([str(inner)], [folder] if len(inner.parts) > 1 else [folder, folder / "data"], folder)


VISUAL_PROBE = Benchmark(load, tuple(part(level.lower(), level.lower()) for level in LEVELS))
