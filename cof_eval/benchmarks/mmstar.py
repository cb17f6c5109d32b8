"""MMStar: 1,500 questions that cannot be answered without the image (Chen et al. 2024, arXiv 2403.20330).

Dataset card `Lin-Chen/MMStar`, split `val`; columns as in lmms-eval's task `mmstar`: `index`, `question` (the options
inside), `answer` (a letter), `category` (six), `l2_category` (eighteen), `image`. The question is asked as it stands.
Where its options cannot be told apart, only their letters are known here: an answer in words is then left to the judge.

lmms-eval's `average` is the mean over the eighteen l2 categories (`acc_macro`); papers also give the mean over rows (`acc_micro`, which
is `acc`).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec

from ..core.letters import option_letters
from ..core.records import Question
from .item import Benchmark, Rows
from .loading import Table, load_items
from .metrics import MACRO, MICRO, part
from .options import ANSWER_LETTER, choice_text, inline_options

CATEGORIES = (
    "coarse perception",
    "fine-grained perception",
    "instance reasoning",
    "logical reasoning",
    "science & technology",
    "math",
)
_LETTERS = option_letters(4)

TABLE = Table(
    benchmark="mmstar",
    title="MMStar",
    repository="Lin-Chen/MMStar",
    files=("mmstar.parquet",),
)


class _SourceRow(msgspec.Struct):
    index: int | str
    question: str
    answer: str
    category: str
    l2_category: str = ""


def load(data: Path | None) -> Rows:
    """Every row; see `loading.load_items`."""
    return load_items(TABLE, data, _SourceRow, _question)


def _question(benchmark: str, image: str, row: _SourceRow) -> Question:
    answer = row.answer.strip().upper()
    options = inline_options(row.question)
    known = len(options) > _LETTERS.index(answer) if answer in _LETTERS else bool(options)
    return Question(
        id=str(row.index),
        benchmark=benchmark,
        category="/".join(filter(None, (row.category, row.l2_category))),
        cluster=image,
        text=choice_text(row.question, (), ANSWER_LETTER),
        options=options if known else _LETTERS,
        answer=answer,
    )


_PARTS = tuple(part(name.replace(" & ", "_").replace(" ", "_"), name) for name in CATEGORIES)


def _earlier(question: Question) -> Question:
    return replace(question, category=question.category.partition("/")[0])


MMSTAR = Benchmark(load, (MACRO, MICRO, *_PARTS), earlier=_earlier)
