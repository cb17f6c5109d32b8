"""Which part of a model's text is its answer, per answer syntax. Pure."""

from __future__ import annotations

import re
from enum import StrEnum


class AnswerSyntax(StrEnum):
    """How a checkpoint marks its answer."""

    TAG = "tag"
    """Only `<answer>…</answer>` counts."""
    TAG_OR_TEXT = "tag_or_text"
    """Without the tag, the whole text (thoughts removed) is the answer, unless it was cut at its token limit."""
    ANY_TEXT = "any_text"
    """Without the tag, the whole text is the answer, cut or not (a quirk of the released evaluation)."""
    BOXED = "boxed"
    r"""Only the last `\boxed{…}` counts (Pixel-Reasoner)."""


def find_answer(text: str, syntax: AnswerSyntax, *, allow_in_thoughts: bool, has_call: bool) -> tuple[str | None, bool]:
    """The answer, and whether it is known to be complete.

    Args:
        text: one turn's text.
        syntax: how the checkpoint marks its answer.
        allow_in_thoughts: whether an answer inside `<think>…</think>` counts where there is none outside.
        has_call: whether the turn holds a call: untagged text beside it is no answer.
    """
    if syntax is AnswerSyntax.BOXED:
        return _boxed(text, allow_in_thoughts=allow_in_thoughts)
    answers, closed = find_answers(text, allow_in_thoughts=allow_in_thoughts)
    if not answers and not has_call and syntax is not AnswerSyntax.TAG:
        plain = _UNOPENED.sub("", _THINK.sub("", text)).strip()
        answers, closed = [plain] if plain else [], syntax is AnswerSyntax.ANY_TEXT
    return "\n".join(dict.fromkeys(answers)) if answers else None, closed


_THINK = re.compile(r"<think>.*?</think>", re.DOTALL | re.IGNORECASE)
_UNOPENED = re.compile(r"\A.*</think>", re.DOTALL | re.IGNORECASE)
"""Thoughts whose opening tag stood in the prompt (templates of thinking checkpoints)."""
_ANSWER = re.compile(r"<answer>(.*?)(</answer>|(?=<answer>)|\Z)", re.DOTALL | re.IGNORECASE)
_BOX = re.compile(r"\\boxed\s*\{")


def without_thoughts(text: str) -> str:
    """The text outside `<think>…</think>`."""
    return _THINK.sub("", text)


def find_answers(text: str, *, allow_in_thoughts: bool = True) -> tuple[list[str], bool]:
    """The contents of all `<answer>` tags, and whether the last one is closed.

    Tags inside `<think>…</think>` are musing: they count only where there is none outside, and only if `allow_in_thoughts` (no call
    stands outside either).
    """
    for source in _sources(text, allow_in_thoughts):
        matches = list(_ANSWER.finditer(source))
        answers = [m.group(1).strip() for m in matches if m.group(1).strip()]
        if answers:
            return answers, bool(matches[-1].group(2))
    return [], True


def _sources(text: str, allow_in_thoughts: bool) -> tuple[str, ...]:
    return (without_thoughts(text), text) if allow_in_thoughts else (without_thoughts(text),)


def _boxed(text: str, *, allow_in_thoughts: bool) -> tuple[str | None, bool]:
    r"""What the last `\boxed{…}` holds, braces balanced; one that is never closed is not complete."""
    for source in _sources(text, allow_in_thoughts):
        for opened in reversed(list(_BOX.finditer(source))):
            inside, closed = _until_closed(source[opened.end() :])
            if inside.strip():
                return inside.strip(), closed
    return None, True


def _until_closed(text: str) -> tuple[str, bool]:
    depth = 1
    for position, char in enumerate(text):
        depth += {"{": 1, "}": -1}.get(char, 0)
        if depth == 0:
            return text[:position], True
    return text, False
