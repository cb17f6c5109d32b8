"""The syntaxes in which checkpoints write tool calls: one reader and one writer each, all in `SYNTAXES`. Pure.

Calls are found wherever they stand, in order; what cannot be read becomes a `RawCall` with the reason, so that the model
can be told. A new syntax is a member of `CallSyntax`, two functions and a line of `SYNTAXES`; one that a pattern can
describe needs no code at all (`pattern`).
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from .dialects import Dialect, read_whole
from .loose_json import MAX_CALL_CHARS, quoted, read_object
from .pattern import CORNERS, read_pattern, write_pattern
from .tagged import Found, read_arg_tags, read_functions, write_arg_tags, write_function

MAX_CALLS = 64
"""Calls read of one turn; the rest is one call that says so."""


class CallSyntax(StrEnum):
    """How a checkpoint writes tool calls."""

    NONE = "none"
    """It has no tool."""
    TOOL_CALL = "tool_call"
    """`<tool_call>{"name": …, "arguments": {…}}</tool_call>` (Qwen's preamble; Chain-of-Focus, DeepEyes, Pixel-Reasoner)."""
    GROUNDING = "grounding"
    """`<grounding>{"bbox_2d": […], "source": …}</grounding>`: the arguments alone (Mini-o3)."""
    FUNCTION = "function"
    """`<tool_call><function=NAME><parameter=KEY>VALUE</parameter>…</function></tool_call>` (Qwen3.5, Qwen3.6)."""
    ARG_TAGS = "arg_tags"
    """`<tool_call>NAME<arg_key>KEY</arg_key><arg_value>VALUE</arg_value>…</tool_call>` (GLM-4.5V, GLM-4.6V)."""
    PATTERN = "pattern"
    """As `call_pattern` says."""


class Unclosed(StrEnum):
    """What a call without its closing tag is."""

    READ = "read"
    """A call like any other."""
    REFUSE = "refuse"
    """A call that cannot be executed."""
    IGNORE = "ignore"
    """No call."""


@dataclass(frozen=True, slots=True)
class RawCall:
    """A call as found in the text; `error` says why it could not be read."""

    raw: str
    name: str | None = None
    arguments: dict[str, object] | None = None
    error: str | None = None
    parsed: bool = False
    """Whether it could be read, but says no call."""
    id: str = ""
    """Of a native call: it must be answered by it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallForm:
    """What a syntax leaves open."""

    dialect: Dialect = Dialect.LOOSE
    unclosed: Unclosed = Unclosed.READ
    exact_tags: bool = False
    """Whether tags count only as they are written, not in capitals."""
    pattern: str = ""
    tool: str = ""
    """The tool that a call without a name means."""
    box: str = "bbox_2d"
    """The argument that holds the box."""
    image: str = ""
    """The argument that names the image."""


LOOSE = CallForm()


@dataclass(frozen=True, slots=True)
class Syntax:
    """A call syntax both ways."""

    find: Callable[[str, CallForm], Iterator[RawCall]]
    """The calls in a text."""
    write: Callable[..., str]
    """(name, arguments, form): a call of the tool as a checkpoint writes it."""

    def read(self, text: str, form: CallForm = LOOSE) -> Iterator[RawCall]:
        """The first calls in a text, and one that says so where there are too many."""
        found = self.find(text, form)
        yield from itertools.islice(found, MAX_CALLS)
        if next(found, None) is not None:
            yield RawCall("", error=f"more than {MAX_CALLS} calls in one turn")

    def any(self, text: str, form: CallForm = LOOSE) -> bool:
        """Whether a text holds a call."""
        return next(self.find(text, form), None) is not None


class _Tag:
    """A tag that encloses calls, and the rule that ends a block that is not closed."""

    def __init__(self, name: str) -> None:
        self.closing = f"</{name}>"
        self._opens = f"<{name}>"
        self.opens = re.compile(self._opens, re.IGNORECASE)
        self.closes = re.compile(f"{self.closing}|{self._opens}|<answer>", re.IGNORECASE)
        self._exact = re.compile(self._opens), re.compile(f"{self.closing}|{self._opens}")
        self._any = self.opens, re.compile(f"{self.closing}|{self._opens}", re.IGNORECASE)

    def blocks(self, text: str, *, exact: bool) -> Iterator[tuple[str, bool]]:
        """(inside, closed) of every block."""
        opens, ends = self._exact if exact else self._any
        position = 0
        while opened := opens.search(text, position):
            end = ends.search(text, opened.end())
            position = end.start() if end else len(text)
            yield text[opened.end() : position], end is not None and end[0].startswith("</")


_TOOL_CALL, _GROUNDING = _Tag("tool_call"), _Tag("grounding")

_Read = tuple[str, object, str | None]
"""(raw, value, error) of what should be a JSON object."""


def _objects(text: str, tag: _Tag, form: CallForm) -> Iterator[_Read]:
    if form.dialect is Dialect.LOOSE and form.unclosed is Unclosed.READ and not form.exact_tags:
        yield from _loose_objects(text, tag)
        return
    for block, closed in tag.blocks(text, exact=form.exact_tags):
        if closed or form.unclosed is Unclosed.READ:
            yield from _block_objects(block, tag, form)
        elif form.unclosed is Unclosed.REFUSE:
            yield block[:MAX_CALL_CHARS], None, f"the call does not end with {tag.closing}"


def _block_objects(block: str, tag: _Tag, form: CallForm) -> Iterator[_Read]:
    """What one block holds: any number of objects where calls are read loosely, else exactly one."""
    if form.dialect is Dialect.LOOSE:
        yield from _loose_objects(f"<{tag.closing[2:]}{block}", tag)
        return
    value, error = read_whole(block, form.dialect)
    if (
        form.dialect is Dialect.JSON5
        and error is None
        and not (isinstance(value, dict) and {"name", "arguments"} <= value.keys())
    ):
        return  # Qwen-Agent drops what is JSON but no call
    yield block.strip()[:MAX_CALL_CHARS], value, error


def _loose_objects(text: str, tag: _Tag) -> Iterator[_Read]:
    """Every object in every block of this tag; a block without one is a call that cannot be read."""
    position = 0
    while opened := tag.opens.search(text, position):
        position, block_end = opened.end(), -1
        any_found = False
        while True:
            if block_end < position:  # an object may hold what would end a block
                limit = tag.closes.search(text, position)
                block_end = limit.start() if limit else len(text)
            brace = text.find("{", position, block_end)
            if brace < 0:
                break
            any_found = True
            value, end, error = read_object(text, brace, tag.closes)
            yield text[brace:end], value, error
            position = end
        if not any_found:
            raw = text[opened.end() : block_end].strip()[:MAX_CALL_CHARS]
            yield raw, None, f"the call is not a JSON object: {quoted(raw)}"
        position = block_end


def _read_nothing(text: str, form: CallForm) -> Iterator[RawCall]:
    return iter(())


def _write_nothing(name: str, arguments: Mapping[str, object], form: CallForm = LOOSE) -> str:
    return ""


def _read_tool_calls(text: str, form: CallForm) -> Iterator[RawCall]:
    return (_named_call(*found, loose=form.dialect is Dialect.LOOSE) for found in _objects(text, _TOOL_CALL, form))


def _named_call(raw: str, value: object, error: str | None, *, loose: bool) -> RawCall:
    if error is not None or not isinstance(value, dict):
        return RawCall(raw, error=error or f"the call is not a JSON object: {quoted(raw)}", parsed=error is None)
    name, arguments = value.get("name"), value.get("arguments")
    if loose and isinstance(arguments, str):  # the OpenAI wire format: arguments as a JSON text
        arguments, _, _ = read_object(arguments, max(0, arguments.find("{")), _TOOL_CALL.closes)
    if not isinstance(name, str) and (loose or not isinstance(arguments, dict)):
        return RawCall(raw, error='the call has no "name"; expected {"name": …, "arguments": {…}}', parsed=True)
    if not isinstance(arguments, dict):
        name = name if isinstance(name, str) else None
        return RawCall(
            raw, name, error='the call has no "arguments" object; expected {"name": …, "arguments": {…}}', parsed=True
        )
    return RawCall(raw, name if isinstance(name, str) else None, arguments)


def _write_tool_call(name: str, arguments: Mapping[str, object], form: CallForm = LOOSE) -> str:
    call = json.dumps({"name": name, "arguments": dict(arguments)}, ensure_ascii=False)
    return f"<tool_call>\n{call}\n</tool_call>"


def _read_groundings(text: str, form: CallForm) -> Iterator[RawCall]:
    for raw, value, error in _objects(text, _GROUNDING, form):
        if isinstance(value, dict) and error is None:
            yield RawCall(raw, GROUNDING_TOOL, value)
        else:
            yield RawCall(raw, error=error or f"the call is not a JSON object: {quoted(raw)}")


def _write_grounding(name: str, arguments: Mapping[str, object], form: CallForm = LOOSE) -> str:
    return f"<grounding>{json.dumps(dict(arguments), ensure_ascii=False)}</grounding>"


def _tagged(read: Callable[[str], Iterator[Found]]) -> Callable[[str, CallForm], Iterator[RawCall]]:
    return lambda text, form: (RawCall(raw, name, values, error) for raw, name, values, error in read(text))


def _write_tags(write: Callable[[str, Mapping[str, object]], str]) -> Callable[..., str]:
    return lambda name, arguments, form=LOOSE: write(name, arguments)


def _read_pattern(text: str, form: CallForm) -> Iterator[RawCall]:
    for (raw, fields, error), closed in read_pattern(text, form.pattern) if form.pattern else ():
        if closed or form.unclosed is Unclosed.READ:
            yield RawCall(raw, error=error) if fields is None else _from_fields(raw, fields, form)
        elif form.unclosed is Unclosed.REFUSE:
            yield RawCall(raw, error="the call is not closed")


def _from_fields(raw: str, fields: dict[str, object], form: CallForm) -> RawCall:
    """A call from the values at the pattern's placeholders."""
    if "call" in fields:
        return _named_call(raw, fields["call"], None, loose=True)
    given = fields.get("arguments")
    arguments = dict(given) if isinstance(given, dict) else {}
    if "box" in fields or "x1" in fields:
        arguments[form.box] = fields["box"] if "box" in fields else [fields[corner] for corner in CORNERS]
    arguments |= {key: fields[part] for part, key in (("image", form.image), ("label", "label")) if part in fields and key}
    return RawCall(raw, str(fields.get("tool", form.tool)), arguments)


def _write_pattern(name: str, arguments: Mapping[str, object], form: CallForm = LOOSE) -> str:
    box = arguments.get(form.box)
    corners = dict(zip(CORNERS, box, strict=True)) if isinstance(box, list) and len(box) == len(CORNERS) else {}
    call = {"name": name, "arguments": dict(arguments)}
    values = {"tool": name, "box": box, "image": arguments.get(form.image, ""), "label": arguments.get("label", "")}
    return write_pattern(form.pattern, {**values, **corners, "arguments": dict(arguments), "call": call})


GROUNDING_TOOL = "grounding"
"""The only tool of the syntax `grounding`, which names none."""

SYNTAXES: Mapping[CallSyntax, Syntax] = {
    CallSyntax.NONE: Syntax(_read_nothing, _write_nothing),
    CallSyntax.TOOL_CALL: Syntax(_read_tool_calls, _write_tool_call),
    CallSyntax.GROUNDING: Syntax(_read_groundings, _write_grounding),
    CallSyntax.FUNCTION: Syntax(_tagged(read_functions), _write_tags(write_function)),
    CallSyntax.ARG_TAGS: Syntax(_tagged(read_arg_tags), _write_tags(write_arg_tags)),
    CallSyntax.PATTERN: Syntax(_read_pattern, _write_pattern),
}
