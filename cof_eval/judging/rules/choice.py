"""Questions with options: which one an answer names."""

from __future__ import annotations

from dataclasses import replace

from ...core.records import Outcome, Question
from .differing_words import by_differing_words
from .doubt import doubted, retracted
from .final_statement import by_final_statement
from .letters import by_letter
from .options import mentioned, option_text, settled, why_undecided, yes_or_no
from .reasons import by_text_and_reason, by_text_inside
from .restated_text import by_restated_text
from .ruling import Ruling
from .statements import CONCLUSION, LETTERED
from .text import loose, strict
from .texts import by_text
from .yes_no import reasoned, sentences_of


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
    readings = _line_readings(text, question)
    if readings is not None:
        return _agreed(readings)
    return by_letter(text, question) or _by_conclusion(text, question) or _agreed([read(text, question) for read in _PATTERNS])


def _line_readings(text: str, question: Question) -> list[Ruling | None] | None:
    """What each line names; None as soon as one cannot be read."""
    readings: list[Ruling | None] = []
    for line in text.split("\n"):
        readings.append(_line_choice(line, question))
        if readings[-1] is None:
            return None
    return readings


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


def _by_yes_or_no(text: str, question: Question) -> Ruling | None:
    """Yes or no where the options say so, with or without the letter of the same option, then sentences."""
    if not yes_or_no(question):
        return None
    letter = LETTERED.fullmatch(text)
    if letter is None or not letter["close"] or retracted(letter["lead"]) or doubted(letter["lead"]):
        letter = None
    answer = letter["rest"].lstrip(" .:,\n") if letter else text
    if mentioned(answer, question):
        return None
    said = sentences_of(answer, question.text) or (reasoned(answer, question.text) if letter else None)
    if said is None:
        return None
    chosen = next(each for each in question.letters if strict(option_text(each, question)) == said[0])
    return (
        Ruling(None, said[1], chosen) if letter is None or letter["letter"].upper() == chosen else Ruling(None, "contradiction")
    )


_PATTERNS = (by_text_and_reason, by_text_inside, by_final_statement, _by_yes_or_no, by_differing_words, by_restated_text)
"""Each reads a whole text, and no text is read by two of them differently: that is undecided."""
