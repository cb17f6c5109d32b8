"""Readings of a letter: "B", "(b) cotton", "The answer is B, because …"."""

from __future__ import annotations

import re

from ...core.records import Question
from .doubt import ASIDE, doubted
from .options import may_abbreviate, option_text, settled, spelled_elsewhere
from .question_kind import repeats_question
from .ruling import Ruling
from .statements import BODY, ENDED, LETTERED, REASON
from .text import bare, loose, plain, squeezed, unquoted, words


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
    reading = Ruling(None, "letter", letter) if ended else _by_letter_and_text(match, letter, question)
    dressed = match["close"] or re.search("option|choice", match["label"] or "", re.IGNORECASE)
    agrees = reading and reading.rule == "letter_text" and len(option_text(letter, question)) > 1
    if not (dressed or agrees) and spelled_elsewhere(letter, question):
        return Ruling(None, "letter_or_text")
    return reading


def _by_letter_and_text(match: re.Match[str], letter: str, question: Question) -> Ruling | None:
    """The letter if what follows it is its own text, or speaks for it alone."""
    after = BODY.fullmatch(match["rest"])
    if after is None or _SIGNED.match(match["rest"]):
        return None
    body = after["body"]
    firm = match["close"] or after["mark"].strip() or after["gap"] == "\n"  # not the article in "A mug"
    if letter == "A" and not (firm or body.isdigit()) and plain(f"a {body}") != plain(body):
        return None  # "a few" is not "few"
    same = _with_text(body, question)
    if not same and (enclosed := re.fullmatch(r"\((.*)\)[.]?", body)):
        body, same = enclosed[1], _with_text(enclosed[1], question)
    if letter in same:
        return Ruling(None, "letter_text", letter)
    if same:
        return Ruling(None, "contradiction") if firm else None
    own = option_text(letter, question)
    reason = REASON.match(body)
    reasoned = reason and (match["head"] or reason[1]) and not ASIDE.search(body) and _LATIN.fullmatch(body)
    restated = firm and words(own).strip() and words(own) in words(body) and repeats_question(body, question.text, own)
    certain = (reasoned or restated) and not (doubted(body) or _FIGURE.search(body)) and settled(body, letter, question)
    return Ruling(None, "letter_reason", letter) if certain else None


def _with_text(body: str, question: Question) -> list[str]:
    """Letters of the options that a text equals: but for an article inside a longer one, or for blanks alone."""
    for normal in (loose, bare, squeezed):
        found = [letter for letter in question.letters if normal(option_text(letter, question)) == normal(body) != ""]
        if found:
            return found
    return []


_SIGNED = re.compile(r"\s?[.–—-]\d")
""" "A -5" and "A.5" may be the letter and 5, or the letter and another number."""
_FIGURE = re.compile(r"[^\s\w(\"']\d|\d(?:[^\s\w.,;:!)\"']|[.,: ]\d)")
"""A number with a sign, a unit's mark or decimals: not the bare number that its digits are."""
_LATIN = re.compile(r"[\x00-\u024f\u2000-\u206f]+")
"""Text in a script whose words the rules can tell apart."""
