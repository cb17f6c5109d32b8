"""Questions without options: yes or no, counts, and texts that are the same."""

from __future__ import annotations

import re
from dataclasses import replace

from ..records import Outcome, Question
from .options import why_undecided
from .polarity import polarity
from .ruling import Ruling
from .statements import forms
from .text import cleaned, loose

_WHOLE = re.compile("0|[1-9][0-9]*")


def score_open(text: str, question: Question) -> Ruling:
    """Rule on a cleaned answer to a question without options: right if any accepted answer makes it so, wrong if each does."""
    rulings = [_against(text, replace(question, answer=cleaned(answer), also=())) for answer in question.answers]
    preferred = (Outcome.CORRECT, None, Outcome.WRONG)
    return min(rulings, key=lambda ruling: preferred.index(ruling.outcome))


def _against(text: str, question: Question) -> Ruling:
    rulings = [_open_line(line, question) for line in text.split("\n")]
    return rulings[0] if len({ruling.outcome for ruling in rulings}) == 1 else Ruling(None, "two_answers")


def _open_line(line: str, question: Question) -> Ruling:
    standard = loose(question.answer)
    for _, text in forms(line, question):
        value = loose(text)
        if standard in ("yes", "no") and (said := polarity(text)):
            return Ruling(Outcome.CORRECT if said == standard else Outcome.WRONG, "yes_no", said)
        counts = _WHOLE.fullmatch(value) and _WHOLE.fullmatch(standard)
        if value == standard != "":
            return Ruling(Outcome.CORRECT, "number" if counts else "exact_text", value)
        if counts and "how many" in question.text.casefold():
            return Ruling(Outcome.WRONG, "number", value)
    return Ruling(None, why_undecided(line, question))
