"""ZoomBench: subtle details, and the region that shows them as an image of its own (Wei et al. 2026, arXiv 2602.11858).

Dataset card `inclusionAI/ZoomBench`, split `test`, 845 rows; columns as read by the authors' `convert_benchmark.py`: `id`, `query`
(the options inside), `response` (a letter or a text), `image`, `crop_image`, and `question_type` (mcq for options). Copies also call
them `prompt`, `question` and `answer`, and may have `bbox`. Under view `target` the crop is shown. The query is asked as it stands.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from ..core.letters import option_letters
from ..core.records import Question
from .boxes import Boxes, parse_one_or_several
from .item import Benchmark, Rows
from .loading import ANY_TABLE, Table, load_items
from .metrics import part
from .options import inline_options, option_letter

_LETTERS = option_letters(6)

TABLE = Table(
    benchmark="zoombench",
    title="ZoomBench",
    repository="inclusionAI/ZoomBench",
    files=("data/test*.parquet",),
    local=("test*.parquet", *ANY_TABLE),
    target="crop_image",
    renamed={"prompt": "query", "question": "query", "answer": "response"},
)


class _SourceRow(msgspec.Struct):
    query: str
    response: str
    id: int | str = ""
    question_type: str = ""
    category: str = ""
    bbox: Boxes = None


def load(data: Path | None) -> Rows:
    """Every row; see `loading.load_items`."""
    return load_items(TABLE, data, _SourceRow, _question)


def _question(benchmark: str, image: str, row: _SourceRow) -> Question:
    text, answer = row.query.replace("<image>", "").strip(), row.response.strip()
    options = inline_options(text)
    if row.question_type.lower() == "mcq" and not options:
        options = _LETTERS  # the options cannot be told apart: only their letters are known
    kind = "choice" if options else "open"
    return Question(
        id=str(row.id),
        benchmark=benchmark,
        category=f"{kind}/{row.category}" if row.category else kind,
        cluster=image,
        text=text,
        options=options,
        answer=option_letter(answer, options) if options else answer,
        boxes=parse_one_or_several(row.bbox),
    )


ZOOMBENCH = Benchmark(load, (part("choice", "choice"), part("open", "open")))
