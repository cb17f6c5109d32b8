"""What a model's text says: its calls and its answer, as a protocol's `Reading` has it. Pure.

A reply is data. Nothing is guessed and nothing is evaluated, and every reader passes over the text once, whatever it holds.
"""

from __future__ import annotations

from .answers import AnswerForm, AnswerPlace, AnswerSyntax, AnswerTag, find_answers
from .calls import SYNTAXES, CallSyntax, RawCall, Unclosed
from .dialects import Dialect
from .loose_json import MAX_CALL_CHARS, quoted
from .reading import CallPlace, Reading, Reply, parse_reply

__all__ = [
    "MAX_CALL_CHARS", "SYNTAXES", "AnswerForm", "AnswerPlace", "AnswerSyntax", "AnswerTag", "CallPlace", "CallSyntax", "Dialect", "RawCall",
    "Reading", "Reply", "Unclosed", "find_answers", "parse_reply", "quoted",
]  # fmt: skip
