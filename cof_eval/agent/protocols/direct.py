"""No tool: the baseline of every other protocol."""

from __future__ import annotations

from dataclasses import replace

from ..reply import AnswerSyntax, CallSyntax
from .protocol import FORCED_ANSWER, Protocol

DIRECT = Protocol(
    name="direct",
    system="You are a helpful assistant.",
    call_syntax=CallSyntax.NONE,
    answer_syntax=AnswerSyntax.TAG_OR_TEXT,
    max_turns=1,
    max_images=1,
)
"""No tool: the same checkpoint, images and scorer, one turn. The honest baseline of every other protocol."""

DIRECT_FORCED = replace(DIRECT, name="direct_forced", turn_patterns=(FORCED_ANSWER,))
"""`direct` with a forced answer: the baseline of `cof_forced`."""
