"""Readings of an option's text: "Cotton", "The answer is cotton.", "on the left"."""

from __future__ import annotations

from ...core.records import Question
from .doubt import NEGATION
from .options import option_text, settled, yes_or_no
from .polarity import polarity
from .ruling import Ruling
from .statements import forms
from .text import bare, loose, strict


def by_text(line: str, question: Question) -> Ruling | None:
    """Reads "Cotton", "The answer is cotton.", "on the left"."""
    for lead, text in forms(line, question):
        reading = _option_named(text, question)
        if reading is None or (reading.chosen and not settled(lead, reading.chosen, question)):
            continue
        if text.startswith("A ") and reading.chosen not in ("", "A"):
            exact = strict(text) == strict(option_text(reading.chosen, question))
            return reading if exact else Ruling(None, "letter_or_article")  # "A mug" where mug is B
        return reading
    return None


def _option_named(text: str, question: Question) -> Ruling | None:
    """The one option that the text equals, or is the telling part of."""
    for normal in (strict, loose, bare):
        hits = [letter for letter in question.letters if normal(option_text(letter, question)) == normal(text) != ""]
        if hits:
            return Ruling(None, "option_text", hits[0]) if len(hits) == 1 else Ruling(None, "same_text")
    if yes_or_no(question) and (said := polarity(text, question.text)):
        return _option_named(said, question)
    return _by_side(text, question)


def _by_side(text: str, question: Question) -> Ruling | None:
    """Reads "on the left" where the options are the same but for the side."""
    rows = [strict(option).split() for option in question.options]
    if len({len(row) for row in rows}) > 1 or NEGATION.search(" ".join(question.options)):
        return None
    differing = [set(column) for column in zip(*rows, strict=True) if len(set(column)) > 1]
    part = f" {strict(text)} "
    hits = [letter for letter, row in zip(question.letters, rows, strict=True) if part in f" {' '.join(row)} "]
    certain = len(hits) == len(differing) == 1 and differing[0] <= _SIDES
    return Ruling(None, "side", hits[0]) if certain else None


_SIDES = {"left", "right", "above", "below", "top", "bottom", "front", "behind", "over", "under"}
