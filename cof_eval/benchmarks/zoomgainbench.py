"""ZoomGainBench: evidence that becomes clear only when one zooms in, in English and Chinese (arXiv 2611.14076).

Dataset card `inclusionAI/ZoomGainBench`. The card does not describe its columns, so they are taken by their usual names (`TABLE.renamed`), and a
table without them is refused with a list of those that it has. Language and kind of a question come from their columns, else from the names of its
file and folders. No licence is named: the data are read where they are, and nothing is copied into this project.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec

from ..core.option_order import find_layout
from ..core.records import Question
from .item import Benchmark, Rows
from .loading import Table, load_items
from .metrics import among
from .options import ANSWER_LETTER, choice_text, column_options, inline_options, listed_options, option_letter

_TABLES = ("jsonl", "json", "parquet", "tsv")
_IMAGES = ("jpg", "jpeg", "png", "webp")
KINDS = {"attribute": "attr", "count": "count", "ocr": "ocr"}
"""Kinds of questions, and how their names begin."""
_LANGUAGES = {"en": ("en", "english"), "zh": ("zh", "cn", "chinese")}


def _of_path(file: Path) -> dict[str, Any]:
    """The language and kind that a table's file and folders are named after."""
    words = re.split(r"[^a-z]+", " ".join((*file.parts[-3:-1], file.stem)).lower())
    language = next((name for name, known in _LANGUAGES.items() if set(known) & set(words)), "")
    kind = next((name for name, stem in KINDS.items() if any(word.startswith(stem) for word in words)), "")
    return {name: value for name, value in (("language", language), ("category", kind)) if value}


TABLE = Table(
    benchmark="zoomgainbench",
    title="ZoomGainBench",
    repository="inclusionAI/ZoomGainBench",
    files=tuple(f"{place}*.{end}" for end in (*_TABLES, *_IMAGES) for place in ("", "**/")),
    local=(),
    renamed={
        **dict.fromkeys(("query", "problem", "prompt"), "question"),
        **dict.fromkeys(("response", "solution", "label"), "answer"),
        **dict.fromkeys(("images", "image_path", "file_name", "image_name"), "image"),
        "choices": "options",
        "lang": "language",
        **dict.fromkeys(("type", "task"), "category"),
        **dict.fromkeys(("question_id", "index", "uid"), "id"),
    },
    from_file=_of_path,
)


class _SourceRow(msgspec.Struct):
    question: str
    answer: str | int | float
    options: list[str] | dict[str, str] | str = ""
    A: str | None = None
    B: str | None = None
    C: str | None = None
    D: str | None = None
    E: str | None = None
    F: str | None = None
    language: str = ""
    category: str = ""
    id: int | str = ""


def load(data: Path | None) -> Rows:
    """Every row of every table; see `loading.load_items`."""
    return load_items(TABLE, data, _SourceRow, _question)


def _question(benchmark: str, image: str, row: _SourceRow) -> Question:
    text, answer = row.question.replace("<image>", "").strip(), str(row.answer).strip()
    options = _options(row) or inline_options(text)
    if options:
        text = f"{text}\n{ANSWER_LETTER}" if find_layout(text, options) else choice_text(text, options, ANSWER_LETTER)
    language = next((name for name, known in _LANGUAGES.items() if row.language.lower() in known), row.language.lower())
    kind = next((name for name, stem in KINDS.items() if row.category.lower().startswith(stem)), row.category.lower())
    return Question(
        id="/".join(filter(None, (language, kind, str(row.id)))) if row.id != "" else "",
        benchmark=benchmark,
        category="/".join(filter(None, (language, kind))),
        cluster=image,
        text=text,
        options=options,
        answer=option_letter(answer.rstrip("."), options) if options else answer,
    )


def _options(row: _SourceRow) -> tuple[str, ...]:
    if isinstance(row.options, dict):
        return column_options(row.options)
    if row.options:
        return listed_options(row.options)
    return column_options({letter: getattr(row, letter) for letter in "ABCDEF"})


def _has(word: str) -> Any:
    return lambda question: word in question.category.split("/")


ZOOMGAINBENCH = Benchmark(load, tuple(among(name, _has(name)) for name in (*_LANGUAGES, *KINDS)))
