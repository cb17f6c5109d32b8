"""The user's own images and questions.

A JSONL file, or a folder with one, has a line per question: `question` and `image` (a path relative to the file's folder). Where
they are known, it also has `options`, `answer`, `boxes`, `id` and `category`. Any further column is kept, and its values are categories. `options` is a list of texts. `answer` is a letter
or an option's text; for open questions it is a text, or a list of texts that are all right. `boxes` is a list of [x1, y1, x2, y2],
px of the native image. Or a folder of images, each with a JSON file of the same name that holds these fields. Rows without an
answer are run and not scored.
"""

from __future__ import annotations

import json
import posixpath
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import msgspec

from ..core.data_paths import path_below
from ..core.errors import DataError
from ..core.files import read_regular
from ..core.images import ImageSource
from ..core.records import Corners, Question
from ..core.text import cut
from .boxes import parse_boxes
from .fields import convert_row
from .image_cells import IMAGE_SUFFIXES
from .item import ROW_ERRORS, BadRow, Benchmark, Item, Rows
from .json_rows import parse_object
from .options import ANSWER_LETTER, choice_text, listed_options, listed_texts, option_letter
from .readers import SourceRow, read_rows
from .text_files import text_encoding

_EXPECTED = 'expected a JSONL file with {"image": …, "question": …} a line, a folder with one, or a folder of images with JSON files next to them'
_MAX_ROW = 1 << 24
"""Bytes of a JSON file with one question."""


class _SourceRow(msgspec.Struct):
    question: str
    image: str
    options: list[str | int | float] | str = []
    answer: str | int | float | list[str | int | float] | None = None
    boxes: list[Corners] | str = []
    id: int | str | None = None
    category: str = ""


KNOWN = tuple(each.name for each in msgspec.structs.fields(_SourceRow))
_MEANT = {
    **dict.fromkeys(("bbox", "bboxes", "box"), "boxes"),
    **dict.fromkeys(("choices", "candidates"), "options"),
    **dict.fromkeys(("label", "reference", "solution", "gt", "ground_truth"), "answer"),
    **dict.fromkeys(("prompt", "query", "text", "problem"), "question"),
    **dict.fromkeys(("file_name", "filename", "path", "img"), "image"),
}
"""What other data sets call the known columns: with such a name instead of the known one, a column would be lost in silence."""
_ALIKE = 0.8
"""Likeness (`difflib`) from which a name is taken for a known one misspelled."""


def load(data: Path | None) -> Rows:
    """Every question of the user's file or folder, in its order.

    Raises:
        DataError: if none was given, it cannot be read, or no row is as expected, naming the first.
    """
    if data is None:
        raise DataError("custom has no data of its own; pass --data custom=PATH, or set COF_DATA_CUSTOM: " + _EXPECTED)
    return Rows.collect((_item(*found) for found in _rows(data)), f"{data} holds no question; {_EXPECTED}")


def _rows(data: Path) -> Iterator[tuple[Path, str, SourceRow]]:
    """(folder, name, row) of every row."""
    tables = [data] if data.is_file() else _files(data, ".jsonl")
    for file in tables:
        yield from ((file.parent, str(source.number), source) for source in read_rows(file))
    if not tables:
        yield from ((file.parent, file.stem, _beside(file)) for file in _files(data, ".json"))


def _files(folder: Path, ending: str) -> list[Path]:
    return sorted(p for p in folder.glob("*") if p.suffix.lower() == ending and p.is_file() and not p.name.startswith("."))


def _beside(file: Path) -> SourceRow:
    """The row of one JSON file; its image is the image file of that name, unless it says which."""
    try:
        data = read_regular(file, max_bytes=_MAX_ROW)
        fields = parse_object(data.decode(text_encoding(data[:4])))
    except (OSError, ValueError) as error:
        return SourceRow(1, str(file), {}, problem=f"it cannot be read ({error})")
    if isinstance(fields, str):
        return SourceRow(1, str(file), {}, problem=fields)
    if fields.get("image") is not None:
        return SourceRow(1, str(file), fields)
    images = sorted(p.name for p in file.parent.iterdir() if p.stem == file.stem and p.suffix.lower() in IMAGE_SUFFIXES)
    if len(images) != 1:
        found = " and ".join(images) if images else "none"
        says = f"expected one image named {file.stem!r}, found {found}; keep one, or name it in the field `image`"
        return SourceRow(1, str(file), {}, problem=says)
    return SourceRow(1, str(file), {**fields, "image": images[0]})


def _item(folder: Path, name: str, source: SourceRow) -> Item | BadRow:
    try:
        if source.problem:
            raise ValueError(source.problem)
        further = _further(source.fields)
        row = convert_row({field: value for field, value in source.fields.items() if field in KNOWN}, _SourceRow)
        question = _question(name, row, further)
        image = path_below(folder, row.image)
    except ROW_ERRORS as error:
        known = f"; known: {', '.join(KNOWN)}" if "missing required field" in str(error) else ""
        return BadRow(source.where, f"{error}{known}; correct it")
    return Item(question, ImageSource(path=str(image)))


def _further(fields: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """The columns that mean nothing here, as texts.

    Raises:
        ValueError: for one that probably means a known column which the row has not.
    """
    kept = {}
    for name, value in fields.items():
        if name in KNOWN or value is None:
            continue
        meant = _MEANT.get(name.casefold()) or next(iter(get_close_matches(name.casefold(), KNOWN, 1, _ALIKE)), "")
        if meant and fields.get(meant) is None:
            raise ValueError(
                f"unknown field {cut(name)}: write {meant!r} if that is meant; known: {', '.join(KNOWN)}. Other names are further columns"
            )
        kept[name] = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return tuple(kept.items())


def _question(name: str, row: _SourceRow, further: tuple[tuple[str, str], ...]) -> Question:
    options = listed_options(row.options)
    answers = listed_texts(row.answer if isinstance(row.answer, list) else [] if row.answer is None else [row.answer])
    answers = [answer.strip() for answer in answers if answer.strip()]
    if options:
        _check_distinct(options)
        answers = [option_letter(answer, options) for answer in answers]
    if options and len(answers) > 1:
        raise ValueError(f"there are options and {len(answers)} answers; expected one option's letter or text")
    return Question(
        id=str(name if row.id is None else row.id),
        benchmark="custom",
        category=row.category,
        cluster=posixpath.normpath(row.image),
        text=choice_text(row.question, options, ANSWER_LETTER) if options else row.question,
        options=options,
        answer=answers[0] if answers else "",
        boxes=_boxes(row.boxes),
        also=tuple(answers[1:]),
        extra=further,
    )


def _boxes(value: list[Corners] | str) -> tuple[Corners, ...]:
    boxes = tuple(value) if isinstance(value, list) else parse_boxes(value)
    flat = next((box for box in boxes if not (box[0] < box[2] and box[1] < box[3])), None)
    if flat is not None:
        raise ValueError(f"the box {list(flat)} has no area; expected [x1, y1, x2, y2] with x1 < x2 and y1 < y2")
    return boxes


def _check_distinct(options: Sequence[str]) -> None:
    twice = next((option for i, option in enumerate(options) if option in options[:i]), None)
    if twice is not None:
        raise ValueError(f"the option {cut(twice)} stands twice, so that only letters could tell right from wrong; change one")


CUSTOM = Benchmark(load)
