"""Questions without options: yes or no, counts, and texts that are the same."""

from __future__ import annotations

import re
from dataclasses import replace

from ...core.records import Outcome, Question
from .options import why_undecided
from .polarity import polarity
from .question_kind import asks_to_count, asks_to_read
from .quoted_answer import quoted_text
from .ruling import Ruling
from .statements import ANSWERED, forms
from .text import cleaned, loose, plain
from .yes_no import sentences_of

_COUNT = re.compile("0|[1-9][0-9]*")


def score_open(text: str, question: Question) -> Ruling:
    """Rule on a cleaned answer to a question without options: right if any accepted answer makes it so, wrong if each does."""
    rulings = [_against(text, replace(question, answer=cleaned(answer), also=())) for answer in question.answers]
    preferred = (Outcome.CORRECT, None, Outcome.WRONG)
    return min(rulings, key=lambda ruling: preferred.index(ruling.outcome))


def _against(text: str, question: Question) -> Ruling:
    rulings = [_open_line(line, question) for line in text.split("\n")]
    if len({ruling.outcome for ruling in rulings}) > 1 or rulings[0].outcome is None:
        return _by_pattern(text, question) or (rulings[0] if len(rulings) == 1 else Ruling(None, "two_answers"))
    return rulings[0]


def _by_pattern(text: str, question: Question) -> Ruling | None:
    """Yes or no, then sentences; or a sentence with the reference in quotes."""
    standard = loose(question.answer)
    if standard in ("yes", "no"):
        said = sentences_of(text, question.text)
        return Ruling(Outcome.CORRECT if said[0] == standard else Outcome.WRONG, said[1], said[0]) if said else None
    quoted = quoted_text(text, question.text)
    same = quoted is not None and plain(quoted) == plain(question.answer) != ""
    return Ruling(Outcome.CORRECT, "quoted_text", plain(question.answer)) if same else None


def _open_line(line: str, question: Question) -> Ruling:
    literal = asks_to_read(question.text)
    same = plain if literal else loose
    standard = same(question.answer)
    for _, text in forms(line, question):
        value = same(text)
        if standard in ("yes", "no") and (said := polarity(text, question.text)):
            return Ruling(Outcome.CORRECT if said == standard else Outcome.WRONG, "yes_no", said)
        numbers = _COUNT.fullmatch(value) and _COUNT.fullmatch(standard)
        if value == standard != "" and (text == line or not literal or ANSWERED.search(line)):
            return Ruling(Outcome.CORRECT, "number" if numbers else "exact_text", value)
        if numbers and asks_to_count(question.text):
            return Ruling(Outcome.WRONG, "number", value)
    return Ruling(None, why_undecided(line, question))
