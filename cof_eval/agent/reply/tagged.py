"""Calls written in tags instead of JSON: XML functions (Qwen3.5) and argument tags (GLM-4.5V, GLM-4.6V). Pure.

A value is JSON where it parses as such, else text: that is how the checkpoints' own templates write and read them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping

from .loose_json import MAX_CALL_CHARS, quoted

Found = tuple[str, str | None, dict[str, object] | None, str | None]
"""(raw, name, arguments, error) of one call."""

_FUNCTION = re.compile(r"<function=([^<>\n]{1,128})>")
_PARAMETER = re.compile(r"<parameter=([^<>\n]{1,128})>")
_BLOCK = re.compile(r"<tool_call>")
_ENDS = re.compile(r"</tool_call>|<tool_call>|<answer>")


def _blocks(text: str) -> Iterator[str]:
    """What stands in each `<tool_call>` block, closed or not."""
    position = 0
    while opened := _BLOCK.search(text, position):
        end = _ENDS.search(text, opened.end())
        position = end.start() if end else len(text)
        yield text[opened.end() : position]


def read_functions(text: str) -> Iterator[Found]:
    """Calls as `<tool_call><function=NAME><parameter=KEY>VALUE</parameter>…</function></tool_call>`."""
    for block in _blocks(text):
        starts = list(_FUNCTION.finditer(block))
        if not starts:
            raw = block.strip()[:MAX_CALL_CHARS]
            yield raw, None, None, f"the call has no <function=…>: {quoted(raw)}"
            continue
        for start, following in zip(starts, [*starts[1:], None], strict=True):
            raw = block[start.start() : following.start() if following else len(block)].strip()
            yield _function(raw[:MAX_CALL_CHARS], start[1].strip())


def _function(raw: str, name: str) -> Found:
    body = raw.partition("</function>")[0]
    arguments: dict[str, object] = {}
    for start in _PARAMETER.finditer(body):
        end = body.find("</parameter>", start.end())
        if end < 0:
            return raw, name, None, f"the parameter {quoted(start[1])} does not end with </parameter>"
        arguments[start[1].strip()] = _value(body[start.end() : end])
    return raw, name, arguments, None


def write_function(name: str, arguments: Mapping[str, object]) -> str:
    """A call as Qwen3.5's chat template writes it."""
    lines = "".join(f"<parameter={key}>\n{_written(value)}\n</parameter>\n" for key, value in arguments.items())
    return f"<tool_call>\n<function={name}>\n{lines}</function>\n</tool_call>"


_KEY = re.compile(r"<arg_key>(.{1,128}?)</arg_key>\s*<arg_value>", re.DOTALL)


def read_arg_tags(text: str) -> Iterator[Found]:
    """Calls as `<tool_call>NAME<arg_key>KEY</arg_key><arg_value>VALUE</arg_value>…</tool_call>`."""
    for block in _blocks(text):
        raw = block.strip()[:MAX_CALL_CHARS]
        name, mark, _ = raw.partition("<arg_key>")
        if not name.strip() or len(name) > 128:
            yield raw, None, None, f"the call does not begin with a tool's name: {quoted(raw)}"
        else:
            yield raw, name.strip(), *_arguments(raw if mark else "")


def _arguments(raw: str) -> tuple[dict[str, object] | None, str | None]:
    arguments: dict[str, object] = {}
    for key in _KEY.finditer(raw):
        end = raw.find("</arg_value>", key.end())
        if end < 0:
            return None, f"the argument {quoted(key[1])} does not end with </arg_value>"
        arguments[key[1].strip()] = _value(raw[key.end() : end])
    return arguments, None


def write_arg_tags(name: str, arguments: Mapping[str, object]) -> str:
    """A call as GLM-4.6V's chat template writes it."""
    pairs = [f"<arg_key>{key}</arg_key>\n<arg_value>{_written(value)}</arg_value>\n" for key, value in arguments.items()]
    return f"<tool_call>{name}\n{''.join(pairs)}</tool_call>"


def _value(text: str) -> object:
    """JSON where it parses, else the text without the line breaks around it."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text.strip("\n")


def _written(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
