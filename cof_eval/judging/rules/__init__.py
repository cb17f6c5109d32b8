"""The rules' verdict on an answer: correct, wrong, or undecided. Pure.

A rule decides only an answer that it can read in full. Nothing in the answer may speak for another option. Everything else
stays undecided, with the reason, and is left to a judge. An undecided answer costs a judge call. A false ruling makes a
score wrong.

Each pattern is a rule with a name, which the verdict repeats as `rule:<name>`:

| rule | reads | module |
|---|---|---|
| `letter`, `letter_text`, `letter_reason` | a letter; with its own text; with "because …" | `letters` |
| `letter_outside` | a letter that is none of the options' | `letters` |
| `letter_text_reason`, `letter_text_inside` | a letter with its own text first, or inside a sentence, and sentences for it | `reasons` |
| `final_statement`, `conclusion` | a labelled last statement after reasoning; a last claim | `final_statement`, `choice` |
| `option_text`, `side` | an option's text; its telling part | `texts` |
| `option_restated` | an option's text in a clause that repeats the question | `restated_text` |
| `differing_words` | the words in which options that are one sentence differ | `differing_words` |
| `yes_no` | yes or no, alone or with a clause in the question's words | `polarity` |
| `yes_no_sentences`, `yes_no_other_words`, `no_instead` | yes or no, then sentences that agree with it | `yes_no` |
| `number`, `exact_text`, `quoted_text` | an open answer | `open`, `quoted_answer` |
| `special_tokens`, `list_repr` | any of these within a template's tokens or a list's repr | `wrappers` |
| `point_inside`, `point_outside`, `no_point` | a point, where one is asked for | `point` |
| `empty` | nothing | here |
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

from ...core.records import AnswerKind, Outcome, Question
from .choice import score_choice
from .open import score_open
from .point import score_point
from .ruling import Ruling
from .text import cleaned
from .wrappers import has_tokens, unwrapped

__all__ = ["MAX_CHARS", "MAX_QUESTION_CHARS", "RULES_VERSION", "Ruling", "score"]

RULES_VERSION = 4
"""Part of every verdict's key: raise it when a rule changes, and runs are scored by the new rules."""

MAX_CHARS = 2000
"""A longer answer is an essay: no rule reads it."""
MAX_QUESTION_CHARS = 40_000
"""Most characters of a question with its options and accepted answers; what is longer is left to a judge."""


def score(answer: str, question: Question) -> Ruling:
    """Rule on the text of an answer; several different answers stand one a line. Never raises."""
    if not question.answers:
        return Ruling(None, "no_standard_answer")
    if question.kind is AnswerKind.POINT:
        return score_point(answer, question)
    if len(answer.strip()) > MAX_CHARS or _is_long(question):
        return Ruling(None, "too_long")
    inner, wrapper = unwrapped(answer)
    ruling = _score(cleaned(inner), question)
    return replace(ruling, rule=wrapper) if wrapper and ruling.outcome else ruling


def _is_long(question: Question) -> bool:
    """Whether a question has too many characters to be read in a millisecond."""
    return sum(map(len, (question.text, *question.options, *question.answers))) > MAX_QUESTION_CHARS


def _score(text: str, question: Question) -> Ruling:
    if not text:
        return Ruling(Outcome.WRONG, "empty")
    if len(text) > MAX_CHARS:
        return Ruling(None, "too_long")
    if has_tokens(text):
        return Ruling(None, "token_inside")  # what comes after the end of a turn may be another answer
    if not question.options:
        return score_open(text, question)
    return score_choice(text, _with_cleaned_options(question))


@lru_cache(maxsize=256)
def _with_cleaned_options(question: Question) -> Question:
    return replace(question, options=tuple(map(cleaned, question.options)))
