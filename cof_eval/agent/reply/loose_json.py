"""JSON as models write it: read strictly first, then with single quotes, Python's three constants and trailing commas."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

MAX_CALL_CHARS = 4096
"""A call longer than this is not read; the longest sensible one is a tenth of it."""

_DECODER = json.JSONDecoder(strict=False)


def read_object(text: str, start: int, limit: re.Pattern[str] | None = None) -> tuple[object, int, str | None]:
    """(value, end, error) of the object that begins at `start`; text after it is left alone.

    Args:
        text: any text.
        start: where its `{` stands.
        limit: what ends an object that is never closed.
    """
    window = text[start : start + MAX_CALL_CHARS]
    try:
        value, length = _DECODER.raw_decode(window)
        return value, start + length, None
    except (ValueError, RecursionError):
        pass
    span = _balanced(window)
    if span is None:
        end = limit.search(window) if limit else None
        stop = start + (end.start() if end else len(window))
        return None, stop, f"the call's JSON is not complete: {quoted(text[start:stop])}"
    raw = window[:span]
    try:
        return _DECODER.decode(as_json(raw, _WORD_OR_COMMA, _replaced)), start + span, None
    except (ValueError, RecursionError):
        return None, start + span, f"the call is not valid JSON: {quoted(raw)}"


_STRINGS = {'"': re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL), "'": re.compile(r"'(?:[^'\\]|\\.)*'", re.DOTALL)}
_BRACE_OR_QUOTE = re.compile(r"[{}\"']")
_WORD_OR_COMMA = re.compile(r"(?P<quote>[\"'])|(?P<word>\b(?:True|False|None)\b)|(?P<comma>,(?=\s*[\]}]))")
CONSTANTS = {"True": "true", "False": "false", "None": "null"}


def _balanced(text: str) -> int | None:
    """Length of the brace-balanced span at the start of `text`, braces inside strings ignored; None if it never closes.

    A quote that nothing closes is a character like any other; so are all later ones of its kind, which are not tried again.
    """
    depth, position, unclosed = 0, 0, ""
    while mark := _BRACE_OR_QUOTE.search(text, position):
        position = mark.end()
        if mark[0] in _STRINGS:
            string = None if mark[0] in unclosed else _STRINGS[mark[0]].match(text, mark.start())
            position, unclosed = (string.end(), unclosed) if string else (position, unclosed + mark[0])
            continue
        depth += 1 if mark[0] == "{" else -1
        if depth == 0:
            return position
    return None


def as_json(text: str, marks: re.Pattern[str], replace: Callable[[re.Match[str]], str]) -> str:
    """A text with its strings in double quotes and everything else that `marks` finds replaced. One pass.

    Args:
        text: what should be JSON in some dialect.
        marks: finds what to replace outside strings; quotes as the group `quote`.
        replace: makes JSON of any other match.

    Raises:
        ValueError: if a string is never closed: no dialect allows that.
    """
    parts, position = [], 0
    while mark := marks.search(text, position):
        parts.append(text[position : mark.start()])
        if mark.lastgroup == "quote":
            string = _STRINGS[mark[0]].match(text, mark.start())
            if string is None:
                raise ValueError(f"a string is not closed: {quoted(text[mark.start() :])}")
            parts.append(_double_quoted(string[0]))
            position = string.end()
        else:
            parts.append(replace(mark))
            position = mark.end()
    return "".join([*parts, text[position:]])


def _replaced(mark: re.Match[str]) -> str:
    """Python's constants as JSON's; no comma before a closing bracket."""
    return CONSTANTS[mark[0]] if mark.lastgroup == "word" else ""


def _double_quoted(string: str) -> str:
    if string.startswith('"'):
        return string
    body = string[1:-1].replace("\\'", "'")
    return '"' + re.sub(r'(?<!\\)"', r"\"", body) + '"'


def quoted(value: object, limit: int = 80) -> str:
    """A model's words inside a message of ours: one line, ASCII, capped."""
    text = value if isinstance(value, str) else repr(value)
    shown = json.dumps(text)
    return shown if len(shown) <= limit else shown[: limit - 2] + '…"'
