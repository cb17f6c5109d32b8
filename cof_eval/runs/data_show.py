"""`cof-eval data show`: one question as it would be asked, and its image with the annotated boxes drawn."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence

from PIL import Image, ImageDraw

from ..benchmarks import Item, Rows
from ..core.errors import UsageError
from ..core.images import load_native, resize
from ..core.records import Corners

MAX_SIDE = 2048
"""Longest side of the written image, px."""
_INK, _EDGE = "#e02020", "#ffffff"


def find_item(rows: Rows, wanted: str) -> Item:
    """The row with this number, from 1, or else with this id.

    Raises:
        UsageError: if there is none.
    """
    if wanted.isdecimal() and len(wanted) < 10 and 1 <= int(wanted) <= len(rows):
        return rows[int(wanted) - 1]
    found = next((item for item in rows if item.question.id == wanted), None)
    if found is None:
        ids = ", ".join(item.question.id for item in rows[:5])
        raise UsageError(f"no row {wanted!r}: there are {len(rows):,}; give a number from 1, or an id such as {ids}")
    return found


def question_lines(item: Item) -> Iterator[tuple[str, str]]:
    """What a benchmark says of a question, field by field."""
    question = item.question
    yield "id", question.id
    yield "category", question.category
    yield "text", question.text
    for letter, option in zip(question.letters, question.options, strict=True):
        yield f"option {letter}", option
    yield "reference", question.answer or "none: the row is run and not scored"
    for answer in question.also:
        yield "also right", answer
    if question.kind.value != "text":
        yield "answer", f"a {question.kind}"
    for number, box in enumerate(question.boxes, 1):
        yield f"box {number}", ", ".join(f"{edge:g}" for edge in box)
    yield from question.extra
    yield "image", item.image.path or "in memory"
    if item.target:
        yield "target", item.target.path or "in memory"


def draw_boxes(native: Image.Image, boxes: Sequence[Corners]) -> Image.Image:
    """The image, reduced to `MAX_SIDE`, with the boxes as numbered frames."""
    scale = min(1.0, MAX_SIDE / max(native.size))
    drawn = resize(native, (max(1, round(native.width * scale)), max(1, round(native.height * scale)))).copy()
    pen, width = ImageDraw.Draw(drawn), max(2, round(max(drawn.size) / 400))
    for number, box in enumerate(boxes, 1):
        x1, y1, x2, y2 = (edge * scale for edge in box)
        frame = (min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2))
        pen.rectangle((frame[0] - 1, frame[1] - 1, frame[2] + 1, frame[3] + 1), outline=_EDGE, width=width + 2)
        pen.rectangle(frame, outline=_INK, width=width)
        if len(boxes) > 1:
            pen.text((frame[0] + width + 2, frame[1] + width + 2), str(number), fill=_INK, stroke_fill=_EDGE, stroke_width=1)
    return drawn


def drawn_png(item: Item) -> tuple[bytes, tuple[int, int]]:
    """The question's image with its boxes as a PNG file, and the native image's size.

    Raises:
        ImageError: if the image cannot be shown.
    """
    native = load_native(item.image.read())
    buffer = io.BytesIO()
    draw_boxes(native, item.question.boxes).save(buffer, "PNG")
    return buffer.getvalue(), native.size
