"""TreeBench: second-order questions about small objects in dense scenes, with boxes (Wang et al. 2025, arXiv 2507.07999).

Dataset card `HaochenWang/TreeBench`, `TreeBench.tsv`, 405 rows; columns as read by the authors' `inference_treebench.py`:
`index`, `question`, `multi-choice options` (text), `answer` (a letter), `category` ("Perception/OCR", …), `target_instances`
(text: a list of [x1, y1, x2, y2], px of the native image), `image` (base64).
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from ..core.records import Question
from .boxes import Boxes, parse_boxes
from .item import Benchmark, Rows
from .loading import Table, load_items
from .metrics import part
from .options import choice_text, inline_options, listed_options

CLOSING = "Select the best answer to the above multiple-choice question based on the image."
"""The authors' `inference_treebench.py`, without its prescription of an answer's syntax."""

TABLE = Table(
    benchmark="treebench",
    title="TreeBench",
    repository="HaochenWang/TreeBench",
    files=("TreeBench.tsv",),
)


class _SourceRow(msgspec.Struct):
    index: int | str
    question: str
    answer: str
    category: str
    options: list[str] | str | None = msgspec.field(name="multi-choice options", default=None)
    target_instances: Boxes = None


def load(data: Path | None) -> Rows:
    """Every row; see `loading.load_items`."""
    return load_items(TABLE, data, _SourceRow, _question)


def _question(benchmark: str, image: str, row: _SourceRow) -> Question:
    listed = listed_options(row.options or ())
    options = listed or inline_options(row.question)
    if not options:
        raise ValueError(f"the question {row.question!r} has no options")
    return Question(
        id=str(row.index),
        benchmark=benchmark,
        category=row.category,
        cluster=image,
        text=choice_text(row.question, listed, CLOSING),
        options=options,
        answer=row.answer.strip().upper(),
        boxes=parse_boxes(row.target_instances),
    )


TREEBENCH = Benchmark(load, (part("perception", "Perception"), part("reasoning", "Reasoning")))
