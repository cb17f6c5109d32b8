"""A chat completion, as far as it is used; what has another shape is no completion."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from .decode import MOST_TOKENS, decode
from .error_body import inner_error
from .transport import HttpReply

Tokens = Annotated[int, msgspec.Meta(ge=0, le=MOST_TOKENS)]
"""A count of tokens."""


class TokenDetails(msgspec.Struct, frozen=True):
    """What is told of a prompt's tokens."""

    cached_tokens: Tokens | None = None


class Usage(msgspec.Struct, frozen=True):
    """Tokens of a request."""

    prompt_tokens: Tokens
    completion_tokens: Tokens
    prompt_tokens_details: TokenDetails | None = None


class ReplyMessage(msgspec.Struct, frozen=True):
    """A message of the model."""

    content: str | None = None
    reasoning: str | None = None
    """The thoughts, where the server was started with a reasoning parser; older ones call it `reasoning_content`."""
    reasoning_content: str | None = None

    @property
    def text(self) -> str:
        """All that the model wrote. A parser that found no end of the thoughts puts everything there, the answer too."""
        thought, said = self.reasoning or self.reasoning_content, self.content or ""
        return said if not thought else f"{thought}\n</think>\n\n{said}" if said else thought


class Choice(msgspec.Struct, frozen=True):
    """One reply."""

    finish_reason: str | None
    message: ReplyMessage
    error: Any = None
    """What a router's provider did wrong (OpenRouter)."""


class ChatReply(msgspec.Struct, frozen=True):
    """The body of a reply to `POST /v1/chat/completions`."""

    choices: list[Choice]
    usage: Usage
    model: str | None = None
    """The model's name as the server tells it: not always the one that was asked for."""
    prompt_token_ids: list[int] | None = None
    """vLLM's, where it was asked for them."""
    error: Any = None


_DECODER = msgspec.json.Decoder(ChatReply)
_ONCE = ("choices", "usage", "model", "message", "content", "finish_reason", "prompt_tokens", "completion_tokens")


def read_reply(reply: HttpReply) -> ChatReply:
    """The chat completion in a reply with a good status.

    Raises:
        StatusError: if it holds an error instead.
        FaultError: if it holds no chat completion, or not exactly one choice.
    """
    chat = decode(reply, _DECODER, "chat completion", _ONCE)
    if len(chat.choices) != 1:
        inner = inner_error(reply)
        raise inner or reply.broken(f"no chat completion: it has {len(chat.choices) or 'no'} choice; 1 was asked for")
    choice = chat.choices[0]
    if chat.error or choice.error or choice.finish_reason == "error":
        raise inner_error(reply) or reply.broken("the model's host ended the reply with an error")
    return chat
