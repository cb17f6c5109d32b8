"""JSON as models write it: read strictly first, then with single quotes, Python's three constants and trailing commas."""

from __future__ import annotations

import json
import re

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
        end = limit.search(text, start) if limit else None
        stop = min(end.start() if end else len(text), start + MAX_CALL_CHARS)
        return None, stop, f"the call's JSON is not complete: {quoted(text[start:stop])}"
    raw = window[:span]
    try:
        return _DECODER.decode(_double_quoted(raw)), start + span, None
    except (ValueError, RecursionError):
        return None, start + span, f"the call is not valid JSON: {quoted(raw)}"


_STRING = re.compile(r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'', re.DOTALL)
_TOKEN = re.compile(rf"(?P<string>{_STRING.pattern})|(?P<word>\b(?:True|False|None)\b)|(?P<comma>,(?=\s*[\]}}]))", re.DOTALL)
_CONSTANTS = {"True": "true", "False": "false", "None": "null"}


def _balanced(text: str) -> int | None:
    """Length of the brace-balanced span at the start of `text`, braces inside strings ignored; None if it never closes."""
    depth, position = 0, 0
    while position < len(text):
        string = _STRING.match(text, position)
        if string:
            position = string.end()
            continue
        depth += {"{": 1, "}": -1}.get(text[position], 0)
        position += 1
        if depth == 0:
            return position
    return None


def _double_quoted(text: str) -> str:
    """Python-style literals as JSON: single-quoted strings, True/False/None, a trailing comma."""

    def replace(match: re.Match[str]) -> str:
        token = match.group()
        if match.lastgroup == "word":
            return _CONSTANTS[token]
        if match.lastgroup == "comma":
            return ""
        if token.startswith('"'):
            return token
        body = token[1:-1].replace("\\'", "'")
        return '"' + re.sub(r'(?<!\\)"', r"\"", body) + '"'

    return _TOKEN.sub(replace, text)


def quoted(value: object, limit: int = 80) -> str:
    """A model's words inside a message of ours: one line, ASCII, capped."""
    text = value if isinstance(value, str) else repr(value)
    shown = json.dumps(text)
    return shown if len(shown) <= limit else shown[: limit - 2] + '…"'
