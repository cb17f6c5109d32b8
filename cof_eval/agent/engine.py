"""The engine seam: what the agent asks of the program that runs the model, and what it gets back.

An engine generates one turn of one conversation. Many conversations ask at the same time; batching is the engine's
work. It is the only place where images meet a model, so it also answers for the pixels: it reports how many visual
tokens it really used, and the agent compares them with what it predicted.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from PIL import Image

from ..core.records import Finish, ToolCall
from ..core.resolution import PixelLimits


class Role(StrEnum):
    """The speaker of a message."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"
    """Answers one native call, in text."""


@dataclass(frozen=True, slots=True)
class TextPart:
    """Text of a message."""

    text: str


@dataclass(frozen=True, slots=True)
class ImagePart:
    """An image of a message, already at the size that the model must see."""

    image: Image.Image
    hash: str
    """Of its pixels: a stable id, so that an engine need not process an earlier image of a conversation again."""
    visual_tokens: int
    """As predicted from its size; 0 where they are only counted (`PixelLimits.counted`)."""


Part = TextPart | ImagePart


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation."""

    role: Role
    parts: tuple[Part, ...]
    tool_calls: tuple[ToolCall, ...] = ()
    """Native calls of an assistant's turn."""
    call_id: str = ""
    """Of a message in the role `tool`: the call that it answers."""

    @property
    def images(self) -> tuple[ImagePart, ...]:
        """Its images, in order."""
        return tuple(part for part in self.parts if isinstance(part, ImagePart))


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that is offered to the model apart from the text (native calls)."""

    name: str
    description: str
    parameters: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """JSON schema of its arguments."""

    @property
    def text(self) -> str:
        """Its schema as a prompt holds it, to count tokens."""
        return json.dumps(self.schema(), ensure_ascii=False)

    def schema(self) -> dict[str, Any]:
        """It as OpenAI's API takes it in `tools`."""
        function = {"name": self.name, "description": self.description, "parameters": dict(self.parameters)}
        return {"type": "function", "function": function}


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One turn to generate."""

    conversation: str
    """The same for all turns of one rollout."""
    messages: tuple[Message, ...]
    max_tokens: int
    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    """0: no limit."""
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    stop: tuple[str, ...] = ()
    """Texts that end the turn."""
    stop_kept: bool = True
    """Whether the one that did stays in the turn's text."""
    seed: int | None = None
    pattern: str | None = None
    """Regular expression that the text must match (structured output)."""
    template_kwargs: Mapping[str, bool | int | float | str] = field(default_factory=dict)
    """For the checkpoint's chat template."""
    tools: tuple[Tool, ...] = ()
    """Functions to call natively; only engines of `engines.NATIVE` are asked so."""

    @property
    def images(self) -> tuple[ImagePart, ...]:
        """All images of the conversation, in order."""
        return tuple(image for message in self.messages for image in message.images)


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """One generated turn."""

    text: str
    finish: Finish
    prompt_tokens: int
    cached_tokens: int
    output_tokens: int
    visual_tokens: int | None
    """Visual tokens of the whole prompt; None if the engine cannot tell."""
    engine_s: float
    tool_calls: tuple[ToolCall, ...] = ()
    """Native calls, in order; `text` does not hold them."""


def cut_at_stop(text: str, request: Request) -> str:
    """A turn's text up to the first of the texts that end it, for engines that do not cut it themselves."""
    ends = [(start, text_end) for text_end in request.stop if (start := text.find(text_end)) >= 0]
    if not ends:
        return text
    start, ending = min(ends)
    return text[: start + len(ending)] if request.stop_kept else text[:start]


class Engine(Protocol):
    """Runs the model. Its limits are known at once; weights are loaded by `start`."""

    @property
    def limits(self) -> PixelLimits:
        """The size limits of the checkpoint's image processor."""
        ...

    @property
    def context(self) -> int:
        """Most tokens of one conversation, prompt and reply."""
        ...

    @property
    def max_images(self) -> int:
        """Most images of one conversation."""
        ...

    def text_tokens(self, text: str) -> int:
        """Tokens of a text (an estimate from above where the tokenizer is not at hand)."""
        ...

    async def start(self) -> None:
        """Load the weights, if that is the engine's work; may take minutes.

        Raises:
            EngineUnusableError: if they do not load.
        """
        ...

    async def generate(self, request: Request) -> Response:
        """Generate one turn.

        Raises:
            ContextFullError: if the prompt does not fit the context.
            EngineError: if this generation failed; others may continue.
            EngineUnusableError: if none can.
        """
        ...

    async def close(self) -> None:
        """Release the model; pending generations fail."""
        ...
