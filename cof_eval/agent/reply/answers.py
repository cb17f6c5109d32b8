"""Which part of a model's text is its answer. Pure, one pass over the text each."""

from __future__ import annotations

import re
import string
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from .thoughts import split_thoughts


class AnswerSyntax(StrEnum):
    """How a checkpoint marks its answer."""

    TAG = "tag"
    """Only `<answer>…</answer>` counts."""
    TAG_OR_TEXT = "tag_or_text"
    """Without the tag, the text outside thoughts is the answer, unless it was cut at its token limit."""
    TAG_OR_ALL = "tag_or_all"
    """As `tag_or_text`; a reply that is all thought is the answer whole (Qwen-Agent hands over the last message as it is)."""
    ANY_TEXT = "any_text"
    """Without the tag, the text outside thoughts is the answer, cut or not."""
    WHOLE_TEXT = "whole_text"
    """Without the tag, the whole text is the answer, thoughts, calls and all, cut or not (DeepEyes)."""
    BOXED = "boxed"
    r"""Only the last `\boxed{…}` counts."""
    BOXED_OR_TAG = "boxed_or_tag"
    r"""The last `\boxed{…}`; without one, the answer tag (Pixel-Reasoner)."""


class AnswerTag(StrEnum):
    """Which of several answer tags counts."""

    ALL = "all"
    """All of them; different ones stand one a line."""
    FIRST = "first"
    LAST = "last"


class AnswerForm(StrEnum):
    """What an answer tag must look like."""

    LOOSE = "loose"
    """In any case; one that is never closed counts if the turn was not cut."""
    CLOSED = "closed"
    """Closed, in lower case."""
    LINE = "line"
    """Closed, in lower case, its content on one line."""
    SAME_LINE = "same_line"
    """Closed, in any case, on one line with its tags (Pixel-Reasoner)."""


class AnswerPlace(StrEnum):
    """Where an answer may stand."""

    OUTSIDE_FIRST = "outside_first"
    """Outside thoughts; inside `<think>…</think>` only if there is neither an answer nor a call outside."""
    OUTSIDE = "outside"
    """Outside thoughts only."""
    ANYWHERE = "anywhere"
    """Thoughts are text like any other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerRule:
    """How an answer is found."""

    syntax: AnswerSyntax = AnswerSyntax.TAG
    tag: AnswerTag = AnswerTag.ALL
    form: AnswerForm = AnswerForm.LOOSE
    place: AnswerPlace = AnswerPlace.OUTSIDE_FIRST
    first_box: bool = False
    r"""Whether a text with a `\boxed{` is read inside its first box only (Chain-of-Focus' judge script)."""


_PLAIN = (AnswerSyntax.TAG_OR_TEXT, AnswerSyntax.TAG_OR_ALL, AnswerSyntax.ANY_TEXT, AnswerSyntax.WHOLE_TEXT)
_CUT_COUNTS = (AnswerSyntax.ANY_TEXT, AnswerSyntax.WHOLE_TEXT)


def find_answer(text: str, rule: AnswerRule, *, allow_in_thoughts: bool, has_call: bool) -> tuple[str | None, bool]:
    """The answer, and whether it is known to be complete.

    Args:
        text: one turn's text.
        rule: how the checkpoint marks its answer.
        allow_in_thoughts: whether an answer inside `<think>…</think>` may count where there is none outside.
        has_call: whether the turn holds a call: untagged text with it is no answer.
    """
    for source in _sources(_first_box(text) if rule.first_box else text, rule.place, allow_in_thoughts=allow_in_thoughts):
        found, complete = _marked(source, rule)
        if found is not None:
            return found or None, complete
    if has_call or rule.syntax not in _PLAIN:
        return None, True
    return _plain(text, rule.syntax) or None, rule.syntax in _CUT_COUNTS


def find_answers(text: str, *, allow_in_thoughts: bool = True) -> tuple[list[str], bool]:
    """The contents of all `<answer>` tags, read loosely, and whether the last one is closed."""
    for source in _sources(text, AnswerPlace.OUTSIDE_FIRST, allow_in_thoughts=allow_in_thoughts):
        answers, closed = _loose_tags(source)
        if answers:
            return answers, closed
    return [], True


def without_thoughts(text: str) -> str:
    """The text outside thoughts."""
    return split_thoughts(text)[0]


def _sources(text: str, place: AnswerPlace, *, allow_in_thoughts: bool) -> tuple[str, ...]:
    """The texts in which an answer is looked for, in this order."""
    if place is AnswerPlace.ANYWHERE:
        return (text,)
    outside, unopened = split_thoughts(text)
    return (outside, unopened) if allow_in_thoughts and place is AnswerPlace.OUTSIDE_FIRST else (outside,)


def _first_box(text: str) -> str:
    start = text.find("\\boxed{")
    return text if start < 0 else text[start + len("\\boxed{") :].partition("}")[0]


def _marked(text: str, rule: AnswerRule) -> tuple[str | None, bool]:
    """What is marked as the answer: None if nothing is, "" where an empty tag or box counts."""
    if rule.syntax in (AnswerSyntax.BOXED, AnswerSyntax.BOXED_OR_TAG):
        inside, complete = _last_box(text, exact=rule.form is not AnswerForm.LOOSE)
        if inside or rule.syntax is AnswerSyntax.BOXED:
            return inside, complete
    return _tagged(text, rule)


def _tagged(text: str, rule: AnswerRule) -> tuple[str | None, bool]:
    if rule.form is AnswerForm.LOOSE:
        answers, complete = _loose_tags(text)
    else:
        answers, complete = list(_closed_tags(text, rule.form)), True
    if not answers:
        return None, complete
    if rule.tag is AnswerTag.ALL:
        return "\n".join(dict.fromkeys(filter(None, answers))) or None, complete
    return answers[0 if rule.tag is AnswerTag.FIRST else -1], complete


_ANSWER = re.compile(r"<answer>(.*?)(</answer>|(?=<answer>)|\Z)", re.DOTALL | re.IGNORECASE)


def _loose_tags(text: str) -> tuple[list[str], bool]:
    """The contents of tags that hold something, and whether the last tag is closed."""
    answers, closed = [], True
    for found in _ANSWER.finditer(text):  # one by one: a list of all would hold other threads up
        closed = bool(found[2])
        if content := found[1].strip():
            answers.append(content)
    return answers, closed if answers else True


def _closed_tags(text: str, form: AnswerForm) -> Iterator[str]:
    opening, closing = "<answer>", "</answer>"
    searched = _in_lower_case(text) if form is AnswerForm.SAME_LINE else text
    position = 0
    while (start := searched.find(opening, position)) >= 0 and (end := searched.find(closing, start)) >= 0:
        content = text[start + len(opening) : end]
        position = end + len(closing)
        line = content if form is AnswerForm.SAME_LINE else content.strip()
        if form is AnswerForm.CLOSED or "\n" not in line:
            yield content.strip()


def _in_lower_case(text: str) -> str:
    """The text with its ASCII letters in lower case; every character stays at its place."""
    return text.translate(_LOWER)


_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)

_BOX = re.compile(r"\\boxed\s*\{|[{}]")
_EXACT_BOX = re.compile(r"\\boxed\{|[{}]")


def _last_box(text: str, *, exact: bool) -> tuple[str | None, bool]:
    r"""The content of the last `\boxed{…}` that has any, braces balanced; one that is never closed is not complete."""
    starts: list[int | None] = []
    boxes: dict[int, int] = {}
    for mark in (_EXACT_BOX if exact else _BOX).finditer(text):
        if mark[0] != "}":
            starts.append(mark.end() if mark[0] != "{" else None)
            if starts[-1] is not None:
                boxes[mark.end()] = -1
        elif starts:
            start = starts.pop()
            if start is not None:
                boxes[start] = mark.start()
    for start, end in sorted(boxes.items(), reverse=True):
        inside = text[start : end if end >= 0 else None].strip()
        if inside:
            return inside, end >= 0
    return None, True


def _plain(text: str, syntax: AnswerSyntax) -> str:
    """The text that counts where nothing is marked."""
    if syntax is AnswerSyntax.WHOLE_TEXT:
        return text.strip()
    outside = without_thoughts(text).strip()
    return text.strip() if syntax is AnswerSyntax.TAG_OR_ALL and not outside else outside
