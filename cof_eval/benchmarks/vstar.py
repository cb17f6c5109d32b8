"""V*: questions about small details of large photographs (Wu & Xie 2023, arXiv 2312.14135).

Dataset card: `craigwu/vstar_bench`, 191 rows: 115 direct_attributes (four options), 76 relative_position (two). The folder
holds `test_questions.jsonl` and, per category, the images, each next to a JSON with its annotated boxes. Options are kept in
the order of the rows; in the JSON next to an image the right option always comes first, so that order is never used.
"""

from __future__ import annotations

import posixpath
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import msgspec

from ..core.data_paths import path_below
from ..core.errors import DataError
from ..core.files import read_regular
from ..core.images import ImageSource
from ..core.letters import LETTERS
from ..core.records import Corners, Question
from ..core.text import cut
from .fields import convert_row
from .hub import fetch_folder
from .image_cells import IMAGE_SUFFIXES
from .item import ROW_ERRORS, BadRow, Benchmark, Item, Rows
from .json_rows import parse_object
from .readers import SourceRow, read_rows
from .text_files import text_encoding

REPOSITORY = "craigwu/vstar_bench"
QUESTIONS = "test_questions.jsonl"
_OPTION = re.compile(r"^[ \t]*\(([A-Z])\)[ \t]*(\S.*)$", re.MULTILINE)


_SUFFIX = re.compile(r"#\d+$")
_MAX_ANNOTATION = 1 << 24
"""Bytes of a file of boxes; V*'s have some hundred."""


class _SourceRow(msgspec.Struct):
    """One line of the questions' file."""

    image: str
    text: str
    label: str
    category: str
    question_id: int | str


class _Annotation(msgspec.Struct):
    """The JSON next to an image, as far as it is used."""

    bbox: list[Corners] | None
    """(x, y, width, height), px of the native image."""


def load(data: Path | None) -> Rows:
    """Every question of V*, in the order of the file.

    An image that is missing is no error here: its row is answered with an `ImageError` later and counted as unscored.

    Args:
        data: a folder in the layout of `craigwu/vstar_bench`; None to fetch it from the Hugging Face hub.

    Raises:
        DataError: if the folder or the questions' file is not as expected, or none of its rows is.
    """
    return load_folder(fetch_folder("V*", "vstar", REPOSITORY) if data is None else data)


def load_folder(folder: Path, benchmark: str = "vstar") -> Rows:
    """Every question of a folder in the layout of V*, as questions of `benchmark`.

    Raises:
        DataError: as `load`.
    """
    source = folder / QUESTIONS
    if not source.is_file():
        missing = source if folder.is_dir() else folder
        why = "No such file or directory" if not missing.exists() else f"no {'file' if folder.is_dir() else 'folder'}"
        raise DataError(
            f"{missing} cannot be read ({why}); expected a folder with {QUESTIONS}, direct_attributes/ and "
            f"relative_position/, as in {REPOSITORY}: correct --data vstar=FOLDER"
        )
    names = _NamesakeCounts()
    return Rows.collect(
        (_item(benchmark, folder, row, names) for row in read_rows(source)),
        f"{source} holds no question; expected one JSON object a line: copy the file from {REPOSITORY} again",
    )


def load_boxes(annotation: Path) -> tuple[Corners, ...]:
    """The annotated targets as (x1, y1, x2, y2), px of the native image; none if there is no such file.

    Boxes without any area are excluded.

    Raises:
        ValueError: if the file is there but holds no list of boxes.
    """
    try:
        data = read_regular(annotation, max_bytes=_MAX_ANNOTATION)
        fields = parse_object(data.decode(text_encoding(data[:4])))
        if isinstance(fields, str):
            raise ValueError(fields)
        boxes = convert_row({"bbox": None, **fields}, _Annotation).bbox or []
    except FileNotFoundError:
        return ()
    except (OSError, ValueError) as error:
        says = error.strerror if isinstance(error, OSError) else error
        raise ValueError(
            f'{annotation}: {says}; expected "bbox": [[x, y, width, height], …]: correct the file, or remove it to go without boxes'
        ) from error
    return tuple((x, y, x + w, y + h) for x, y, w, h in boxes if w > 0 and h > 0)


def parse_options(text: str) -> tuple[str, ...]:
    """The texts of the lines "(A) …", "(B) …" of a question, in order.

    Raises:
        ValueError: if there are none, if their letters do not run A, B, …, or if no question comes before them.
    """
    found = list(_OPTION.finditer(text))
    letters = "".join(match[1] for match in found)
    if not letters or letters != LETTERS[: len(letters)]:
        raise ValueError(
            f'the options of {text!r} are lettered {", ".join(letters) or "nowhere"}; expected lines "(A) …", "(B) …"'
        )
    if not text[: found[0].start()].strip():
        raise ValueError(f"the text {text!r} has options but no question before them")
    if len(found) == 1:
        raise ValueError(f"the text {cut(text)} has one option; expected two or more")
    return tuple(match[2].strip() for match in found)


def _item(benchmark: str, folder: Path, source: SourceRow, namesakes: _NamesakeCounts) -> Item | BadRow:
    where = f"{folder / QUESTIONS}, line {source.line or source.number}"
    try:
        if source.problem:
            raise ValueError(source.problem)
        row = convert_row(source.fields, _SourceRow)
        image = path_below(folder, row.image)
        options = parse_options(row.text)
        if not row.label:
            raise ValueError("the question has the label ''; expected an option's letter")
        question = Question(
            id=str(row.question_id),
            benchmark=benchmark,
            category=row.category,
            cluster=posixpath.normpath(row.image),
            text=row.text,
            options=options,
            answer=row.label,
            boxes=load_boxes(namesakes.annotation(image)),
        )
    except ROW_ERRORS as error:
        return BadRow(where, f"{error}; correct this line or copy the file from {REPOSITORY} again")
    return Item(question, ImageSource(path=str(image)))


class _NamesakeCounts:
    """How many images of a folder have a name, ends aside: the boxes in `a.json` must belong to one image."""

    def __init__(self) -> None:
        self._folders: dict[Path, Counter[str]] = {}

    def annotation(self, image: Path) -> Path:
        """The file of an image's boxes.

        Raises:
            ValueError: if it could be that of another image, too.
        """
        annotation = image.with_suffix(".json")
        if annotation.is_file() and self._counts(image.parent)[image.stem] > 1:
            raise ValueError(f"several images are named {image.stem!r}, and {annotation} could belong to each; rename one")
        return annotation

    def _counts(self, folder: Path) -> Counter[str]:
        if folder not in self._folders:
            images = (path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)
            self._folders[folder] = Counter(path.stem for path in images)
        return self._folders[folder]


def _earlier(question: Question) -> Question:
    """Its id was the row's, even where another row has it."""
    return replace(question, id=_SUFFIX.sub("", question.id))


VSTAR = Benchmark(load, earlier=_earlier)
