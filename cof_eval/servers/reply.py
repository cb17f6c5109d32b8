"""A chat completion, as far as it is used; what has another shape is no completion."""

from __future__ import annotations

from typing import Annotated

import msgspec

from .decode import MOST_TOKENS, decode
from .error_body import inner_error
from .message import ReplyMessage, ignored_fields
from .transport import HttpReply

Tokens = Annotated[int, msgspec.Meta(ge=0, le=MOST_TOKENS)]
"""A count of tokens."""


class TokenDetails(msgspec.Struct, frozen=True):
    """What is told of a prompt's tokens."""

    cached_tokens: Tokens | None = None


class OutputDetails(msgspec.Struct, frozen=True):
    """What is told of a reply's tokens."""

    reasoning_tokens: Tokens | None = None
    """Of thoughts, shown or hidden."""


class Usage(msgspec.Struct, frozen=True):
    """Tokens of a request."""

    prompt_tokens: Tokens
    completion_tokens: Tokens
    total_tokens: object = None
    """More than both where hidden thoughts are billed, but in neither (Gemini)."""
    prompt_tokens_details: TokenDetails | None = None
    completion_tokens_details: OutputDetails | None = None


class Choice(msgspec.Struct, frozen=True):
    """One reply."""

    finish_reason: Annotated[str, msgspec.Meta(max_length=100)] | None
    message: ReplyMessage
    error: object = None
    """What a router's provider did wrong (OpenRouter)."""
    token_ids: list[int] | None = None
    """vLLM's, where it was asked for them: all that the model wrote, whatever a parser did to the text."""


class ChatReply(msgspec.Struct, frozen=True):
    """The body of a reply to `POST /v1/chat/completions`."""

    choices: list[Choice]
    usage: Usage
    model: Annotated[str, msgspec.Meta(max_length=1000)] | None = None
    """The model's name as the server tells it: not always the one that was asked for."""
    prompt_token_ids: list[int] | None = None
    """vLLM's, where it was asked for them."""
    error: object = None
    ignored: tuple[str, ...] = ()
    """Names of the reply's fields that hold something and are not read."""


_ONCE = ("choices", "usage", "model", "message", "content", "finish_reason", "prompt_tokens", "completion_tokens")


def read_reply(reply: HttpReply) -> ChatReply:
    """The chat completion in a reply with a good status.

    Raises:
        StatusError: if it holds an error instead.
        FaultError: if it holds no chat completion, or not exactly one choice.
    """
    chat = decode(reply, _convert, "chat completion", _ONCE)
    if len(chat.choices) != 1:
        inner = inner_error(reply)
        raise inner or reply.broken(f"no chat completion: it has {len(chat.choices) or 'no'} choice; 1 was asked for")
    choice = chat.choices[0]
    if chat.error or choice.error or choice.finish_reason == "error":
        raise inner_error(reply) or reply.broken("the model's host ended the reply with an error")
    return chat


def _convert(raw: object) -> ChatReply:
    return msgspec.convert({**raw, "ignored": ignored_fields(raw)} if isinstance(raw, dict) else raw, ChatReply)
