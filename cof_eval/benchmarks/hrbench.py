"""HR-Bench: small details (single) and relations (cross) in photographs of 4K and 8K (Wang et al. 2024, arXiv 2408.15556).

Dataset card `DreamMr/HR-Bench`, config `hrbench_version_split`; columns as in lmms-eval's task `hrbench`: `index`,
`question`, `answer` (a letter), `A` to `D`, `category`, `cycle_category`, `image` (base64). 200 questions, each in four
rows with its options rotated: rows of one image are one cluster, and a question is strictly right in all four or not.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from ..core.records import Question
from .item import Benchmark, Rows
from .loading import Table, load_items
from .metrics import part, strict
from .options import choice_text, column_options

CLOSING = "Answer the option letter directly."
"""lmms-eval's task `hrbench`."""


class _SourceRow(msgspec.Struct):
    index: int | str
    question: str
    answer: str
    category: str
    A: str | None = None
    B: str | None = None
    C: str | None = None
    D: str | None = None


def load_4k(data: Path | None) -> Rows:
    """The 800 rows of HR-Bench 4K; see `loading.load_items`."""
    return _load("4k", data)


def load_8k(data: Path | None) -> Rows:
    """The 800 rows of HR-Bench 8K; see `loading.load_items`."""
    return _load("8k", data)


def _load(size: str, data: Path | None) -> Rows:
    table = Table(
        benchmark=f"hrbench{size}",
        title=f"HR-Bench {size.upper()}",
        repository="DreamMr/HR-Bench",
        files=(f"hr_bench_{size}.parquet",),
        local=(f"*{size}*.parquet", f"*/{size}*.parquet", f"*{size}*.tsv", f"*{size}*.jsonl"),
    )
    return load_items(table, data, _SourceRow, _question)


def _question(benchmark: str, image: str, row: _SourceRow) -> Question:
    options = column_options({letter: getattr(row, letter) for letter in "ABCD"})
    if not options:
        raise ValueError("none of A, B, C, D holds an option")
    return Question(
        id=str(row.index),
        benchmark=benchmark,
        category=row.category,
        cluster=image,
        text=choice_text(row.question, options, CLOSING),
        options=options,
        answer=row.answer.strip(),
    )


_METRICS = (strict(4), part("single", "single"), part("cross", "cross"))
HRBENCH_4K = Benchmark(load_4k, _METRICS)
HRBENCH_8K = Benchmark(load_8k, _METRICS)
