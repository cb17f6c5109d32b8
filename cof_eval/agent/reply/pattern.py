"""A call syntax written as a pattern: `<zoom>{tool}({x1}, {y1}, {x2}, {y2})</zoom>`, for protocols from a YAML file. Pure.

Text stands as it must be written. `{tool}` is the tool's name. `{box}` is the box as a list, `{x1}` … `{y2}` its numbers
one by one. `{image}` is the name of the image, `{label}` any words. `{arguments}` is a JSON object of arguments, and
`{call}` one with `name` and `arguments`. A call begins wherever the pattern's first tag stands (or its first words, if it
begins with no tag), and ends with its last tag.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from .loose_json import MAX_CALL_CHARS, quoted, read_object

CORNERS = ("x1", "y1", "x2", "y2")
NAMES = ("tool", "box", *CORNERS, "image", "label", "arguments", "call")
_PLACE = re.compile(r"\{(" + "|".join(NAMES) + r")\}")
_NUMBER = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?)\s*")
_NAME = re.compile(r"\s*([\w.-]{1,64})\s*")
_LIST = re.compile(r"\s*\[([^\[\]]{0,400})\]\s*")
_FIRST_TAG = re.compile(r"<[^<>{}]+>")
_LAST_TAG = re.compile(r"</[^<>{}]+>\Z")

Fields = dict[str, object]
Found = tuple[str, Fields | None, str | None]
"""(raw, values by placeholder, error); the values are None where the call cannot be read."""


@dataclass(frozen=True, slots=True)
class _Pattern:
    """A pattern taken apart."""

    opening: str
    """The text at which a call begins."""
    first: str
    """What follows it before the first placeholder."""
    parts: tuple[tuple[str, str], ...]
    """(placeholder, text after it), the last tag of the last text aside."""
    closing: str
    """The last tag."""


@lru_cache(maxsize=32)
def _taken_apart(pattern: str) -> _Pattern:
    tag, end = _FIRST_TAG.match(pattern), _LAST_TAG.search(pattern)
    closing = end[0] if end else ""
    before, *rest = _PLACE.split(pattern.removesuffix(closing))
    opening = tag[0] if tag else before
    return _Pattern(opening, before[len(opening) :], tuple(zip(rest[::2], rest[1::2], strict=True)), closing)


def pattern_problem(pattern: str) -> str | None:
    """Why calls cannot be read by this pattern; None if they can."""
    taken = _taken_apart(pattern)
    names = [name for name, _ in taken.parts]
    boxed = {"box", "arguments", "call"} & set(names) or set(CORNERS) <= set(names)
    if not taken.opening.strip():
        return "it must begin with the text that opens a call, e.g. <zoom>"
    if len(set(names)) < len(names):
        return f"each placeholder may stand once; it has {', '.join(names)}"
    if any(name in ("image", "label") and not (after or taken.closing) for name, after in taken.parts):
        return "{image} and {label} need text after them: it says where they end"
    if not boxed and names != ["tool"] and names:
        return f"it must hold the box: {{box}}, {{arguments}}, {{call}} or {{x1}} to {{y2}}; known placeholders: {', '.join(NAMES)}"
    return None


def read_pattern(text: str, pattern: str) -> Iterator[tuple[Found, bool]]:
    """Every call, and whether it ends with the pattern's last tag."""
    taken = _taken_apart(pattern)
    position = text.find(taken.opening)
    while position >= 0:
        begin = position + len(taken.opening)
        following = text.find(taken.opening, begin)
        limit = min(following if following >= 0 else len(text), position + MAX_CALL_CHARS)
        end = text.find(taken.closing, begin, limit) if taken.closing else limit
        body = text[begin : end if end >= 0 else limit]
        fields, read, error = _read_one(body, taken)
        if error is None and taken.closing and body[read:].strip():
            fields, error = None, f"the call cannot be read: expected {quoted(taken.closing)}, got {quoted(body[read:][:40])}"
        whole = begin + (
            len(body) + (len(taken.closing) if end >= 0 else 0) if taken.closing else read if error is None else len(body)
        )
        yield (text[position:whole], fields, error), end >= 0
        position = text.find(taken.opening, max(whole, begin))


def _read_one(body: str, taken: _Pattern) -> tuple[Fields | None, int, str | None]:
    if not body.startswith(taken.first):
        return None, 0, f"the call cannot be read: expected {quoted(taken.first)}, got {quoted(body[:40])}"
    position = len(taken.first)
    fields: Fields = {}
    for name, after in taken.parts:
        value, position, error = _read_value(body, position, name, after)
        if error is None and not body.startswith(after, position):
            error = f"after {name}, expected {quoted(after)}, got {quoted(body[position : position + 40])}"
        if error is not None:
            return None, position, f"the call cannot be read: {error}"
        fields[name] = value
        position += len(after)
    return fields, position, None


def _read_value(body: str, position: int, name: str, after: str) -> tuple[object, int, str | None]:
    if name in ("arguments", "call"):
        brace = len(body) - len(body[position:].lstrip())
        if not body.startswith("{", brace):
            return None, position, f"{name} must be a JSON object, got {quoted(body[position : position + 40])}"
        return read_object(body, brace)
    if name in ("image", "label"):
        end = body.find(after, position) if after else len(body)
        return (None, position, f"{name} does not end with {quoted(after)}") if end < 0 else (body[position:end], end, None)
    match = {"box": _LIST, "tool": _NAME}.get(name, _NUMBER).match(body, position)
    if match is None:
        return None, position, f"{name} cannot be read from {quoted(body[position : position + 40])}"
    if name == "box":
        return _items(match[1]), match.end(), None
    return match[1] if name == "tool" else float(match[1]), match.end(), None


def _items(inside: str) -> object:
    """The items of a list; whether they are four numbers is for the tool to say."""
    inside = inside.rstrip().removesuffix(",")
    try:
        return json.loads(f"[{inside}]")
    except (ValueError, RecursionError):
        return inside


def write_pattern(pattern: str, values: Mapping[str, object]) -> str:
    """A call as the pattern has it, from values by placeholder."""
    return _PLACE.sub(lambda place: _written(values.get(place[1], "")), pattern)


def _written(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
