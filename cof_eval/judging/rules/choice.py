"""Questions with options: which one an answer names."""

from __future__ import annotations

from dataclasses import replace

from ...core.records import Outcome, Question
from .letters import by_letter
from .options import option_text, settled, why_undecided
from .ruling import Ruling
from .statements import CONCLUSION
from .text import loose
from .texts import by_text


def score_choice(text: str, question: Question) -> Ruling:
    """Rule on a cleaned answer to a question with cleaned options."""
    reading = _choice(text, question) or Ruling(None, why_undecided(text, question))
    if not reading.chosen:
        return reading
    if reading.chosen == question.answer:
        return replace(reading, outcome=Outcome.CORRECT)
    if reading.chosen in question.letters and loose(option_text(reading.chosen, question)) == loose(question.answer_text):
        return Ruling(None, "same_text")
    return replace(reading, outcome=Outcome.WRONG)


def _choice(text: str, question: Question) -> Ruling | None:
    """The option that the whole text names; a ruling without one if it is ambiguous, None if it cannot be read."""
    readings = [_line_choice(line, question) for line in text.split("\n")]
    if None not in readings:
        return _agreed(readings)
    return by_letter(text, question) or _by_conclusion(text, question)


def _line_choice(line: str, question: Question) -> Ruling | None:
    return _agreed([by_text(line, question), by_letter(line, question)])


def _agreed(readings: list[Ruling | None]) -> Ruling | None:
    found = sorted(filter(None, readings), key=lambda reading: bool(reading.chosen))
    same = len({reading.chosen for reading in found if reading.chosen}) < 2
    return (found[0] if same else Ruling(None, "two_options")) if found else None


def _by_conclusion(text: str, question: Question) -> Ruling | None:
    """A last sentence "So the answer is B." after a text that speaks for no other option."""
    starts = list(CONCLUSION.finditer(text))
    if not starts:
        return None
    before, last = text[: starts[-1].start()], text[starts[-1].end() :]
    reading = by_letter(last, question) if "\n" in last else _line_choice(last, question)
    if reading and reading.chosen in question.letters and settled(before, reading.chosen, question):
        return replace(reading, rule="conclusion")
    return None
