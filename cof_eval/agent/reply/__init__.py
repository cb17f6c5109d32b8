"""What a model's text says: its calls and its answer, per syntax. Pure.

A reply is data. Nothing is guessed and nothing is evaluated: calls are read as JSON, with single-quoted strings and
Python's three constants tolerated because models often write them.
"""

from __future__ import annotations

from dataclasses import dataclass

from .answers import AnswerSyntax, find_answer, find_answers, without_thoughts
from .calls import SYNTAXES, CallSyntax, RawCall
from .loose_json import MAX_CALL_CHARS, quoted

__all__ = [
    "MAX_CALL_CHARS", "SYNTAXES", "AnswerSyntax", "CallSyntax", "RawCall", "Reply", "find_answers", "parse_reply", "quoted",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Reply:
    """All that a turn's text says."""

    calls: tuple[RawCall, ...]
    answer: str | None
    """The answer's text; several different ones are all kept, one a line. None if there is none."""
    answer_complete: bool = True
    """Whether the answer is known to be complete; an unclosed one counts only if the turn was not cut."""


def parse_reply(text: str, calls: CallSyntax, answer: AnswerSyntax) -> Reply:
    """Read one turn's text."""
    read = SYNTAXES[calls].read
    found = tuple(read(text))
    said, complete = find_answer(text, answer, allow_in_thoughts=not any(read(without_thoughts(text))), has_call=bool(found))
    return Reply(found, said, complete)
