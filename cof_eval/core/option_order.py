"""The options inside a question's text: where they stand, and the same question with them in another order. Pure.

Benchmarks write options in many ways ("(A) red", "A. red", "A: red, B: blue"). The options themselves are known, so they
are looked for in order, each after its letter; where that does not find every one of them, nothing is touched.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from .distinct import distinct_ids
from .errors import UsageError
from .letters import option_letters
from .records import Question, digest


class OrderKind(StrEnum):
    """In which order a question's options are shown."""

    DATASET = "dataset"
    """As the benchmark gives them."""
    SHUFFLED = "shuffled"
    """Drawn from a seed, for every question anew."""
    ROTATED = "rotated"
    """Every rotation, or the first few, each a row of its own."""
    CORRECT_FIRST = "correct_first"
    """The right one always first: only to expose the effect."""


@dataclass(frozen=True, slots=True)
class OptionOrder:
    """An order of options, and the seed of a shuffled one."""

    kind: OrderKind = OrderKind.DATASET
    seed: int = 0
    rotations: int = 0
    """Most rotations of a question; 0 for all of them."""

    def __str__(self) -> str:
        number = {OrderKind.SHUFFLED: f":{self.seed}", OrderKind.ROTATED: f":{self.rotations}" if self.rotations else ""}
        return f"{self.kind.value}{number.get(self.kind, '')}"

    @property
    def notes(self) -> list[str]:
        """Notes for the reader of a number; empty if options stand as the benchmark gives them."""
        if self.kind is OrderKind.DATASET:
            return []
        why = " (the right one always first, which measures no model)" if self.kind is OrderKind.CORRECT_FIRST else ""
        return [f"options in another order than the benchmark's: {self}{why}"]


def parse_order(text: str) -> OptionOrder:
    """An order from `dataset`, `shuffled`, `shuffled:SEED`, `rotated`, `rotated:MOST` or `correct_first`.

    Raises:
        UsageError: for anything else.
    """
    name, _, number = text.partition(":")
    numbered = name == OrderKind.SHUFFLED or (name == OrderKind.ROTATED and number.strip("0"))
    if name not in set(OrderKind) or (number and not (numbered and number.isdecimal())):
        raise UsageError(f"option order {text!r} is unknown; known: dataset, shuffled[:SEED], rotated[:MOST], correct_first")
    value = int(number or 0)
    return OptionOrder(OrderKind(name), **({"rotations": value} if name == OrderKind.ROTATED else {"seed": value}))


_ROTATION = re.compile(r"(.*)~(\d{1,3})", re.DOTALL)


def split_rotation(question_id: str) -> tuple[str, int]:
    """The id of a rotated question as (the question's own id, by how many places its options were moved)."""
    found = _ROTATION.fullmatch(question_id)
    return (found[1], int(found[2])) if found else (question_id, 0)


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the options stand in a question's text."""

    stem: str
    """The text before the first option's letter."""
    spans: tuple[tuple[int, int], ...]
    """(start, end) of each option's text."""


def find_layout(text: str, options: Sequence[str]) -> Layout | None:
    """Where options stand in a question's text; None if there are none, or not all are found after their letters."""
    position, start, spans = 0, None, []
    for letter, option in zip(option_letters(len(options)), options, strict=True):
        pattern = rf"(?<![A-Za-z0-9])[(\[]?{letter}(?:[).:\]]+\s*|\s+){re.escape(option)}(?![A-Za-z0-9])"
        found = re.compile(pattern).search(text, position)
        if found is None:
            return None
        start = found.start() if start is None else start
        position = found.end()
        spans.append((position - len(option), position))
    return None if start is None else Layout(text[:start].rstrip(), tuple(spans))


def apply_orders(questions: Iterable[Question], order: OptionOrder) -> list[tuple[int, Question]]:
    """(place of the question, question in its order) of every row of a benchmark; each row keeps an id of its own.

    Raises:
        UsageError: if options are to be moved but do not stand in their question's text as they should.
    """
    rows = [(place, moved) for place, question in enumerate(questions) for moved in apply_order(question, order)]
    ids = distinct_ids(question.id for _, question in rows)
    return [(place, replace(each, id=name)) for (place, each), name in zip(rows, ids, strict=True)]


def apply_order(question: Question, order: OptionOrder) -> Iterator[Question]:
    """The question with its options in an order: one question, or as many as it has rotations.

    A question without options is left as it is.

    Raises:
        UsageError: if its options are to be moved but do not stand in its text as they should.
    """
    count = len(question.options)
    if order.kind is OrderKind.DATASET or count == 0:
        yield question
    elif order.kind is OrderKind.ROTATED:
        for turn in range(min(count, order.rotations or count)):
            moved = _moved(question, [(i + turn) % count for i in range(count)])
            yield replace(moved, id=f"{question.id}~{turn}") if turn else moved
    else:
        yield _moved(question, _places(question, order))


def _places(question: Question, order: OptionOrder) -> list[int]:
    """By new place: the option's old one."""
    places = list(range(len(question.options)))
    if order.kind is OrderKind.SHUFFLED:
        random.Random(digest("option order", order.seed, question.benchmark, question.id, question.options)).shuffle(places)
        return places
    right = question.letters.index(question.answer)
    return [right, *(place for place in places if place != right)]


def _moved(question: Question, places: Sequence[int]) -> Question:
    """The question with option `places[i]` at place i, in its text too; letters stay where they are."""
    layout = find_layout(question.text, question.options)
    if layout is None:
        raise UsageError(
            f"question {question.id!r} of {question.benchmark} does not show its options after their letters, so that their order "
            "cannot be changed; use --option-order dataset"
        )
    options = tuple(question.options[place] for place in places)
    pieces, end = [], 0
    for (start, stop), option in zip(layout.spans, options, strict=True):
        pieces += [question.text[end:start], option]
        end = stop
    answer = question.letters[list(places).index(question.letters.index(question.answer))]
    return replace(question, text="".join([*pieces, question.text[end:]]), options=options, answer=answer)
