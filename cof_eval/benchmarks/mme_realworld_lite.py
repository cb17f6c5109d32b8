"""MME-RealWorld-Lite: real-world questions about large images, five options each (Zhang et al. 2024, arXiv 2408.13257).

Dataset card `yifanzhang114/MME-RealWorld-lite-lmms-eval`, split `train`; columns as in lmms-eval's task `mmerealworld_lite`:
`index`, `question`, `multi-choice options` (a list of "(A) …"), `answer` (a letter), `category` ("Perception/DOMAIN" or
"Reasoning/DOMAIN"), `l2-category` (the fine task), `bytes` (base64). Option E says that the image does not tell.

The authors' own `MME_RealWorld_Lite.json` is read too: `Question_id`, `Image` (a file), `Text`, `Answer choices`, `Ground truth`,
`Task`, `Subtask` (the domain), `Category` (the fine task), as their `evaluation/eval_your_results.py` reads them.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec

from ..core.records import Question
from ..core.text import cut
from .item import Benchmark, Rows
from .loading import ANY_TABLE, Table, load_items
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
    local=(*ANY_TABLE, "MME_RealWorld_Lite.json", "*/MME_RealWorld_Lite.json"),
    image="bytes",
    images=("images", "imgs", "data"),
    renamed={
        "Question_id": "index",
        "Image": "bytes",
        "Text": "question",
        "Answer choices": "multi-choice options",
        "Ground truth": "answer",
        "Category": "l2-category",
    },
)


class _SourceRow(msgspec.Struct):
    index: int | str
    question: str
    answer: str
    options: list[str] | str = msgspec.field(name="multi-choice options")
    category: str = ""
    fine_task: str = msgspec.field(name="l2-category", default="")
    Task: str = ""
    Subtask: str = ""


def load(data: Path | None) -> Rows:
    """Every row; see `loading.load_items`."""
    return load_items(TABLE, data, _SourceRow, _question)


def _question(benchmark: str, image: str, row: _SourceRow) -> Question:
    options = listed_options(row.options)
    kind, _, domain = row.category.partition("/")
    task, domain = row.Task or kind, row.Subtask or domain
    if task.lower() not in ("perception", "reasoning"):
        raise ValueError(f"the task is {cut(task)}; expected Perception or Reasoning, at the start of `category` or in `Task`")
    return Question(
        id=str(row.index),
        benchmark=benchmark,
        category="/".join(filter(None, (task.capitalize(), domain, row.fine_task))),
        cluster=image,
        text=choice_text(row.question, options, CLOSING),
        options=options,
        answer=row.answer.strip(),
    )


def _earlier(question: Question) -> Question:
    """Its category was the task and the fine task, without the domain."""
    task, _, rest = question.category.partition("/")
    return replace(question, category="/".join(filter(None, (task, rest.partition("/")[2]))))


_PARTS = (part("perception", "Perception"), part("reasoning", "Reasoning"))
MME_REALWORLD_LITE = Benchmark(load, _PARTS, earlier=_earlier)
