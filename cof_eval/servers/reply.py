"""A chat completion, as far as it is used; what has another shape is no completion."""

from __future__ import annotations

from typing import Any

import msgspec


class TokenDetails(msgspec.Struct, frozen=True):
    """What is told of a prompt's tokens."""

    cached_tokens: int | None = None


class Usage(msgspec.Struct, frozen=True):
    """Tokens of a request."""

    prompt_tokens: int
    completion_tokens: int
    prompt_tokens_details: TokenDetails | None = None


class ReplyMessage(msgspec.Struct, frozen=True):
    """A message of the model."""

    content: str | None = None
    reasoning: str | None = None
    """The thoughts, where the server was started with a reasoning parser; older ones call it `reasoning_content`."""
    reasoning_content: str | None = None
    tool_calls: Any = None
    """Calls that the server took out of the text, in any shape that servers give them."""
    function_call: Any = None
    """The one call of servers that know no `tool_calls`."""

    @property
    def text(self) -> str:
        """All that the model wrote. A parser that found no end of the thoughts puts everything there, the answer too."""
        thought, said = self.reasoning or self.reasoning_content, self.content or ""
        return said if not thought else f"{thought}\n</think>\n\n{said}" if said else thought


class Choice(msgspec.Struct, frozen=True):
    """One reply."""

    finish_reason: str | None
    message: ReplyMessage


class ChatReply(msgspec.Struct, frozen=True):
    """The body of a reply to `POST /v1/chat/completions`."""

    model: str
    choices: list[Choice]
    usage: Usage
    prompt_token_ids: list[int] | None = None
    """vLLM's, where it was asked for them."""


_DECODER = msgspec.json.Decoder(ChatReply)


def read_reply(data: bytes) -> ChatReply:
    """The reply in a body.

    Raises:
        ValueError: if the body is none, or one without a choice.
    """
    try:
        reply = _DECODER.decode(data)
    except msgspec.MsgspecError as error:
        raise ValueError(f"no chat completion: {error}") from error
    if not reply.choices:
        raise ValueError("no chat completion: it has no choice")
    return reply
