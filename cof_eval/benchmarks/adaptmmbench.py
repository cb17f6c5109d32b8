"""AdaptMMBench: whether a model zooms where it has to, in five domains (Zhang et al. 2026, arXiv 2602.02676).

Dataset card `xintongzhang/AdaptMMBench`, split `test`, 1,420 rows in a parquet file a domain; columns: `uid`, `question`, `options` (text),
`answer`, `domain`, `category`, `type_label`, `bbox` (text: px of the native image), `transform`, `key_step`, `image`. Need for the tool
is no column: it is whether the same checkpoint is wrong without it. A box that cannot be read is no box; its text is kept.
"""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from ..core.option_order import find_layout
from ..core.records import Corners, Question
from .boxes import Boxes, parse_one_or_several
from .item import Benchmark, Rows
from .loading import ANY_TABLE, Table, load_items
from .metrics import part
from .options import ANSWER_LETTER, choice_text, inline_options, listed_options, listed_texts, option_letter

DOMAINS = ("realworld", "ocr", "gui", "knowledge", "math")
_LEADING = re.compile(r"\(?([A-Z])(?:\)|[.:：]|$)\s*(.*)", re.DOTALL)

TABLE = Table(
    benchmark="adaptmmbench",
    title="AdaptMMBench",
    repository="xintongzhang/AdaptMMBench",
    files=("AdaptMMBench_*.parquet",),
    local=ANY_TABLE,
)


class _SourceRow(msgspec.Struct):
    question: str
    answer: str
    domain: str
    uid: int | str = ""
    options: list[str] | str = ""
    category: str = ""
    type_label: str = ""
    bbox: Boxes = None
    transform: str = ""
    key_step: str = ""


def load(data: Path | None) -> Rows:
    """Every row of the five domains, or of those that are there; see `loading.load_items`."""
    return load_items(TABLE, data, _SourceRow, _question)


def _question(benchmark: str, image: str, row: _SourceRow) -> Question:
    domain = re.sub(r"[^a-z]", "", row.domain.lower())
    options, text = _options(row.options), row.question.replace("<image>", "").strip()
    if options:
        text = f"{text}\n{ANSWER_LETTER}" if find_layout(text, options) else choice_text(text, options, ANSWER_LETTER)
    boxes, kept = _boxes(row.bbox)
    extra = {"type_label": row.type_label, "transform": row.transform, "key_step": row.key_step, "bbox": kept}
    return Question(
        id=str(row.uid),
        benchmark=benchmark,
        category="/".join(filter(None, (domain, row.category))),
        cluster=image,
        text=text,
        options=options,
        answer=_letter(row.answer.strip(), options) if options else row.answer.strip(),
        boxes=boxes,
        extra=tuple((name, value) for name, value in extra.items() if value),
    )


def _options(value: list[str] | str) -> tuple[str, ...]:
    """Options from a list, lines, or one line with all of them; none from an empty text."""
    if not value or value in ("None", "[]"):
        return ()
    texts = listed_texts(value)
    return inline_options(texts[0]) if len(texts) == 1 else listed_options(texts)


def _letter(answer: str, options: tuple[str, ...]) -> str:
    """The letter of `C`, `(C) 60`, `B:This is …`, or of an option's text."""
    leading = _LEADING.fullmatch(answer)
    if leading and leading[2].strip() in ("", *options):
        return option_letter(leading[1], options)
    return option_letter(answer, options)


def _boxes(value: Boxes) -> tuple[tuple[Corners, ...], str]:
    """The boxes, or else the text that is none."""
    try:
        return parse_one_or_several(value), ""
    except ValueError:
        return (), str(value)


ADAPTMMBENCH = Benchmark(load, tuple(part(domain, domain) for domain in DOMAINS))
