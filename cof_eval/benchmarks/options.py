"""Options of a question: reading them in the formats of the datasets, and writing them in one format."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence

from ..core.letters import LETTERS, option_letters, option_lines
from ..core.text import cut

ANSWER_LETTER = "Answer with the option's letter from the given choices directly."
"""Closing instruction of V* (`craigwu/vstar_bench`) and MMStar (lmms-eval's `mmstar` task)."""
ANSWER_SHORTLY = "Answer the question using a single word or phrase."
"""Closing instruction of lmms-eval's tasks `pope`, `docvqa` and `infovqa`."""

_LETTERED = re.compile(r"\s*(?:\(([A-Z])\)|([A-Z])[.):：](?=\s|$))\s*(.*)", re.DOTALL)
_INLINE = re.compile(r"(?:^|(?<=[\s,;]))(?:\(([A-Z])\)|([A-Z])[:：.])(?=\s)")


def choice_text(question: str, options: Sequence[str], closing: str) -> str:
    """A question with its options, if it has any, as lines "(A) …" and a closing instruction.

    Raises:
        ValueError: if the question has no text, a single option, or more options than letters.
    """
    if not question.strip():
        raise ValueError("the question has no text")
    if len(options) == 1:
        raise ValueError(f"there is one option, {cut(options[0])}; expected two or more, or none")
    return "\n".join([question.strip(), *option_lines(options), closing])


def listed_options(options: str | Sequence[object]) -> tuple[str, ...]:
    """Option texts from a list, a list written as text, or lines; letters in front of them, if any, are taken off.

    Raises:
        ValueError: if some have letters that do not run A, B, …, one is empty, or there are more than letters.
    """
    rows = [row.replace("（", "(").replace("）", ")").strip() for row in listed_texts(options)]
    found = [_LETTERED.fullmatch(row) for row in rows]
    if not any(found):
        return checked_options(rows)
    lettered = [match for match in found if match]
    letters = "".join(match[1] or match[2] for match in lettered)
    if len(lettered) < len(rows) or letters != LETTERS[: len(letters)]:
        raise ValueError(
            f"the options {cut(rows, chars=200)} are lettered {', '.join(letters)}; expected A, B, … in order, or no letters at all"
        )
    return checked_options([match[3].strip() for match in lettered])


def checked_options(texts: Sequence[str]) -> tuple[str, ...]:
    """The options, none of them dropped.

    Raises:
        ValueError: if one is empty, or there are more than letters.
    """
    letters = option_letters(len(texts))
    empty = [letter for letter, text in zip(letters, texts, strict=True) if not text]
    if empty:
        raise ValueError(
            f"option {', '.join(empty)} is empty ({len(texts)} options); write it, or remove it and correct the answer's letter"
        )
    return tuple(texts)


def option_letter(answer: str, options: Sequence[str]) -> str:
    """The letter of an option that is given by its letter or its text; any other answer unchanged.

    Raises:
        ValueError: if the answer fits two options.
    """
    letters = option_letters(len(options))
    named = {letter for letter in letters if letter == answer.strip("()").upper()}
    spelled = {letter for letter, option in zip(letters, options, strict=True) if option == answer}
    alike = {letter for letter, option in zip(letters, options, strict=True) if _folded(option) == _folded(answer)}
    fits = named | (spelled or alike)
    if len(fits) > 1:
        kind = "both a letter and the text of" if named else "the text of"
        others = " and ".join(sorted(fits - named))
        raise ValueError(
            f"the answer {cut(answer)} is {kind} option {others}; write a letter such as ({min(fits)}), or change a text"
        )
    return next(iter(fits), answer)


def _folded(text: str) -> str:
    return " ".join(text.casefold().split())


def listed_texts(value: str | Sequence[object]) -> list[str]:
    """Texts from a list (numbers as they are written), a list written as text (as in TSV files), or lines that are not blank.

    Raises:
        ValueError: if a list holds anything else.
    """
    if not isinstance(value, str):
        return [_text(each) for each in value]
    if value.strip().startswith("["):
        try:
            found = ast.literal_eval(value.strip())
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            found = None
        if isinstance(found, list):
            return [_text(each) for each in found]
    return _lines(value)


def _lines(text: str) -> list[str]:
    """Lines, where blank ones only part the others: they may stand between lettered lines, or around all."""
    lines = text.strip().splitlines()
    if any(_LETTERED.match(line) for line in lines):
        return [line for line in lines if line.strip()]
    return lines


def _text(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float) or value != value:
        raise ValueError(f"{cut(value)} in a list is no text; expected texts or numbers")
    return str(value)


def column_options(columns: Mapping[str, str | None]) -> tuple[str, ...]:
    """Option texts from columns A, B, …; those that are empty at the end are no options.

    Raises:
        ValueError: if an empty one stands before another.
    """
    texts = [" ".join((columns.get(letter) or "").split()) for letter in sorted(columns)]
    while texts and not texts[-1]:
        texts.pop()
    return checked_options(texts)


def inline_options(text: str) -> tuple[str, ...]:
    """Option texts from within a question: "Options: A: red, B: blue" or "(A) red (B) blue"; none if they cannot be told apart.

    The last run of marks that begins with A and continues with B, C, … is read. So letters in the question do not matter.
    """
    marks = list(_INLINE.finditer(text))
    starts = [i for i, mark in enumerate(marks) if (mark[1] or mark[2]) == "A"]
    for start in reversed(starts):
        run = marks[start:]
        if len(run) > 1 and "".join(mark[1] or mark[2] for mark in run) == LETTERS[: len(run)]:
            ends = [mark.start() for mark in run[1:]] + [len(text)]
            texts = [text[mark.end() : end].strip().rstrip(",;").strip() for mark, end in zip(run, ends, strict=True)]
            return tuple(texts) if all(texts) else ()
    return ()
