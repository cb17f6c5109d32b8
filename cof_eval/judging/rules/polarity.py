"""Yes or no, bare or with one clause that says the same."""

from __future__ import annotations

import re

from .doubt import HEDGE, NEGATION, retracted
from .question_kind import has_negation, repeats_question
from .text import unquoted, words

LACK = re.compile(
    r"\b(?:lack\w*|miss\w*|absen\w*|fail\w*|empty|hidden|invisible|hardly|barely|scarcely|rarely|seldom|nothing|nobody|nowhere"
    r"|opposite|contrary|disagree\w*|den(?:y|ies|ied)|refus\w*)\b",
    re.IGNORECASE,
)
_ONE = re.compile(r"\b((?:is|are|see)(?:n't| not)?|no) one$", re.IGNORECASE)
""" "There isn't one" repeats the question; "there is not one dog" may not."""
_SAID = re.compile(r"(yes|no)[.,;:!]*(?:(?<!\w) ?([^.,;:!?\n]+)[.!]?)?", re.IGNORECASE)


def polarity(text: str, question: str) -> str | None:
    """Yes or no, bare or with one clause that says the same in the question's own words."""
    match = _SAID.fullmatch(unquoted(text))
    if not match:
        return None
    said, clause = match[1].lower(), match[2] or ""
    if LACK.search(clause) or len(NEGATION.findall(clause)) > 1:
        return None  # "Yes, it is missing" may say no, and two negations may cancel out
    if HEDGE.search(clause) or retracted(clause) or " yes " in words(clause):
        return None
    if clause and (has_negation(question) or not repeats_question(_ONE.sub(r"\1", clause), question)):
        return None  # "Yes, the door is closed", and "No, it isn't" where the question says "isn't"
    return said if not clause or bool(NEGATION.search(clause)) == (said == "no") else None
