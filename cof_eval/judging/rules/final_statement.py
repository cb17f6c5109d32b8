"""A labelled last statement after reasoning: "… not in pair 2.", and below it "Final answer: B"."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ...core.records import Question
from .doubt import HEDGE, NEGATION, REFUSAL, doubted, retracted
from .letters import by_letter
from .options import bracketed, foreign_words, mentioned, names_letters, option_text, stated, yes_or_no
from .ruling import Ruling
from .sentences import sentences, stems
from .statements import CLAIMED, LABELLED, LETTERED
from .text import strict, words
from .yes_no import follows

_LINE = re.compile(r"(?:final |my )?answer ?:", re.IGNORECASE)
_LETTER_LAST = re.compile(r"\b(?:is|are|be|was|were)(?: (?:most )?likely)?:?\s(?P<last>\([A-Z]\) [^\n]+)$")
"""A letter with its text at the very end, as in "the most likely cause is (C) frost."."""
_DOUBT = re.compile("[不没沒未非无無否或但却也许可能錯错ないません]|아니|않|또는|그러나")
_BROKEN = re.compile(r"(:|\bis|\bbe)\n+")
_OR = re.compile(r" or ")
_LATIN = re.compile(r"[\x00-\u024f\u2000-\u22ff]+")


def by_final_statement(text: str, question: Question) -> Ruling | None:
    """The letter of a last statement "So the answer is B.", where the reasoning before names and claims no other letter."""
    before, last = _last_statement(text)
    reading = by_letter(last, question) if last and "\n" not in last else None
    if reading is None or not reading.rule.startswith("letter") or reading.chosen not in question.letters:
        return None
    if before and not _LATIN.fullmatch(before):
        return _other_script(before, reading.chosen, question)
    if not before or (reading.rule == "letter" and last.startswith("(")):
        return None
    certain = leads_to(before, reading.chosen, question, whole=reading.rule == "letter_text", line=bool(_LINE.match(last)))
    return Ruling(None, "final_statement", reading.chosen) if certain else None


def _last_statement(text: str) -> tuple[str, str]:
    """(what stands before it, the last statement that names the answer, on one line); nothing twice if there is none."""
    starts = [match.start() for match in LABELLED.finditer(text)]
    starts = starts or [match.start("last") for match in _LETTER_LAST.finditer(text)]
    return (text[: starts[-1]].strip(), _BROKEN.sub(r"\1 ", text[starts[-1] :].strip())) if starts else ("", "")


def _other_script(before: str, letter: str, question: Question) -> Ruling | None:
    """The same after reasoning in a script without blanks: it must have no other letter, text, or word of doubt in it."""
    others = [option for other, option in zip(question.letters, question.options, strict=True) if other != letter]
    disputes = mentioned(before, question) - {letter} or _DOUBT.search(before) or doubted(before)
    return None if disputes or any(other in before for other in others) else Ruling(None, "final_statement", letter)


def leads_to(reasoning: str, letter: str, question: Question, *, whole: bool, line: bool) -> bool:
    """Whether reasoning claims no other letter, refuses nothing, and neither ends with another option nor denies this one.

    Args:
        reasoning: what stands before the last statement.
        letter: of the option that the statement names.
        question: with cleaned options.
        whole: whether the statement has the option's text too; then a letter may be the name of a thing ("point A").
        line: whether the statement is a line "Final answer: B": only what comes right before it can then speak against it.
    """
    parts = sentences(reasoning)
    told = [found for each in parts if not NEGATION.search(each) and (found := stated(each, question))]
    named = bracketed if whole and names_letters(question) else mentioned
    others = named(reasoning, question) - {letter}
    if others or REFUSAL.search(reasoning) or _claims_other(reasoning, letter, question):
        return False
    if any(_denies(each, letter, question) for each in parts):
        return False
    if line:
        against = stated(parts[-1], question) - {letter} and not NEGATION.search(parts[-1])
        return not (against or retracted(parts[-1]) or "?" in parts[-1])
    if told and letter not in told[-1]:
        return False
    return _last_agrees(parts, letter, question)


def _claims_other(reasoning: str, letter: str, question: Question) -> bool:
    """Whether the reasoning says "the answer is …" of anything but the option."""
    own = words(option_text(letter, question))
    for claim in CLAIMED.finditer(reasoning):
        match = LETTERED.match(claim["claimed"])
        if not (match and match["letter"].upper() == letter) and own not in words(claim["claimed"]):
            return True
    return False


def _denies(sentence: str, letter: str, question: Question) -> bool:
    """Whether a sentence with the option's letter or full text holds a negation or a withdrawal."""
    if letter not in mentioned(sentence, question) | stated(sentence, question):
        return False
    return bool(NEGATION.search(sentence)) or retracted(sentence)


def _last_agrees(parts: Sequence[str], letter: str, question: Question) -> bool:
    """Whether the sentence before the statement speaks for the option, against others, or for none."""
    last = parts[-1]
    if retracted(last) or "?" in last or HEDGE.search(_OR.sub(",", last)):
        return False
    if yes_or_no(question):
        return follows(strict(option_text(letter, question)), last, question.text)
    said, own, others = set(stems(last)), _own_words(letter, question), foreign_words(letter, question)
    against = others & said if len(parts) < 3 else stated(last, question) - {letter}
    return bool(own & said) ^ bool(NEGATION.search(last)) if against else not (own & said and NEGATION.search(last))


def _own_words(letter: str, question: Question) -> set[str]:
    """Stems of words that only the option with this letter has."""
    others = {word for other in question.letters if other != letter for word in stems(option_text(other, question))}
    return set(stems(option_text(letter, question))) - others
