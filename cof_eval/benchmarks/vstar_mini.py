"""vstar_mini: questions about the small plates of a synthetic world (`synthetic`), written in the layout of V*.

Without data of the user's, it is the test set: drawn from a seed that nothing is trained on, and kept in the cache folder. Any
other seed gives a set of its own: `python -m cof_eval.cli.scenes FOLDER --seed SEED`.
"""

from __future__ import annotations

import json
from pathlib import Path

from filelock import FileLock

from ..core.errors import DataError, system_says
from ..core.images import encode_png
from ..core.letters import LETTERS
from ..core.records import digest
from ..core.settings import cache_folder
from .item import Benchmark, Rows
from .options import ANSWER_LETTER, choice_text
from .synthetic import questions, world
from .vstar import QUESTIONS, load_folder

TEST_SEED, TEST_COUNT = "test", 200
"""Of the test set."""
TRAINING = "train"
"""Seeds of training sets begin so; the test set's does not."""

FORMAT = 2
"""Version of the world; raised when equal seeds come to give other scenes."""
_LAST = "complete.json"
"""Written last: a folder without it was not finished."""


def load(data: Path | None) -> Rows:
    """Every question of a folder that `write_folder` wrote; None for the test set.

    Raises:
        DataError: if the folder is not as expected, or the test set cannot be written.
    """
    return load_folder(_test_set() if data is None else data, "vstar_mini")


def question_text(asked: questions.SceneQuestion) -> str:
    """What the model is asked: question, options, and how to answer."""
    return choice_text(asked.question, asked.options, ANSWER_LETTER)


def write_folder(folder: Path, *, count: int, seed: int | str) -> Path:
    """Writes `count` questions with an image each, equal for equal arguments; returns the folder.

    Raises:
        DataError: if `count` is less than 1.
    """
    if count < 1:
        raise DataError(f"a set of {count} questions cannot be written; expected a count of at least 1")
    for category in (questions.DIRECT, questions.RELATIVE):
        (folder / category).mkdir(parents=True, exist_ok=True)
    rows = [_write(folder, index, asked) for index, asked in enumerate(questions.make_questions(count, seed=seed))]
    (folder / QUESTIONS).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return folder


def _write(folder: Path, index: int, asked: questions.SceneQuestion) -> dict[str, object]:
    """Writes an image and its annotation; returns the row of the questions' file."""
    name = f"{asked.category}/{index:04}.png"
    (folder / name).write_bytes(encode_png(world.paint(asked.scene)))
    boxes = [(x1, y1, x2 - x1, y2 - y1) for x1, y1, x2, y2 in (world.pixel_box(t, world.NATIVE) for t in asked.targets)]
    annotation = {"target_object": [f"{t.colour} plate" for t in asked.targets], "bbox": boxes}
    (folder / name).with_suffix(".json").write_text(json.dumps(annotation), encoding="utf-8")
    text = question_text(asked)
    return {"image": name, "text": text, "label": LETTERS[asked.right], "category": asked.category, "question_id": index}


def _place() -> Path:
    """The test set's folder in the cache."""
    return cache_folder() / "vstar_mini" / digest("vstar_mini", FORMAT, TEST_SEED, TEST_COUNT)


def _waits_for() -> str:
    return (
        "" if (_place() / _LAST).is_file() else f"drawing its {TEST_COUNT} scenes once, into {cache_folder()}, some ten seconds"
    )


def _test_set() -> Path:
    """The test set's folder in the cache, written if it is not there."""
    folder = _place()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".lock"):
            if not (folder / _LAST).is_file():
                write_folder(folder, count=TEST_COUNT, seed=TEST_SEED)
                (folder / _LAST).write_text("{}", encoding="utf-8")
    except OSError as error:
        raise DataError(
            f"the scenes of vstar_mini cannot be written to {folder} "
            f"({system_says(error, 'check permissions and free space, or choose another place with COF_CACHE')})"
        ) from error
    return folder


VSTAR_MINI = Benchmark(load, waits_for=_waits_for)
