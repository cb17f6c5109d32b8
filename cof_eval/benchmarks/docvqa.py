"""DocVQA and InfographicVQA: reading documents and infographics (Mathew et al. 2020 and 2021, arXiv 2007.00398, 2104.12756).

Dataset card `lmms-lab-encoder/DocVQA`, configs `DocVQA` (5,349 rows) and `InfographicVQA` (2,801), split `validation`;
columns as in lmms-eval's tasks `docvqa_val` and `infovqa_val`: `questionId`, `question`, `answers` (a list, all of them
right), `image`; in addition, `question_types` in `DocVQA` and `answer_type` in `InfographicVQA` (lists; the first is the
category).

The challenge's own files (rrc.cvc.uab.es) are read too: `val_v1.0.json` or `val_v1.0_withQT.json` with `image`
("documents/….png"), and `infographicsVQA_val_v1.0_withQT.json` with `image_local_name`; their rows are in `data`.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from ..core.records import Question
from .item import Benchmark, Rows
from .loading import Table, load_items
from .metrics import ANLS
from .options import ANSWER_SHORTLY, choice_text, listed_texts


class _SourceRow(msgspec.Struct):
    questionId: int | str
    question: str
    answers: list[str] | str
    question_types: list[str] | str | None = None
    answer_type: list[str] | str | None = None


def load_docvqa(data: Path | None) -> Rows:
    """Every row of DocVQA's validation split; see `loading.load_items`."""
    return _load("docvqa", "DocVQA", data)


def load_infovqa(data: Path | None) -> Rows:
    """Every row of InfographicVQA's validation split; see `loading.load_items`."""
    return _load("infovqa", "InfographicVQA", data)


_OFFICIAL = {
    "docvqa": ("val_v1.0*.json", "*/val_v1.0*.json"),
    "infovqa": ("infographic*VQA_val*.json", "*/infographic*VQA_val*.json"),
}
"""Patterns of the challenge's own files."""


def _load(benchmark: str, config: str, data: Path | None) -> Rows:
    table = Table(
        benchmark=benchmark,
        title=config,
        repository="lmms-lab-encoder/DocVQA",
        files=(f"{config}/validation-*.parquet",),
        local=("validation-*.parquet", "*.parquet", "*.tsv", "*.jsonl", *_OFFICIAL[benchmark]),
        images=("images", "documents", "spdocvqa_images", "infographicsvqa_images"),
        image_folder="documents",
        renamed={"image_local_name": "image"},
    )
    return load_items(table, data, _SourceRow, _question)


def _question(benchmark: str, image: str, row: _SourceRow) -> Question:
    answers = list(dict.fromkeys(text.strip() for text in listed_texts(row.answers) if text.strip()))
    if not answers:
        raise ValueError("there is no answer; expected at least one in `answers` (the test split has none)")
    kinds = listed_texts(row.question_types or row.answer_type or ())
    return Question(
        id=str(row.questionId),
        benchmark=benchmark,
        category=kinds[0] if kinds else "",
        cluster=image,
        text=choice_text(row.question, (), ANSWER_SHORTLY),
        options=(),
        answer=answers[0],
        also=tuple(answers[1:]),
    )


DOCVQA = Benchmark(load_docvqa, (ANLS,))
INFOVQA = Benchmark(load_infovqa, (ANLS,))
