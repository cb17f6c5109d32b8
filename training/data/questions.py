"""Questions with their answers, for reinforcement learning: tables of Chain-of-Focus's kind, or a folder like V*'s.

A table has the columns `question`, `groundtruth`, `image` (or `image_name`, as Chain-of-Focus's raw rows) and, if it likes,
`data_source`; a folder in the layout of V* needs nothing more, and its boxes come along.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cof_eval.agent.conversation import escape_control_tokens
from cof_eval.agent.protocols import Protocol
from cof_eval.benchmarks import vstar
from cof_eval.benchmarks.options import ANSWER_LETTER, ANSWER_SHORTLY
from cof_eval.core.images import ImageSource
from cof_eval.core.letters import option_letters
from cof_eval.core.records import Question

from ..recipe.recipe import DataSource
from .messages import PLACEHOLDER
from .rows import ChatMessage, DraftRow, DroppedRow, Reason, RowError
from .tables import ImagePlaces, find_data, read_table

IMAGE_NAME = "image_name"
"""The image's column in Chain-of-Focus's raw rows, those without a closing instruction."""


def read_questions(source: DataSource, protocol: Protocol) -> Iterator[DraftRow | DroppedRow]:
    """Every question of a source.

    Raises:
        DataError: if the source cannot be read at all.
    """
    path = find_data(source.path)
    if path.is_dir() and (path / vstar.QUESTIONS).is_file():
        rows = vstar.load(path)
        for item in rows:
            yield _draft(source, item.question.id, item.question, item.image, protocol)
        for bad in rows.bad:
            yield DroppedRow(source.path, bad.where, Reason.UNREADABLE, bad.problem)
        return
    places = ImagePlaces(Path(source.images) if source.images else path if path.is_dir() else path.parent)
    for where, cell in read_table(path):
        try:
            if isinstance(cell, RowError):
                raise cell
            yield _draft(source, where, parse_question(cell, where), _image(cell, places), protocol)
        except RowError as error:
            yield DroppedRow(source.path, where, error.reason, str(error))


def parse_question(cell: Mapping[str, Any], where: str) -> Question:
    """The question of a table's row; options are read from lines "(A) …" where the answer is a letter of them.

    Raises:
        RowError: if question or answer is missing.
    """
    text, answer = _text(cell.get("question")).replace(PLACEHOLDER, "").strip(), _text(cell.get("groundtruth"))
    if not text:
        raise RowError(Reason.QUESTION, "the column question is empty")
    if not answer:
        raise RowError(Reason.ANSWER, "the column groundtruth is empty")
    options = _options(text, answer)
    if cell.get(IMAGE_NAME) is not None:
        text = _closed(text, answer)
    source = _text(cell.get("data_source")) or "questions"
    return Question(where, source, source, where, text, options, answer.upper().strip("().") if options else answer)


def _closed(text: str, answer: str) -> str:
    """A raw row's question with the closing instruction that Chain-of-Focus's `prepare_zoomin_data.py` appends."""
    lettered = ("(A)" in text and "(B)" in text) or ("A." in text and "B." in text)
    closing = ANSWER_LETTER if lettered and answer.lower() in tuple("abcdefghijkl") else ANSWER_SHORTLY
    return text if text.endswith(closing) else f"{text}\n{closing}"


def _options(text: str, answer: str) -> tuple[str, ...]:
    try:
        options = vstar.parse_options(text)
    except ValueError:
        return ()
    return options if answer.upper().strip("().") in option_letters(len(options)) else ()


def _image(cell: Mapping[str, Any], places: ImagePlaces) -> ImageSource:
    named = (cell[name] for name in ("image", "images", IMAGE_NAME) if cell.get(name) is not None)
    images = places.sources(next(named, None))
    if len(images) != 1:
        raise RowError(Reason.IMAGE_COUNT, f"{len(images)} images are given; expected one")
    return images[0]


def _draft(source: DataSource, where: str, question: Question, image: ImageSource, protocol: Protocol) -> DraftRow:
    """The opening of a rollout."""
    prompt = escape_control_tokens(protocol.prompt(question.text, question.options))
    system = (ChatMessage("system", (protocol.system,)),) if protocol.system else ()
    messages = (*system, ChatMessage("user", (None, prompt)))
    return DraftRow(source=source.path, row=where, messages=messages, images=(image,), question=question)


def _text(value: object) -> str:
    return str(value).strip() if isinstance(value, str | int | float) else ""
