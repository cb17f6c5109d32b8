"""One JSON object as checkpoints write it, read in the dialect of the code that they were trained with. Pure."""

from __future__ import annotations

import json
import re
from enum import StrEnum

from .loose_json import CONSTANTS, MAX_CALL_CHARS, as_json, quoted


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


_PYTHON = re.compile(r"(?P<quote>[\"'])|(?P<word>\b[A-Za-z_]\w*)|(?P<comma>,(?=\s*[\]}]))")
_JSON5 = re.compile(
    r"(?P<quote>[\"'])|(?P<comment>/\*(?:[^*]|\*(?!/))*(?:\*/|\Z)|//[^\n]*)|(?P<word>\b[A-Za-z_$][\w$]*)|(?P<comma>,(?=\s*[\]}]))"
)
_COLON = re.compile(r"\s*:")


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
        return as_json(text, _PYTHON, _python_token)
    return as_json(text, _JSON5, _json5_token) if dialect is Dialect.JSON5 else text


def _python_token(token: re.Match[str]) -> str:
    if token.lastgroup == "word":
        return CONSTANTS.get(token[0], f"!{token[0]}")  # no JSON: a name that Python does not know
    return ""


def _json5_token(token: re.Match[str]) -> str:
    if token.lastgroup == "word":
        return json.dumps(token[0]) if _COLON.match(token.string, token.end()) else token[0]
    if token.lastgroup == "comment":
        return "" if token[0].endswith("*/") or token[0].startswith("//") else token[0]
    return ""
