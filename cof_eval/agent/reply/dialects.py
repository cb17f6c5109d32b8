"""One JSON object as checkpoints write it, read in the dialect of the code that they were trained with. Pure."""

from __future__ import annotations

import json
import re
from enum import StrEnum

from .loose_json import MAX_CALL_CHARS, quoted


class Dialect(StrEnum):
    """Which JSON a call may be written in."""

    LOOSE = "loose"
    """JSON with single quotes, Python's constants and trailing commas, anywhere in a block; numerals in quotes are numbers."""
    JSON = "json"
    """Strict JSON, alone in its block."""
    PYTHON = "python"
    """A Python literal, alone in its block: single quotes, `None`, trailing commas; no `null`."""
    JSON5 = "json5"
    """JSON5, the whole block or from its first brace to its end: comments, keys without quotes, single quotes, trailing commas."""


_STRING = r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\''
_COMMA = r",(?=\s*[\]}])"
_PYTHON = re.compile(rf"(?P<string>{_STRING})|(?P<word>\b[A-Za-z_]\w*\b)|(?P<comma>{_COMMA})", re.DOTALL)
_JSON5 = re.compile(
    rf"(?P<string>{_STRING})|(?P<comment>/\*.*?\*/|//[^\n]*)|(?P<key>\b[A-Za-z_$][\w$]*\b(?=\s*:))|(?P<comma>{_COMMA})",
    re.DOTALL,
)
_CONSTANTS = {"True": "true", "False": "false", "None": "null"}


def read_whole(block: str, dialect: Dialect) -> tuple[object, str | None]:
    """(value, error) of a block that must be one value of this dialect.

    Args:
        block: what stands between the tags.
        dialect: any but `loose`, which reads objects wherever they stand.
    """
    text = block.strip()
    if len(text) > MAX_CALL_CHARS:
        return None, f"the call has more than {MAX_CALL_CHARS} characters"
    readings = [text, text[text.find("{") :]] if dialect is Dialect.JSON5 else [text]
    for reading in dict.fromkeys(readings):
        try:
            return json.loads(_as_json(reading, dialect), strict=dialect is Dialect.JSON), None
        except (ValueError, RecursionError):
            continue
    return None, f"the call is not valid JSON: {quoted(text)}"


def _as_json(text: str, dialect: Dialect) -> str:
    if dialect is Dialect.PYTHON:
        return _PYTHON.sub(_python_token, text)
    return _JSON5.sub(_json5_token, text) if dialect is Dialect.JSON5 else text


def _python_token(token: re.Match[str]) -> str:
    if token.lastgroup == "word":
        return _CONSTANTS.get(token[0], f"!{token[0]}")  # no JSON: a name that Python does not know
    return "" if token.lastgroup == "comma" else _double_quoted(token[0])


def _json5_token(token: re.Match[str]) -> str:
    if token.lastgroup == "key":
        return json.dumps(token[0])
    return "" if token.lastgroup in ("comma", "comment") else _double_quoted(token[0])


def _double_quoted(string: str) -> str:
    if string.startswith('"'):
        return string
    body = string[1:-1].replace("\\'", "'")
    return '"' + re.sub(r'(?<!\\)"', r"\"", body) + '"'
