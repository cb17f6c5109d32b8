"""Conversations as Chain-of-Focus published them: `messages` with `<image>` where an image stands, and `images`.

Prompts with the protocol's words are written as the protocol writes them, with its white space;
others are kept as they are, and counted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from cof_eval.agent.conversation import escape_control_tokens
from cof_eval.agent.protocols import Protocol

from ..recipe.recipe import DataSource
from .rows import ChatMessage, DraftRow, DroppedRow, Reason, RowError
from .tables import ImagePlaces, find_data, read_table

PLACEHOLDER = "<image>"
_SPLIT = re.compile(re.escape(PLACEHOLDER))


def read_messages(source: DataSource, protocol: Protocol) -> Iterator[DraftRow | DroppedRow]:
    """Every conversation of a source.

    Raises:
        DataError: if the source cannot be read at all.
    """
    path = find_data(source.path)
    places = ImagePlaces(Path(source.images) if source.images else path if path.is_dir() else path.parent)
    for where, cell in read_table(path):
        try:
            if isinstance(cell, RowError):
                raise cell
            messages, worded = parse_messages(cell.get("messages"), protocol)
            images = places.sources(cell.get("images"))
            check_conversation(messages, len(images), protocol)
            yield DraftRow(source=source.path, row=where, messages=messages, images=images, worded=worded)
        except RowError as error:
            yield DroppedRow(source.path, where, error.reason, str(error))


def parse_messages(messages: Any, protocol: Protocol) -> tuple[tuple[ChatMessage, ...], bool]:
    """A row's messages, and whether every prompt is the protocol's.

    Raises:
        RowError: if they are not a list of messages with role and content.
    """
    if not isinstance(messages, list) or not messages:
        raise RowError(Reason.UNREADABLE, "the row has no list of messages")
    spoken = [_spoken(message) for message in messages]
    if protocol.system and spoken[0].role != "system":
        spoken.insert(0, ChatMessage("system", (protocol.system,)))
    first = int(spoken[0].role == "system")
    written = tuple(_as_protocol(message, index == first, protocol) for index, message in enumerate(spoken))
    return written, all(_is_protocol(message, index == first, protocol) for index, message in enumerate(written))


def check_conversation(messages: Sequence[ChatMessage], images: int, protocol: Protocol) -> None:
    """Whether a conversation can be learned from.

    Raises:
        RowError: saying what is wrong.
    """
    roles = [message.role for message in messages]
    opening = ["system"] if protocol.system or roles[:1] == ["system"] else []
    expected = [*opening, *["user", "assistant"] * (len(roles) // 2)]
    if roles != expected or len(roles) < 2:
        says = ", then ".join([*opening, "user and assistant in turn"])
        raise RowError(Reason.ROLES, f"roles are {', '.join(roles)}; expected {says}")
    placed = sum(part is None for message in messages for part in message.parts)
    if placed != images:
        raise RowError(Reason.IMAGE_COUNT, f"{placed} images stand in the messages, {images} are given")
    if any(part is None for message in messages if message.role != "user" for part in message.parts):
        raise RowError(Reason.ROLES, "an image stands outside the user's messages")
    *before, last = [message.text for message in messages if message.role == "assistant"]
    for number, text in enumerate(before, start=1):
        if not protocol.read(text).calls:
            raise RowError(Reason.CALL, f"turn {number} of {len(before) + 1} calls no tool, and is not the last")
    if not protocol.read(last).answer:
        raise RowError(Reason.ANSWER, f"the last turn gives no answer: {last[-80:]!r}")


def _spoken(message: Any) -> ChatMessage:
    if not isinstance(message, Mapping) or not isinstance(message.get("role"), str):
        raise RowError(Reason.UNREADABLE, f"a message is {str(message)[:60]!r}; expected a role and a content")
    role, content = message["role"], message.get("content")
    if isinstance(content, str):
        parts: list[str | None] = []
        for index, text in enumerate(_SPLIT.split(content)):
            parts += ([None] if index else []) + ([text] if text else [])
    elif isinstance(content, list):
        parts = [_part(part) for part in content]
    else:
        raise RowError(Reason.UNREADABLE, f"the content of a message by {role!r} is {type(content).__name__}")
    clean = tuple(None if part is None else escape_control_tokens(part) for part in parts)
    return ChatMessage(role, ("".join(p for p in clean if p).strip(),) if role == "assistant" and None not in clean else clean)


def _part(part: Any) -> str | None:
    if isinstance(part, Mapping) and part.get("type") == "image":
        return None
    if isinstance(part, Mapping) and part.get("type") == "text" and isinstance(part.get("text"), str):
        return str(part["text"])
    raise RowError(Reason.UNREADABLE, f"a part of a message is {str(part)[:60]!r}; expected type text or image")


def _as_protocol(message: ChatMessage, first: bool, protocol: Protocol) -> ChatMessage:
    """A prompt in the protocol's own white space, if it has the protocol's words; `first` is the question's."""
    images = tuple(part for part in message.parts if part is None)
    text = message.text.strip()
    if message.role == "system" and text.split() == protocol.system.split():
        return ChatMessage("system", (protocol.system,))
    if message.role != "user" or message.parts[: len(images)] != images:
        return message
    if first:
        question = _question(text, protocol)
        return ChatMessage("user", (*images, protocol.prompt(question))) if question else message
    if images and text.split() == protocol.format.split():
        return ChatMessage("user", (*images, *_format(protocol)))
    return message


def _format(protocol: Protocol) -> tuple[str, ...]:
    """What closes a message with crops."""
    return (protocol.format,) if protocol.format else ()


def _is_protocol(message: ChatMessage, first: bool, protocol: Protocol) -> bool:
    if message.role == "assistant":
        return True
    if message.role == "system":
        return message.parts == (protocol.system,)
    if not first:
        return tuple(part for part in message.parts if part is not None) == _format(protocol)
    question = _question(message.text.strip(), protocol)
    return question is not None and message.parts[-1:] == (protocol.prompt(question),)


def _question(text: str, protocol: Protocol) -> str | None:
    """The question in a first prompt that is worded as the protocol words it."""
    before, _, after = protocol.question.partition("{question}")
    before, after = before.strip(), after.replace("{format}", protocol.format).strip()
    if not text.startswith(before) or not text.endswith(after):
        return None
    return text[len(before) : len(text) - len(after)].strip() or None
