"""POPE: is there such an object in the image? Yes or no (Li et al. 2023, arXiv 2305.10355).

Dataset card `lmms-lab-encoder/POPE`, split `test`, 9,000 rows; columns as in lmms-eval's task `pope`: `question_id` (counts
anew in each category), `question`, `answer` (yes or no), `category` (adversarial, popular, random), `image`. The categories
ask the same "yes" questions about the same 500 images, so these are generated once.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from ..core.records import Question
from .item import Benchmark, Rows
from .loading import Table, load_items
from .metrics import YES_NO
from .options import ANSWER_SHORTLY

TABLE = Table(
    benchmark="pope",
    title="POPE",
    repository="lmms-lab-encoder/POPE",
    files=("data/test-*.parquet",),
)


class _SourceRow(msgspec.Struct):
    question_id: int | str
    question: str
    answer: str
    category: str


def load(data: Path | None) -> Rows:
    """Every row; see `loading.load_items`."""
    return load_items(TABLE, data, _SourceRow, _question)


def _question(benchmark: str, image: str, row: _SourceRow) -> Question:
    answer = row.answer.strip().lower()
    if answer not in ("yes", "no"):
        raise ValueError(f"the answer is {row.answer!r}; expected yes or no")
    return Question(
        id=f"{row.category}/{row.question_id}",
        benchmark=benchmark,
        category=row.category,
        cluster=image,
        text=f"{row.question.strip()}\n{ANSWER_SHORTLY}",
        options=(),
        answer=answer,
    )


POPE = Benchmark(load, YES_NO)
