"""V*: questions about small details of large photographs (Wu & Xie 2023, arXiv 2312.14135).

Dataset card: `craigwu/vstar_bench`, 191 rows: 115 direct_attributes (four options), 76 relative_position (two). The folder
holds `test_questions.jsonl` and, per category, the images, each next to a JSON with its annotated boxes. Options are kept in
the order of the rows; in the JSON next to an image the right option always comes first, so that order is never used.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import msgspec

from ..core.errors import DataError
from ..core.images import ImageSource
from ..core.letters import LETTERS
from ..core.records import Corners, Question
from .hub import fetch_folder
from .item import Benchmark, Item

REPOSITORY = "craigwu/vstar_bench"
QUESTIONS = "test_questions.jsonl"
_OPTION = re.compile(r"^[ \t]*\(([A-Z])\)[ \t]*(\S.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class _SourceRow:
    """One line of the questions' file."""

    image: str
    text: str
    label: str
    category: str
    question_id: int | str


@dataclass(frozen=True, slots=True)
class _Annotation:
    """The JSON next to an image, as far as it is used."""

    bbox: list[tuple[float, float, float, float]]
    """(x, y, width, height), px of the native image."""


def load(data: Path | None) -> list[Item]:
    """Every question of V*, in the order of the file.

    An image that is missing is no error here: its row is answered with an `ImageError` later and counted as unscored.

    Args:
        data: a folder in the layout of `craigwu/vstar_bench`; None to fetch it from the Hugging Face hub.

    Raises:
        DataError: if the folder, the questions' file, a row or a box annotation is not as expected.
    """
    return load_folder(fetch_folder("V*", "vstar", REPOSITORY) if data is None else data)


def load_folder(folder: Path, benchmark: str = "vstar") -> list[Item]:
    """Every question of a folder in the layout of V*, as questions of `benchmark`.

    Raises:
        DataError: as `load`.
    """
    source = folder / QUESTIONS
    lines = load_questions(source).removeprefix(b"\xef\xbb\xbf").splitlines()
    items = [_item(benchmark, folder, line, f"{source}, line {n}") for n, line in enumerate(lines, start=1) if line.strip()]
    if not items:
        raise DataError(f"{source} holds no question; expected one JSON object a line: copy the file from {REPOSITORY} again")
    return items


def load_questions(source: Path) -> bytes:
    """The questions' file, as stored.

    Raises:
        DataError: if it cannot be read.
    """
    try:
        return source.read_bytes()
    except OSError as error:
        missing = source.parent if not source.parent.is_dir() else source
        raise DataError(
            f"{missing} cannot be read ({error.strerror}); expected a folder with {QUESTIONS}, direct_attributes/ and "
            f"relative_position/, as in {REPOSITORY}: correct --data vstar=FOLDER"
        ) from error


def load_boxes(annotation: Path) -> tuple[Corners, ...]:
    """The annotated targets as (x1, y1, x2, y2), px of the native image; none if there is no such file.

    Boxes without any area are excluded.

    Raises:
        DataError: if the file is there but holds no list of boxes.
    """
    try:
        boxes = msgspec.json.decode(annotation.read_bytes(), type=_Annotation).bbox
    except FileNotFoundError:
        return ()
    except (OSError, msgspec.DecodeError) as error:
        raise DataError(
            f'{annotation}: {error}; expected "bbox": [[x, y, width, height], …]: correct the file, or remove it to go without boxes'
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
    return tuple(match[2].strip() for match in found)


def _item(benchmark: str, folder: Path, line: bytes, where: str) -> Item:
    try:
        row = msgspec.json.decode(line, type=_SourceRow)
        relative = _inside(row.image)
        options = parse_options(row.text)
        if not row.label:
            raise ValueError("the question has the label ''; expected an option's letter")
        boxes = load_boxes(folder / relative.with_suffix(".json"))
        question = Question(
            id=str(row.question_id),
            benchmark=benchmark,
            category=row.category,
            cluster=row.image,
            text=row.text,
            options=options,
            answer=row.label,
            boxes=boxes,
        )
    except DataError:
        raise
    except ValueError as error:  # msgspec's errors are ValueErrors too
        raise DataError(f"{where}: {error}; correct this line or copy the file from {REPOSITORY} again") from error
    return Item(question, ImageSource(path=str(folder / relative)))


def _inside(image: str) -> PurePosixPath:
    """The image's path, refused if it leaves the folder (by its words alone: the hub's cache links to files elsewhere)."""
    path = PurePosixPath(image)
    if path.is_absolute() or ".." in path.parts or not path.name:
        raise ValueError(f"the image {image!r} is not a file below the folder; expected a path like direct_attributes/1.jpg")
    return path


VSTAR = Benchmark(load)
