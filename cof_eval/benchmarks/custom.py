"""The user's own images and questions.

A JSONL file, or a folder with one, has a line per question: `question` and `image` (a path relative to the file's folder). Where
they are known, it also has `options`, `answer`, `boxes`, `id` and `category`. `options` is a list of texts. `answer` is a letter
or an option's text; for open questions it is a text, or a list of texts that are all right. `boxes` is a list of [x1, y1, x2, y2],
px of the native image. Or a folder of images, each with a JSON file of the same name that holds these fields. Rows without an
answer are run and not scored.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from ..core.errors import DataError
from ..core.images import ImageSource
from ..core.letters import LETTERS
from ..core.records import Corners, Question
from .item import Benchmark, Item
from .loading import with_distinct_ids
from .options import ANSWER_LETTER, choice_text, listed_options
from .tables import read_rows

_EXPECTED = 'expected a JSONL file with {"image": …, "question": …} a line, a folder with one, or a folder of images with JSON files next to them'


class _SourceRow(msgspec.Struct, forbid_unknown_fields=True):
    question: str
    image: str
    options: list[str] = []
    answer: str | list[str] | None = None
    boxes: list[Corners] = []
    id: int | str | None = None
    category: str = ""


def load(data: Path | None) -> list[Item]:
    """Every question of the user's file or folder, in its order.

    Raises:
        DataError: if none was given, it cannot be read, or a row is not as expected, naming it.
    """
    if data is None:
        raise DataError("custom has no data of its own; pass --data custom=PATH, or set COF_DATA_CUSTOM: " + _EXPECTED)
    rows = [_item(*found) for found in _rows(data)]
    if not rows:
        raise DataError(f"{data} holds no question; {_EXPECTED}")
    return with_distinct_ids(rows)


def _rows(data: Path) -> list[tuple[Path, str, str, dict[str, Any]]]:
    """(folder, where it stands, name, fields) of every row."""
    tables = [data] if data.is_file() else sorted(data.glob("*.jsonl"))
    if tables:
        return [
            (file.parent, f"{file}, row {number}", str(number), fields)
            for file in tables
            for number, fields in enumerate(read_rows(file), 1)
        ]
    return [(file.parent, str(file), file.stem, _beside(file)) for file in sorted(data.glob("*.json"))]


def _beside(file: Path) -> dict[str, Any]:
    """The fields of one JSON file; its image is the other file of that name, unless it says which."""
    try:
        fields = msgspec.json.decode(file.read_bytes(), type=dict[str, Any])
    except (OSError, ValueError) as error:
        raise DataError(f"{file} cannot be read ({error}); {_EXPECTED}") from error
    images = sorted(path.name for path in file.parent.glob(f"{file.stem}.*") if path != file)
    return {"image": images[0], **fields} if images else fields


def _item(folder: Path, where: str, name: str, fields: dict[str, Any]) -> Item:
    try:
        row = msgspec.convert(fields, type=_SourceRow, strict=False)
        question = _question(name, row)
    except ValueError as error:
        raise DataError(f"{where}: {error}; correct it") from error
    return Item(question, ImageSource(path=str(folder / Path(row.image).expanduser())))


def _question(name: str, row: _SourceRow) -> Question:
    options = listed_options(row.options)
    answers = [row.answer] if isinstance(row.answer, str) else row.answer or []
    answers = [answer.strip() for answer in answers if answer.strip()]
    if options and answers:
        answers = [_letter(answer, options) for answer in answers]
    if options and len(answers) > 1:
        raise ValueError(f"there are options and {len(answers)} answers; expected one option's letter or text")
    return Question(
        id=str(name if row.id is None else row.id),
        benchmark="custom",
        category=row.category,
        cluster=row.image,
        text=choice_text(row.question, options, ANSWER_LETTER) if options else row.question,
        options=options,
        answer=answers[0] if answers else "",
        boxes=tuple(row.boxes),
        also=tuple(answers[1:]),
    )


def _letter(answer: str, options: tuple[str, ...]) -> str:
    """The letter of an option that is given by its letter or its text."""
    letter = answer.strip("()").upper()
    named = letter if letter in LETTERS[: len(options)] else ""
    spelled = LETTERS[options.index(answer)] if answer in options else ""
    if named and spelled and named != spelled:
        raise ValueError(
            f"the answer {answer!r} is both a letter and the text of option {spelled}; write ({named}) or change the text"
        )
    return named or spelled or answer


CUSTOM = Benchmark(load)
