"""Native tool calls: those that a server takes out of a model's text, and calls that it left there. Pure.

They are read as calls in text are: loosely or in the protocol's dialect, at most so many a turn, and what cannot be read is a call with
the reason, so that the model can be told. Every call has an id by which it is answered; servers that give none get ours.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Sequence
from dataclasses import replace

from ...core.records import ToolCall
from .answers import without_thoughts
from .calls import MAX_CALLS, SYNTAXES, CallForm, CallSyntax, RawCall
from .dialects import Dialect, read_whole
from .loose_json import MAX_CALL_CHARS, quoted, read_object

LEFT_IN_TEXT = "it is written as text, so it was not executed; call the function itself"
"""What the model is told of a call that stands in its text; also what the report counts such calls by."""

UNNAMED = "unnamed"
"""The function of a call without a name: it goes back to servers, which take no empty one."""

_ANY_CALL = re.compile(r"<tool_call>|<function=|\[TOOL_CALLS\]|<\|python_tag\|>|<\|tool_calls?_begin\|>", re.IGNORECASE)
"""Openings of calls that a server's parser leaves in the text where it is another model's, or cannot read the call."""


def with_ids(calls: Sequence[ToolCall], turn: int) -> tuple[ToolCall, ...]:
    """A turn's calls, each with an id of its own; those beyond what is read, except the first, are dropped.

    Args:
        calls: as the server gave them.
        turn: of the rollout, 0-based; part of the ids that are made here.
    """
    kept = calls[: MAX_CALLS + 1]
    given = {call.id for call in kept}
    ours = (name for number in itertools.count() if (name := f"call_{turn}_{number}") not in given)
    taken: set[str] = {""}
    named = []
    for call in kept:
        named.append(replace(call, id=next(ours)) if call.id in taken else call)
        taken.add(named[-1].id)
    return tuple(named)


def read_tool_calls(calls: Sequence[ToolCall], form: CallForm) -> tuple[RawCall, ...]:
    """A turn's calls as the tool takes them; one too many says so."""
    read = [_read(call, form) for call in calls[:MAX_CALLS]]
    read += [
        RawCall(_written(call), error=f"more than {MAX_CALLS} calls in one turn", id=call.id) for call in calls[MAX_CALLS:]
    ]
    return tuple(read)


def calls_left(text: str) -> tuple[RawCall, ...]:
    """The call that stands in a text outside thoughts, if any: one that no server read, so it is not executed."""
    outside = without_thoughts(text)
    found = _ANY_CALL.search(outside)
    return (RawCall(outside[found.start() :][:MAX_CALL_CHARS], error=LEFT_IN_TEXT),) if found else ()


def write_tool_calls(text: str, calls: Sequence[ToolCall], syntax: CallSyntax, form: CallForm) -> str:
    """A turn as one text: what the model said, then its calls as a checkpoint of this syntax writes them."""
    return "\n".join([*([text] if text.strip() or not calls else []), *(_as_text(call, syntax, form) for call in calls)])


def sendable(call: ToolCall) -> ToolCall:
    """A call as it may go back to a server: some read the arguments again and refuse a conversation whose arguments are no JSON object."""
    if isinstance(_strict(call.arguments), dict):
        return replace(call, name=call.name or UNNAMED)
    arguments, error = _arguments(call.arguments, CallForm())
    return replace(
        call, name=call.name or UNNAMED, arguments=json.dumps(arguments if error is None else {}, ensure_ascii=False)
    )


def _read(call: ToolCall, form: CallForm) -> RawCall:
    raw = _written(call)
    arguments, error = _arguments(call.arguments, form)
    return RawCall(raw, call.name or None, arguments, error, parsed=error is None, id=call.id)


def _arguments(text: str, form: CallForm) -> tuple[dict[str, object] | None, str | None]:
    """(arguments, error) of a call; without any they are none."""
    if not text.strip():
        return {}, None
    if len(text) > MAX_CALL_CHARS:
        return None, f"the call has more than {MAX_CALL_CHARS} characters"
    if form.dialect is not Dialect.LOOSE:
        value, error = read_whole(text, form.dialect)
    elif "{" in text:
        value, _, error = read_object(text, text.find("{"))
    else:
        value, error = None, None
    if error is None and not isinstance(value, dict):
        error = f"the call's arguments are not a JSON object: {quoted(text)}"
    return (value, None) if error is None and isinstance(value, dict) else (None, error)


def _strict(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _written(call: ToolCall) -> str:
    """Name and arguments as one object, the arguments to the letter."""
    return f'{{"name": {json.dumps(call.name, ensure_ascii=False)}, "arguments": {call.arguments.strip()[:MAX_CALL_CHARS] or "{}"}}}'


def _as_text(call: ToolCall, syntax: CallSyntax, form: CallForm) -> str:
    arguments = _strict(call.arguments)
    if syntax in (CallSyntax.NONE, CallSyntax.TOOL_CALL) or not isinstance(arguments, dict):
        return f"<tool_call>\n{_written(call)}\n</tool_call>"
    return SYNTAXES[syntax].write(call.name, arguments, form)
