"""CV-Bench: counting, relations, depth and distance in photographs of ordinary size (Tong et al. 2024, arXiv 2406.16860).

Dataset card `nyu-visionx/CV-Bench`, 2,638 rows in `test_2d.parquet` and `test_3d.parquet`; columns: `idx`, `type` (2D or 3D), `task`, `question`,
`choices` (a list), `answer` ("(C)"), `prompt` (the question with its choices), `source` (ADE20K, COCO or Omni3D), `image`. The prompt is asked as it
stands, with the closing instruction of the authors' evaluation. The authors' figure is the mean of 2D and 3D, 2D that of its sources.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from ..core.option_order import find_layout
from ..core.records import Question
from .item import Benchmark, Rows
from .loading import ANY_TABLE, Table, load_items
from .metrics import balanced, part
from .options import ANSWER_LETTER, choice_text, listed_options

ADE, COCO, OMNI = "2D/ADE20K", "2D/COCO", "3D/Omni3D"

TABLE = Table(
    benchmark="cvbench",
    title="CV-Bench",
    repository="nyu-visionx/CV-Bench",
    files=("test_?d.parquet",),
    local=("test*.parquet", *ANY_TABLE),
)


class _SourceRow(msgspec.Struct):
    question: str
    choices: list[str] | str
    answer: str
    type: str
    source: str
    idx: int | str = ""
    task: str = ""
    prompt: str = ""


def load(data: Path | None) -> Rows:
    """Every row of both files, or of the one that is there; see `loading.load_items`."""
    return load_items(TABLE, data, _SourceRow, _question)


def _question(benchmark: str, image: str, row: _SourceRow) -> Question:
    options = listed_options(row.choices)
    shown = find_layout(row.prompt, options) is not None
    return Question(
        id=str(row.idx),
        benchmark=benchmark,
        category="/".join(filter(None, (row.type, row.source, row.task))),
        cluster=image,
        text=f"{row.prompt.strip()}\n{ANSWER_LETTER}" if shown else choice_text(row.question, options, ANSWER_LETTER),
        options=options,
        answer=row.answer.strip("() \n").upper(),
    )


CVBENCH = Benchmark(
    load,
    (
        balanced("balanced", {ADE: 0.25, COCO: 0.25, OMNI: 0.5}),
        balanced("acc_2d", {ADE: 0.5, COCO: 0.5}),
        part("acc_3d", "3D"),
        part("ade20k", ADE),
        part("coco", COCO),
        part("omni3d", OMNI),
    ),
)
