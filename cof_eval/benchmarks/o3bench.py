"""O3-Bench: large charts and maps whose answers need evidence from several places (Li et al. 2025, arXiv 2512.18745).

Dataset card `m-Just/O3-Bench`, 345 rows; `test/metadata.jsonl` as read by the authors' `evaluate.py`: `file_name` (relative to the file),
`subset` (chart or map), `question`, `options` (lines "A. …"), `answer` (a letter), `target_layouts` (ids) and `layout_infos` (by id: `bbox`,
[x1, y1, x2, y2], px of the native image). As there, the question and its options are asked as they stand.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from ..core.records import Corners, Question
from .boxes import parse_one_or_several
from .item import Benchmark, Rows
from .loading import ANY_TABLE, Table, load_items
from .metrics import part
from .options import listed_options

TABLE = Table(
    benchmark="o3bench",
    title="O3-Bench",
    repository="m-Just/O3-Bench",
    files=("test/metadata.jsonl", "test/images/*"),
    local=("metadata.jsonl", *ANY_TABLE),
    renamed={"file_name": "image"},
)


class _Layout(msgspec.Struct):
    bbox: list[float]


class _SourceRow(msgspec.Struct):
    question: str
    options: list[str] | str
    answer: str
    subset: str
    question_id: int | str = ""
    target_layouts: list[int | str] = []
    layout_infos: dict[str, _Layout] = {}


def load(data: Path | None) -> Rows:
    """Every row; see `loading.load_items`."""
    return load_items(TABLE, data, _SourceRow, _question)


def _question(benchmark: str, image: str, row: _SourceRow) -> Question:
    options = listed_options(row.options)
    if not options:
        raise ValueError("there are no options; expected lines such as A. …")
    lines = row.options if isinstance(row.options, str) else "\n".join(row.options)
    return Question(
        id=str(row.question_id),
        benchmark=benchmark,
        category=row.subset.strip().lower(),
        cluster=image,
        text=f"{row.question.strip()}\n{lines.strip()}",
        options=options,
        answer=row.answer.strip("() .\n").upper(),
        boxes=_boxes(row),
    )


def _boxes(row: _SourceRow) -> tuple[Corners, ...]:
    """The layouts that the answer needs."""
    needed = [str(number) for number in row.target_layouts]
    missing = [name for name in needed if name not in row.layout_infos]
    if missing:
        raise ValueError(f"target_layouts has {', '.join(missing)}, which layout_infos has not")
    return tuple(box for name in needed for box in parse_one_or_several(row.layout_infos[name].bbox))


O3BENCH = Benchmark(load, (part("chart", "chart"), part("map", "map")))
