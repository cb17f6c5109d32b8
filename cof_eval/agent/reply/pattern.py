"""A call syntax written as a pattern: `<zoom>{tool}({x1}, {y1}, {x2}, {y2})</zoom>`, for protocols from a YAML file. Pure.

Text stands as it must be written. `{tool}` is the tool's name, `{box}` the box as a list, `{x1}` … `{y2}` its numbers one by
one, `{image}` the name of the image, `{label}` any words, `{arguments}` a JSON object of arguments, and `{call}` one with `name`
and `arguments`. What stands before the first of them opens a call: wherever it occurs, a call is expected.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache

from .loose_json import MAX_CALL_CHARS, quoted, read_object

CORNERS = ("x1", "y1", "x2", "y2")
NAMES = ("tool", "box", *CORNERS, "image", "label", "arguments", "call")
_PLACE = re.compile(r"\{(" + "|".join(NAMES) + r")\}")
_NUMBER = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?)\s*")
_NAME = re.compile(r"\s*([\w.-]{1,64})\s*")
_LIST = re.compile(r"\s*\[([^\[\]]{0,400}?),?\s*\]\s*")

Fields = dict[str, object]


@lru_cache(maxsize=32)
def _parts(pattern: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    """The text that opens a call, and (name, text after it) of every placeholder."""
    pieces = _PLACE.split(pattern)
    return pieces[0], tuple(zip(pieces[1::2], pieces[2::2], strict=True))


def pattern_problem(pattern: str) -> str | None:
    """Why calls cannot be read by this pattern; None if they can."""
    opening, parts = _parts(pattern)
    names = [name for name, _ in parts]
    boxed = {"box", "arguments", "call"} & set(names) or set(CORNERS) <= set(names)
    if not opening.strip():
        return "it must begin with the text that opens a call, e.g. <zoom>"
    if len(set(names)) < len(names):
        return f"each placeholder may stand once; it has {', '.join(names)}"
    if not boxed and names != ["tool"] and names:
        return f"it must hold the box: {{box}}, {{arguments}}, {{call}} or {{x1}} to {{y2}}; known placeholders: {', '.join(NAMES)}"
    return None


def read_pattern(text: str, pattern: str) -> Iterator[tuple[str, Fields | None, str | None]]:
    """(raw, values by placeholder, error) of every call; the values are None where the call cannot be read."""
    opening, parts = _parts(pattern)
    position = 0
    while (start := text.find(opening, position)) >= 0:
        window = text[start : start + MAX_CALL_CHARS]
        fields, end, error = _read_one(window, len(opening), parts)
        position = start + max(end, len(opening))
        yield window[:end] if error is None else window[: _stop(window, parts, opening)], fields, error


def _stop(window: str, parts: tuple[tuple[str, str], ...], opening: str) -> int:
    """Where a call that cannot be read ends: with the pattern's last text, else before the next call."""
    closing = parts[-1][1] if parts else ""
    found = window.find(closing, len(opening)) if closing else -1
    if found >= 0:
        return found + len(closing)
    following = window.find(opening, len(opening))
    return following if following >= 0 else len(window)


def _read_one(window: str, position: int, parts: tuple[tuple[str, str], ...]) -> tuple[Fields | None, int, str | None]:
    fields: Fields = {}
    for name, after in parts:
        value, position, error = _read_value(window, position, name, after)
        if error is None and not window.startswith(after, position):
            error = f"after {name}, expected {quoted(after)}, got {quoted(window[position : position + 40])}"
        if error is not None:
            return None, position, f"the call cannot be read: {error}"
        fields[name] = value
        position += len(after)
    return fields, position, None


def _read_value(window: str, position: int, name: str, after: str) -> tuple[object, int, str | None]:
    if name in ("arguments", "call"):
        brace = position + len(window[position:]) - len(window[position:].lstrip())
        if not window.startswith("{", brace):
            return None, position, f"{name} must be a JSON object, got {quoted(window[position : position + 40])}"
        value, end, error = read_object(window, brace)
        return value, end, error
    if name in ("image", "label"):
        end = window.find(after, position) if after else len(window)
        return (None, position, f"{name} does not end with {quoted(after)}") if end < 0 else (window[position:end], end, None)
    kind = {"box": _LIST, "tool": _NAME}.get(name, _NUMBER)
    match = kind.match(window, position)
    if match is None:
        return None, position, f"{name} cannot be read from {quoted(window[position : position + 40])}"
    if name == "box":
        return _numbers(match[1]), match.end(), None
    return match[1] if name == "tool" else float(match[1]), match.end(), None


def _numbers(inside: str) -> object:
    """The items of a list; whether they are four numbers is for the tool to say."""
    try:
        return json.loads(f"[{inside}]")
    except (ValueError, RecursionError):
        return inside


def write_pattern(pattern: str, values: Mapping[str, object]) -> str:
    """A call as the pattern has it, from values by placeholder."""
    return _PLACE.sub(lambda place: _written(values.get(place[1], "")), pattern)


def _written(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
