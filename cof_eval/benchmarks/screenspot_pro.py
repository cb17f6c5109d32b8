"""ScreenSpot-Pro: where on a large screenshot is the element that an instruction is about (Li et al. 2025, arXiv 2504.07981).

Dataset card `likaixin/ScreenSpot-Pro`, 1,581 rows in `annotations/*.json` with the screenshots in `images/`; columns as read by the authors'
`eval_screenspot_pro.py`: `id`, `img_filename`, `instruction`, `bbox` ([x1, y1, x2, y2], px of the native image), `img_size`, `group`, `application`,
`platform`, `ui_type` (text or icon). Copies with an `image` column serve too. The answer is a point: right inside the box, edges included.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from ..core.points import read_point
from ..core.records import AnswerKind, Outcome, Question
from .boxes import Boxes, parse_one_or_several
from .item import Benchmark, Rows
from .loading import ANY_TABLE, Table, load_items
from .metrics import JudgedAnswer, Metric, Term, among

ASKED = "Find the element of the screenshot that this instruction is about: {instruction}"
"""The frame of the point follows; see `agent/reply/points.py`."""

TABLE = Table(
    benchmark="screenspot_pro",
    title="ScreenSpot-Pro",
    repository="likaixin/ScreenSpot-Pro",
    files=("annotations/*.json", "images/*"),
    local=ANY_TABLE,
    renamed={"img_filename": "image"},
)


class _SourceRow(msgspec.Struct):
    instruction: str
    bbox: Boxes
    ui_type: str
    id: int | str = ""
    img_size: tuple[float, float] | str | None = None
    group: str = ""
    application: str = ""
    platform: str = ""


def load(data: Path | None) -> Rows:
    """Every row; see `loading.load_items`."""
    return load_items(TABLE, data, _SourceRow, _question)


def _question(benchmark: str, image: str, row: _SourceRow) -> Question:
    boxes = parse_one_or_several(row.bbox)
    if len(boxes) != 1:
        raise ValueError(f"the box {row.bbox} has no area, or is not one; expected [x1, y1, x2, y2]")
    _check_inside(boxes[0], row.img_size)
    about = {"application": row.application, "platform": row.platform}
    return Question(
        id=str(row.id),
        benchmark=benchmark,
        category="/".join(filter(None, (row.group, row.ui_type))),
        cluster=image,
        text=ASKED.format(instruction=row.instruction.strip()),
        options=(),
        answer=str([round(edge, 2) for edge in boxes[0]]),
        boxes=boxes,
        kind=AnswerKind.POINT,
        extra=tuple((name, value) for name, value in about.items() if value),
    )


def _check_inside(box: tuple[float, float, float, float], size: tuple[float, float] | str | None) -> None:
    """Refuse boxes in other units than pixels: x, y, width and height, or fractions, would be another region."""
    if size is None:
        return
    width, height = msgspec.json.decode(size, type=tuple[float, float]) if isinstance(size, str) else size
    if not (0 <= box[0] < box[2] <= width and 0 <= box[1] < box[3] <= height) or max(box) <= 1:
        raise ValueError(f"the box {list(box)} is not one of pixels [x1, y1, x2, y2] in an image of {width:g}x{height:g} px")


def _unread(rows: Sequence[JudgedAnswer]) -> Iterator[Term]:
    """Rows that were scored, and whether no point could be read in them."""
    for row in rows:
        if row.outcome is not Outcome.UNSCORED:
            yield Term(float(read_point(row.answer) is None), 1, row.question.cluster)


def _of_kind(kind: str) -> Metric:
    return among(kind, lambda question: question.category.split("/")[-1] == kind)


SCREENSPOT_PRO = Benchmark(load, (_of_kind("text"), _of_kind("icon"), Metric("no_point", _unread, higher_is_better=False)))
