"""Messages as chat templates read them, without texts that would forge images."""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from typing import Any

from ..agent.engine import ImagePart, Message

_IMAGE_MARK = re.compile(r"image|img|video|vision", re.IGNORECASE)


def find_image_marks(tokenizer: Any) -> tuple[str, ...]:
    """The added tokens of a tokenizer by which prompts mark images (`<image>`, `<IMG_CONTEXT>`, …), the longest first."""
    return tuple(sorted(filter(_IMAGE_MARK.search, tokenizer.get_added_vocab()), key=len, reverse=True))


def template_message(message: Message, marks: Collection[str] = ()) -> dict[str, Any]:
    """A message as chat templates read it; the arguments of native calls as an object, as servers hand them over.

    Args:
        message: of a conversation.
        marks: tokens that texts may not hold (Qwen-VL's are escaped in `agent.conversation` already).
    """
    content = [
        {"type": "image"} if isinstance(part, ImagePart) else {"type": "text", "text": _without(marks, part.text)}
        for part in message.parts
    ]
    called = [
        {"id": c.id, "type": "function", "function": {"name": c.name, "arguments": json.loads(c.arguments)}}
        for c in message.tool_calls
    ]
    return {
        "role": message.role.value,
        "content": content,
        **({"tool_calls": called} if called else {}),
        **({"tool_call_id": message.call_id} if message.call_id else {}),
    }


def _without(marks: Collection[str], text: str) -> str:
    for mark in marks:
        text = text.replace(mark, f"{mark[:1]} {mark[1:]}")
    return text
