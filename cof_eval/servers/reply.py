"""A chat completion, as far as it is used; what has another shape is no completion."""

from __future__ import annotations

import msgspec

from .message import ReplyMessage, ignored_fields


class TokenDetails(msgspec.Struct, frozen=True):
    """What is told of a prompt's tokens."""

    cached_tokens: int | None = None


class OutputDetails(msgspec.Struct, frozen=True):
    """What is told of a reply's tokens."""

    reasoning_tokens: int | None = None
    """Of thoughts, shown or hidden."""


class Usage(msgspec.Struct, frozen=True):
    """Tokens of a request."""

    prompt_tokens: int
    completion_tokens: int
    prompt_tokens_details: TokenDetails | None = None
    completion_tokens_details: OutputDetails | None = None


class Choice(msgspec.Struct, frozen=True):
    """One reply."""

    finish_reason: str | None
    message: ReplyMessage
    token_ids: list[int] | None = None
    """vLLM's, where it was asked for them: all that the model wrote, whatever a parser did to the text."""


class ChatReply(msgspec.Struct, frozen=True):
    """The body of a reply to `POST /v1/chat/completions`."""

    model: str
    choices: list[Choice]
    usage: Usage
    prompt_token_ids: list[int] | None = None
    """vLLM's, where it was asked for them."""
    ignored: tuple[str, ...] = ()
    """Names of the reply's fields that hold something and are not read."""


def read_reply(data: bytes) -> ChatReply:
    """The reply in a body.

    Raises:
        ValueError: if the body is none, or one without a choice.
    """
    try:
        raw = msgspec.json.decode(data)
        reply = msgspec.convert({**raw, "ignored": ignored_fields(raw)} if isinstance(raw, dict) else raw, ChatReply)
    except msgspec.MsgspecError as error:
        raise ValueError(f"no chat completion: {error}") from error
    if not reply.choices:
        raise ValueError("no chat completion: it has no choice")
    return reply
