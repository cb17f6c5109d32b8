"""POPE: is there such an object in the image? Yes or no (Li et al. 2023, arXiv 2305.10355).

Dataset card `lmms-lab-encoder/POPE`, split `test`, 9,000 rows; columns as in lmms-eval's task `pope`: `question_id` (counts
anew in each category), `question`, `answer` (yes or no), `category` (adversarial, popular, random), `image`. The categories
ask the same "yes" questions about the same 500 images, so these are generated once.

The authors' own files (github.com/AoiDragon/POPE, `output/coco`) are read too: `coco_pope_random.json` and so on, JSON lines of
`question_id`, `image` (a file of COCO's `val2014`), `text` and `label`; their names say the category.
"""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from ..core.records import Question
from .item import Benchmark, Rows
from .loading import ANY_TABLE, Table, load_items
from .metrics import YES_NO
from .options import ANSWER_SHORTLY, choice_text

_CATEGORY = re.compile(r"_pope_(adversarial|popular|random)$")


def _category(file: Path) -> dict[str, str]:
    found = _CATEGORY.search(file.stem)
    return {"category": found[1]} if found else {}


TABLE = Table(
    benchmark="pope",
    title="POPE",
    repository="lmms-lab-encoder/POPE",
    files=("data/test-*.parquet",),
    local=(*ANY_TABLE, "coco_pope_*.json", "*/coco_pope_*.json", "output/coco/coco_pope_*.json"),
    images=("images", "val2014"),
    renamed={"text": "question", "label": "answer"},
    from_file=_category,
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
        text=choice_text(row.question, (), ANSWER_SHORTLY),
        options=(),
        answer=answer,
    )


POPE = Benchmark(load, YES_NO)
