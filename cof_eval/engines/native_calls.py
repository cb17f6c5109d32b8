"""Native tool calls on the wire: as servers give them, and as they get them back.

Servers differ: arguments come as JSON text or as an object, ids are missing or all alike, older ones give one `function_call`, and some
put fields of their own next to a call, which they want back.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ..core.errors import EngineError
from ..core.records import ToolCall
from ..servers import ReplyMessage

_OURS = frozenset({"id", "type", "function", "index"})


def read_calls(message: ReplyMessage) -> tuple[ToolCall, ...]:
    """The calls of a reply: `tool_calls`, else the one `function_call` of older servers, else those among the parts of its content.

    Raises:
        EngineError: if they are no calls.
    """
    if message.tool_calls:
        if not isinstance(message.tool_calls, list):
            raise EngineError(f"the server's tool_calls are no list but {type(message.tool_calls).__name__}")
        return tuple(_read(call) for call in message.tool_calls)
    if message.function_call:
        return (_read({"function": message.function_call}),)
    return tuple(ToolCall(call.id, call.name, call.arguments) for call in message.said.calls)


def call_json(call: ToolCall) -> dict[str, Any]:
    """A call as it goes back to a server, with what came next to it."""
    function = {"name": call.name, "arguments": call.arguments}
    return {"id": call.id, "type": "function", "function": function, **call.further}


def _read(call: object) -> ToolCall:
    function = call.get("function") if isinstance(call, Mapping) else None
    if not isinstance(call, Mapping) or not isinstance(function, Mapping):
        raise EngineError("the server gave a tool call without a function")
    given, name, arguments = call.get("id"), function.get("name"), function.get("arguments")
    return ToolCall(
        given if isinstance(given, str) else "",
        name if isinstance(name, str) else "",
        arguments if isinstance(arguments, str) else "" if arguments is None else json.dumps(arguments, ensure_ascii=False),
        {key: value for key, value in call.items() if key not in _OURS and value is not None},
    )
