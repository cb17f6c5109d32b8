"""The parts of a conversation that a checkpoint's chat template hides from the model.

A template may drop the thoughts of earlier turns, a system message, or images that do not stand where it expects them.
Nothing fails then: the model just sees a different conversation from the one that was sent. So a conversation of two zooms
is rendered with the checkpoint's own template, and every part of it is looked for.
"""

from __future__ import annotations

from collections.abc import Iterator

from PIL import Image

from ..agent.conversation import Conversation
from ..agent.engine import ImagePart, Message, Role
from ..agent.protocols import Protocol
from ..agent.reply.native import with_ids
from ..agent.view import View
from ..core.errors import EngineError
from ..core.records import Question
from ..core.resolution import PixelLimits
from ..engines.checkpoint import Checkpoint
from .finding import Finding, Level

_WHAT = "chat template"
_THOUGHTS = ("I look at the left side first", "I look at the right side next")


def check_template(protocol: Protocol, checkpoint: Checkpoint | None) -> list[Finding]:
    """The parts of a conversation that the model will not see under this protocol; empty without the checkpoint's files.

    Args:
        protocol: whose conversation is rendered.
        checkpoint: whose template renders it.
    """
    if checkpoint is None or getattr(checkpoint.processor, "chat_template", None) is None:
        return []
    try:
        opened = (
            _render(checkpoint, protocol, _conversation(protocol, checkpoint.limits, thinking="")[:2])
            .rstrip()
            .endswith("<think>")
        )
        messages = _conversation(protocol, checkpoint.limits, thinking="" if opened else "<think>")
        missing = list(_missing(messages, _render(checkpoint, protocol, messages), _placeholder(checkpoint)))
    except EngineError as error:
        return [Finding(Level.FAILED, _WHAT, f"{error}: conversations of this protocol cannot be sent")]
    unknown = [name for name in protocol.chat_template_kwargs if not checkpoint.template_knows(name)]
    says = [f"this template drops {what}" for what in dict.fromkeys(missing)]
    says += [f"it does not know {', '.join(unknown)}"] if unknown and missing else []
    if says:
        return [Finding(Level.WARNING, _WHAT, f"{'; '.join(says)}: the model will not see what was sent")]
    prompt = "; thoughts begin in the prompt, so replies hold `</think>` alone" if opened else ""
    return [
        Finding(
            Level.OK, _WHAT, f"the model sees {'all of two earlier turns' if protocol.zooms else 'the whole prompt'}{prompt}"
        )
    ]


def _placeholder(checkpoint: Checkpoint) -> str:
    """The token that a template writes for an image; Gemma's writes the one that begins it."""
    names = ("image_token", "boi_token", "start_image_token")
    tokens = [str(getattr(checkpoint.processor, name, None) or "<|image_pad|>") for name in names]
    return next(filter(checkpoint.template_knows, tokens), "<|image_pad|>")


def _render(checkpoint: Checkpoint, protocol: Protocol, messages: list[Message]) -> str:
    return checkpoint.render(tuple(messages), protocol.chat_template_kwargs, protocol.tools)


def _conversation(protocol: Protocol, limits: PixelLimits, *, thinking: str) -> list[Message]:
    """A conversation of two zooms as a rollout sends it; one turn, where the protocol has no tool."""
    side = 16 * max(limits.factor, 28)
    image = Image.new("RGB", (side, side))
    question = Question("0", "template", "", "", "What is in the image?", (), "")
    conversation = Conversation(protocol, protocol.limits(limits), question, View(image, image.size, image))
    for thought in _THOUGHTS if protocol.zooms else ():
        said = f"{thinking}{thought}</think>\n\n"
        if protocol.native:
            calls = with_ids([protocol.tool_call(_middle(protocol, side))], conversation.turns)
            conversation.add_assistant_turn(said, calls)
            conversation.execute_calls(protocol.read_turn(said, calls).calls)
        else:
            call = protocol.call_text(_middle(protocol, side))
            conversation.add_assistant_turn(said + call)
            conversation.execute_calls(protocol.read(call).calls)
    return conversation.messages


def _middle(protocol: Protocol, side: int) -> tuple[float, float, float, float]:
    frame = protocol.box_frame(View(Image.new("RGB", (side, side)), (side, side)))
    return frame.width / 4, frame.height / 4, frame.width * 3 / 4, frame.height * 3 / 4


def _missing(messages: list[Message], rendered: str, image: str) -> Iterator[str]:
    """The parts of the messages that the rendered text does not hold, in words."""
    images = sum(isinstance(part, ImagePart) for message in messages for part in message.parts)
    shown = rendered.count(image)
    if shown < images:
        yield f"{images - shown} of {images} images"
    if any(call.name not in rendered for message in messages for call in message.tool_calls):
        yield "native calls"
    for message in messages:
        for part in message.parts:
            if not isinstance(part, ImagePart):
                yield from _absent(message.role, part.text, rendered)


_TEXTS = {
    Role.SYSTEM: "the system message",
    Role.USER: "texts of the user's turns",
    Role.TOOL: "the answers to native calls",
}


def _absent(role: Role, text: str, rendered: str) -> Iterator[str]:
    if role is not Role.ASSISTANT:
        if text.strip() not in rendered:
            yield _TEXTS[role]
        return
    thought, _, said = text.partition("</think>")
    if thought.removeprefix("<think>").strip() not in rendered:
        yield "the thoughts of earlier turns"
    if said.strip() not in rendered:
        yield "calls of earlier turns"
