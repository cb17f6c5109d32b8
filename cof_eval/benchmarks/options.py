"""Options of a question: reading them in the formats of the datasets, and writing them in one format."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence

from ..core.letters import LETTERS, option_lines

ANSWER_LETTER = "Answer with the option's letter from the given choices directly."
"""Closing instruction of V* (`craigwu/vstar_bench`) and MMStar (lmms-eval's `mmstar` task)."""
ANSWER_SHORTLY = "Answer the question using a single word or phrase."
"""Closing instruction of lmms-eval's tasks `pope`, `docvqa` and `infovqa`."""

_LETTERED = re.compile(r"\s*(?:\(([A-Z])\)|([A-Z])[.):：](?=\s|$))\s*(.*)", re.DOTALL)
_INLINE = re.compile(r"(?:^|(?<=[\s,;]))(?:\(([A-Z])\)|([A-Z])[:：.])(?=\s)")


def choice_text(question: str, options: Sequence[str], closing: str) -> str:
    """A question with its options as lines "(A) …" and a closing instruction."""
    return "\n".join([question.strip(), *option_lines(options), closing])


def listed_options(options: str | Sequence[str]) -> tuple[str, ...]:
    """Option texts from a list, a list written as text, or lines; letters in front of them, if any, are taken off.

    Raises:
        ValueError: if some have letters that do not run A, B, …
    """
    rows = [row.replace("（", "(").replace("）", ")").strip() for row in listed_texts(options) if row.strip()]
    found = [_LETTERED.fullmatch(row) for row in rows]
    if not any(found):
        return tuple(rows)
    lettered = [match for match in found if match]
    letters = "".join(match[1] or match[2] for match in lettered)
    if len(lettered) < len(rows) or letters != LETTERS[: len(letters)]:
        raise ValueError(
            f"the options {rows} are lettered {', '.join(letters)}; expected A, B, … in order, or no letters at all"
        )
    return tuple(match[3].strip() for match in lettered)


def listed_texts(value: str | Sequence[str]) -> list[str]:
    """Texts from a list, a list written as text (as in TSV files), or lines."""
    if not isinstance(value, str):
        return [str(each) for each in value]
    if value.strip().startswith("["):
        try:
            found = ast.literal_eval(value.strip())
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            return value.splitlines()
        if isinstance(found, list):
            return [str(each) for each in found]
    return value.splitlines()


def column_options(columns: Mapping[str, str | None]) -> tuple[str, ...]:
    """Option texts from columns A, B, …; those that are empty at the end are no options.

    Raises:
        ValueError: if an empty one stands before another.
    """
    texts = [" ".join((columns.get(letter) or "").split()) for letter in sorted(columns)]
    while texts and not texts[-1]:
        texts.pop()
    if "" in texts:
        raise ValueError(f"option {sorted(columns)[texts.index('')]} is empty, but a later one is not")
    return tuple(texts)


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
