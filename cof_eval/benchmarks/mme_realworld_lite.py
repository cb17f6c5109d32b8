"""MME-RealWorld-Lite: real-world questions about large images, five options each (Zhang et al. 2024, arXiv 2408.13257).

Dataset card `yifanzhang114/MME-RealWorld-lite-lmms-eval`, split `train`; columns as in lmms-eval's task `mmerealworld_lite`:
`index`, `question`, `multi-choice options` (a list of "(A) …"), `answer` (a letter), `category` ("Perception/…" or
"Reasoning/…"), `l2-category` (the domain), `bytes` (base64). Option E says that the image does not tell.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from ..core.records import Question
from .item import Benchmark, Rows
from .loading import Table, load_items
from .metrics import part
from .options import choice_text, listed_options

CLOSING = (
    "Select the best answer to the above multiple-choice question based on the image. "
    "Respond with only the letter (A, B, C, D, or E) of the correct option."
)
"""lmms-eval's task `mmerealworld_lite`."""

TABLE = Table(
    benchmark="mme_realworld_lite",
    title="MME-RealWorld-Lite",
    repository="yifanzhang114/MME-RealWorld-lite-lmms-eval",
    files=("data/train-*.parquet",),
    image="bytes",
)


class _SourceRow(msgspec.Struct):
    index: int | str
    question: str
    answer: str
    category: str
    options: list[str] | str = msgspec.field(name="multi-choice options")
    domain: str = msgspec.field(name="l2-category", default="")


def load(data: Path | None) -> Rows:
    """Every row; see `loading.load_items`."""
    return load_items(TABLE, data, _SourceRow, _question)


def _question(benchmark: str, image: str, row: _SourceRow) -> Question:
    options = listed_options(row.options)
    task = "Perception" if "perception" in row.category.lower() else "Reasoning"
    return Question(
        id=str(row.index),
        benchmark=benchmark,
        category="/".join(filter(None, (task, row.domain))),
        cluster=image,
        text=choice_text(row.question, options, CLOSING),
        options=options,
        answer=row.answer.strip(),
    )


MME_REALWORLD_LITE = Benchmark(load, (part("perception", "Perception"), part("reasoning", "Reasoning")))
