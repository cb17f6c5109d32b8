"""Readings of a letter: "B", "(b) cotton", "The answer is B, because …"."""

from __future__ import annotations

import re

from ..records import Question
from .doubt import doubted
from .options import may_abbreviate, option_text, settled, spelled_elsewhere
from .ruling import Ruling
from .statements import BODY, ENDED, LETTERED, REASON
from .text import loose, unquoted, words


def by_letter(text: str, question: Question) -> Ruling | None:
    """Reads "B", "(b) cotton", "The answer is B, because …"."""
    match = LETTERED.fullmatch(unquoted(text))
    if not match or (match["open"] and not match["close"]):
        return None
    letter, ended = match["letter"].upper(), ENDED.fullmatch(match["rest"])
    if letter not in question.letters:
        clear = ended and (match["close"] or match["letter"] == letter) and not may_abbreviate(letter, question)
        return Ruling(None, "letter_outside", letter) if clear else None
    if match["letter"] == "a" and (match["lead"] or match["head"]) and not (match["close"] or match["rest"]):
        return None  # "The answer is a" may be cut short
    if not settled(match["lead"], letter, question):
        return None
    dressed = match["close"] or re.search("option|choice", match["label"] or "", re.IGNORECASE)
    if not dressed and spelled_elsewhere(letter, question):
        return Ruling(None, "letter_or_text")
    return Ruling(None, "letter", letter) if ended else _by_letter_and_text(match, letter, question)


def _by_letter_and_text(match: re.Match[str], letter: str, question: Question) -> Ruling | None:
    """The letter if what follows it is its own text, or speaks for it alone."""
    after = BODY.fullmatch(match["rest"])
    if after is None:
        return None
    body = enclosed[1] if (enclosed := re.fullmatch(r"\((.*)\)[.]?", after["body"])) else after["body"]
    same = [other for other in question.letters if loose(option_text(other, question)) == loose(body)]
    if letter in same:
        return Ruling(None, "letter_text", letter)
    firm = match["close"] or after["mark"].strip() or after["gap"] == "\n"  # not the article in "A mug"
    if same:
        return Ruling(None, "contradiction") if firm else None
    own, said = words(option_text(letter, question)), words(body)
    reason = REASON.match(body)
    reasoned = reason and (match["head"] or reason[1])
    restated = firm and own.strip() and (own in said if match["head"] else said.endswith(own))
    certain = (reasoned or restated) and not doubted(body) and settled(body, letter, question)
    return Ruling(None, "letter_reason", letter) if certain else None
