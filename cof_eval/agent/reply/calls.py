"""The syntaxes in which checkpoints write tool calls: one reader and one writer each, all in `SYNTAXES`. Pure.

Calls are found wherever they stand, in order; what cannot be read becomes a `RawCall` with the reason, so that the model
can be told. A new syntax is a member of `CallSyntax`, two functions and a line of `SYNTAXES`, all in this file.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from .loose_json import MAX_CALL_CHARS, quoted, read_object


class CallSyntax(StrEnum):
    """How a checkpoint writes tool calls."""

    NONE = "none"
    """It has no tool."""
    TOOL_CALL = "tool_call"
    """`<tool_call>{"name": …, "arguments": {…}}</tool_call>` (Qwen's preamble; Chain-of-Focus, DeepEyes, Pixel-Reasoner)."""
    GROUNDING = "grounding"
    """`<grounding>{"bbox_2d": […], "source": …}</grounding>`: the arguments alone (Mini-o3)."""


@dataclass(frozen=True, slots=True)
class RawCall:
    """A call as found in the text; `error` says why it could not be read."""

    raw: str
    name: str | None = None
    arguments: dict[str, object] | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Syntax:
    """A call syntax both ways."""

    read: Callable[[str], Iterator[RawCall]]
    """The calls in a text."""
    write: Callable[[str, Mapping[str, object]], str]
    """A call of the tool with this name and these arguments, as a checkpoint writes it."""


class _Tag:
    """A tag that encloses calls, and what ends a block that is not closed."""

    def __init__(self, name: str) -> None:
        self.opens = re.compile(f"<{name}>", re.IGNORECASE)
        self.closes = re.compile(f"</{name}>|<{name}>|<answer>", re.IGNORECASE)


_TOOL_CALL, _GROUNDING = _Tag("tool_call"), _Tag("grounding")


def _objects(text: str, tag: _Tag) -> Iterator[tuple[str, object, str | None]]:
    """(raw, value, error) of every object in every block of this tag; a block without one is a call that cannot be read."""
    position = 0
    while opened := tag.opens.search(text, position):
        position = opened.end()
        any_found = False
        while True:
            brace = text.find("{", position)
            limit = tag.closes.search(text, position)
            if brace < 0 or (limit and limit.start() < brace):
                break
            any_found = True
            value, end, error = read_object(text, brace, tag.closes)
            yield text[brace:end], value, error
            position = end
        limit = tag.closes.search(text, position)
        block_end = limit.start() if limit else len(text)
        if not any_found:
            raw = text[opened.end() : block_end].strip()[:MAX_CALL_CHARS]
            yield raw, None, f"the call is not a JSON object: {quoted(raw)}"
        position = block_end


def _read_nothing(text: str) -> Iterator[RawCall]:
    return iter(())


def _write_nothing(name: str, arguments: Mapping[str, object]) -> str:
    return ""


def _read_tool_calls(text: str) -> Iterator[RawCall]:
    return (_named_call(*found) for found in _objects(text, _TOOL_CALL))


def _named_call(raw: str, value: object, error: str | None) -> RawCall:
    if error is not None or not isinstance(value, dict):
        return RawCall(raw, error=error or f"the call is not a JSON object: {quoted(raw)}")
    name, arguments = value.get("name"), value.get("arguments")
    if isinstance(arguments, str):  # the OpenAI wire format: arguments as a JSON text
        arguments, _, _ = read_object(arguments, max(0, arguments.find("{")), _TOOL_CALL.closes)
    if not isinstance(name, str):
        return RawCall(raw, error='the call has no "name"; expected {"name": …, "arguments": {…}}')
    if not isinstance(arguments, dict):
        return RawCall(raw, name, error='the call has no "arguments" object; expected {"name": …, "arguments": {…}}')
    return RawCall(raw, name, arguments)


def _write_tool_call(name: str, arguments: Mapping[str, object]) -> str:
    call = json.dumps({"name": name, "arguments": dict(arguments)}, ensure_ascii=False)
    return f"<tool_call>\n{call}\n</tool_call>"


def _read_groundings(text: str) -> Iterator[RawCall]:
    for raw, value, error in _objects(text, _GROUNDING):
        if isinstance(value, dict) and error is None:
            yield RawCall(raw, GROUNDING_TOOL, value)
        else:
            yield RawCall(raw, error=error or f"the call is not a JSON object: {quoted(raw)}")


def _write_grounding(name: str, arguments: Mapping[str, object]) -> str:
    return f"<grounding>{json.dumps(dict(arguments), ensure_ascii=False)}</grounding>"


GROUNDING_TOOL = "grounding"
"""The only tool of the syntax `grounding`, which names none."""

SYNTAXES: Mapping[CallSyntax, Syntax] = {
    CallSyntax.NONE: Syntax(_read_nothing, _write_nothing),
    CallSyntax.TOOL_CALL: Syntax(_read_tool_calls, _write_tool_call),
    CallSyntax.GROUNDING: Syntax(_read_groundings, _write_grounding),
}
