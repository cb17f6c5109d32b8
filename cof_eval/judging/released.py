"""How the released Chain-of-Focus evaluation judges: its short rules, and how it reads its judge.

Source: github.com/xtong-zhang/Chain-of-Focus, eval/vstar/judge_result.py. One letter, a letter with a full stop or in brackets, or
an answer that holds "(X) the right option's text" is decided by rules; anything else goes to the judge, who is shown the letter alone.
The release also sends it answers that are empty; here a rollout without an answer is wrong without a judge.
"""

from __future__ import annotations

from collections.abc import Collection

from ..core.records import Outcome, Question
from .rules import Ruling


def score_released(answer: str, question: Question) -> Ruling:
    """What the release's rules say; undecided where it would ask its judge."""
    gold = question.answer
    if not gold:
        return Ruling(None, "no_standard_answer")
    if len(answer) == 1:
        return _ruling(answer == gold, "letter")
    if len(answer) == 2 and "." in answer:
        return _ruling(gold in answer, "letter_and_stop")
    if len(answer) == 3 and "(" in answer and ")" in answer:
        return _ruling(gold in answer, "letter_in_brackets")
    if question.options and f"({gold}) {question.answer_text}" in answer:
        return _ruling(True, "letter_and_text")
    return Ruling(None, "left_to_the_judge")


def _ruling(right: bool, rule: str) -> Ruling:
    return Ruling(Outcome.CORRECT if right else Outcome.WRONG, f"released_{rule}")


def released_label(reply: str, labels: Collection[str]) -> str:
    """The label in a judge's reply: after the last "Judgement:" a 1 anywhere, else the whole reply; anything else is a 0."""
    said = reply.strip()
    _, named, verdict = said.rpartition("Judgement:")
    return "1" if ("1" in verdict if named else said == "1") else "0"
