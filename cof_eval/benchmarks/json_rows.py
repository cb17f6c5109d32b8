"""JSON as users have it: a list, JSON lines under either name, rows inside an object; NaN, and what is no row."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from ..core.text import cut
from .text_files import open_text, undecodable

Fields = dict[str, Any]


Found = tuple[int, Fields | str]
"""(line in the file, 0 if it is not known; the row, or what is wrong with it)."""


def jsonl_rows(file: Path) -> Iterator[Found]:
    """The rows of a JSON lines file, one at a time; of a JSON list under that name, too."""
    with open_text(file, newline=None) as opened:
        first = next((line for line in opened if line.strip()), "")
    if first.lstrip().startswith("["):
        yield from json_rows(file)
    else:
        yield from _lines(file)


def json_rows(file: Path) -> Iterator[Found]:
    """The rows of a JSON list, of the list `data` inside an object, of a single object, or of JSON lines.

    Raises:
        ValueError: if the file is none of these.
    """
    with open_text(file, newline=None) as opened:
        text = opened.read()
    try:
        value = _decoded(text)
    except (ValueError, RecursionError) as error:
        if not _is_lines(text):
            raise ValueError(str(error) if isinstance(error, ValueError) else "it is nested too deeply") from error
        yield from _lines(file)
        return
    if isinstance(value, dict):
        value = value["data"] if isinstance(value.get("data"), list) else [value]
    if not isinstance(value, list):
        raise ValueError(f"it holds {cut(value)}; expected a list of rows")
    for row in value:
        yield 0, row if isinstance(row, dict) else _no_object(row)


def parse_object(text: str) -> Fields | str:
    """One JSON object, or what is wrong with it. NaN and Infinity are read as Python writes them."""
    try:
        value = _decoded(text)
    except ValueError as error:
        return str(error)
    except RecursionError:
        return "it is nested too deeply"
    return value if isinstance(value, dict) else _no_object(value)


def _is_lines(text: str) -> bool:
    """Whether a text that is no JSON as a whole is one of JSON lines: it is no list, or some line is a whole object."""
    whole = (isinstance(parse_object(line), dict) for line in text.split("\n") if line.startswith("{"))
    return not text.lstrip().startswith("[") or any(whole)


def _lines(file: Path) -> Iterator[Found]:
    with open_text(file, newline=None) as opened:
        yield from ((number, parse_object(line.strip())) for number, line in enumerate(opened, 1) if line.strip())


def _decoded(text: str) -> Any:
    if problem := undecodable(text):
        raise ValueError(problem)
    try:
        value = json.loads(text, object_pairs_hook=_once)
    except json.JSONDecodeError:
        value = msgspec.json.decode(text)  # says what is malformed in its own words
    if "\\u" in text and (problem := undecodable(json.dumps(value, ensure_ascii=False))):
        raise ValueError(problem)
    return value


def _once(pairs: list[tuple[str, Any]]) -> Fields:
    """An object's fields; one that stands twice could mean either value."""
    fields = dict(pairs)
    if len(fields) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the field {cut(twice)} stands twice; keep one")
    return fields


def _no_object(value: object) -> str:
    kind = "array" if isinstance(value, list) else "null" if value is None else type(value).__name__
    return f"Expected `object`, got `{kind}` ({cut(value)})"
