"""What rules alone can say of an answer: correct, wrong, or undecided. Pure.

A rule decides only what it can read in full: the whole answer must be one statement that the grammar below explains, or
end in one, and nothing around it may speak for another option. Everything else stays undecided, with the reason, and is
left to a judge: an undecided answer costs a judge call, a false ruling costs the truth of a score.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

from ...core.records import Outcome, Question
from .choice import score_choice
from .open import score_open
from .ruling import Ruling
from .text import cleaned
from .wrappers import unwrapped

__all__ = ["MAX_CHARS", "RULES_VERSION", "Ruling", "score"]

RULES_VERSION = 3
"""Part of every verdict's key: raise it when a rule changes, and runs are scored by the new rules."""

MAX_CHARS = 2000
"""A longer answer is an essay: no rule reads it."""


def score(answer: str, question: Question) -> Ruling:
    """Rule on the text of an answer; several different answers stand one a line. Never raises."""
    if not question.answers:
        return Ruling(None, "no_standard_answer")
    if len(answer.strip()) > MAX_CHARS:
        return Ruling(None, "too_long")
    inner, wrapper = unwrapped(answer)
    ruling = _score(cleaned(inner), question)
    return replace(ruling, rule=wrapper) if wrapper and ruling.outcome else ruling


def _score(text: str, question: Question) -> Ruling:
    if not text:
        return Ruling(Outcome.WRONG, "empty")
    if len(text) > MAX_CHARS:
        return Ruling(None, "too_long")
    if not question.options:
        return score_open(text, question)
    return score_choice(text, _with_cleaned_options(question))


@lru_cache(maxsize=256)
def _with_cleaned_options(question: Question) -> Question:
    return replace(question, options=tuple(map(cleaned, question.options)))
