"""The messages of a protocol: a rollout sends and training learns from the same words. Pure.

A conversation opens with the system message, the shown image and the question; every turn of calls is handed back as one
user message, as the protocol writes it: crops and error texts in the order of the calls. Native calls are answered by a `tool`
message each, in text; their crops follow in one user message, since servers take no image in the role `tool`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from PIL import Image

from ..core.geometry import Frame
from ..core.images import pixel_hash
from ..core.records import AnswerKind, Call, Crop, Question, ToolCall, replace_surrogates
from ..core.resolution import PixelLimits
from .counterfactual import WITHHELD, Counterfactual
from .engine import ImagePart, Message, Part, Role, TextPart
from .protocols import CallsPerTurn, Crops, Protocol, fill
from .protocols.asking import IMAGE, Numbering
from .reply import RawCall
from .reply.native import sendable
from .reply.points import point_instruction
from .view import View
from .zoom import CropOfCrop, zoom

IMAGES_USED_UP = "Image limit reached: no further zoom is possible. Give the final answer now."
NOT_EXECUTED = "Not executed: only one call of a turn is."
"""The answer to a native call that `calls_per_turn` excludes; every one of them must have an answer."""


@dataclass
class Conversation:
    """One conversation as it grows. Not safe for threads: one caller at a time."""

    protocol: Protocol
    limits: PixelLimits
    """The protocol's within the processor's: sizes of crops."""
    question: Question
    view: View | None
    """The images that the model can zoom into; None for a question without an image."""
    shown_hash: str = ""
    """Of the shown image's pixels, where it is known already."""
    max_images: int | None = None
    """Most images that the engine takes; the protocol's own limit holds in any case."""
    seed: str = ""
    """Decides the random regions of counterfactual crops."""
    messages: list[Message] = field(default_factory=list, init=False)
    images: list[ImagePart] = field(default_factory=list, init=False)
    """All images so far, in order; the shown one first."""
    zooms: int = field(default=0, init=False)
    """Calls executed so far."""
    turns: int = field(default=0, init=False)
    """Turns of the model so far."""

    def __post_init__(self) -> None:
        self._most = min(self.protocol.max_images, self.max_images or self.protocol.max_images)
        self._counterfactual = Counterfactual(self.protocol.crops, self.question.boxes, self.seed)
        text = TextPart(self.protocol.prompt(asked_text(self.question, self.point_frame), self.question.options))
        if self.protocol.system:
            self._say(Role.SYSTEM, (TextPart(self.protocol.system),))
        shown = (self._image(self.view.shown, self.shown_hash),) if self.view else ()
        self._say(Role.USER, (*shown, text))

    @property
    def point_frame(self) -> Frame:
        """The frame of points on the first image: that of the protocol's boxes."""
        return self.protocol.box_frame(self.view) if self.view else Frame.unit()

    def add_assistant_turn(self, text: str, tool_calls: Sequence[ToolCall] = ()) -> Message:
        """Add what the model wrote in one turn, and its native calls."""
        self.turns += 1
        parts = (TextPart(text),) if text or not tool_calls else ()
        return self._say(Role.ASSISTANT, parts, tool_calls=tuple(_escaped(sendable(call)) for call in tool_calls))

    def execute_calls(self, raw_calls: Sequence[RawCall]) -> tuple[tuple[Call, ...], tuple[Message, ...]]:
        """Execute a turn's calls in order and add the messages that hand their results back.

        Args:
            raw_calls: as found in the turn's text, or given natively.

        Returns:
            The calls, each with its result, and the messages: one of the user for calls in text.
        """
        calls: list[Call] = []
        parts: list[Part] = []
        told: list[Message] = []
        for raw, chosen in zip(raw_calls, _chosen(len(raw_calls), self.protocol.calls_per_turn), strict=True):
            call, result = self._one(raw) if chosen else (Call(raw.raw), ())
            calls.append(call)
            if raw.id:
                told.append(self._answer(raw.id, result))
            if chosen and (not raw.id or _shows(result)):
                parts += [*(self._text(self.protocol.between) if parts else ()), *result]
        if any(call.executed for call in calls) and (parts or not told):
            parts += self._text(self.protocol.closing)
        if parts or not told:
            told.append(self._say(Role.USER, tuple(parts)))
        return tuple(calls), tuple(told)

    def _answer(self, call_id: str, result: Sequence[Part]) -> Message:
        """The `tool` message for a native call: that its crop follows, what was wrong, or that it was not executed."""
        if _shows(result):
            words = self._text(self.protocol.tool_turn)
        else:
            words = tuple(part for part in result if isinstance(part, TextPart) and part.text.strip())
        return self._say(Role.TOOL, words or (TextPart(NOT_EXECUTED),), call_id=call_id)

    def _one(self, raw: RawCall) -> tuple[Call, tuple[Part, ...]]:
        """One call and what the model gets for it."""
        view, protocol = self.view, self.protocol
        if view is None or len(self.images) >= self._most:
            return Call(raw.raw, error=IMAGES_USED_UP), self._text(protocol.error_turn, error=IMAGES_USED_UP)
        rules, frame = protocol.zoom_rules(self.limits), protocol.box_frame(view)
        result = self._counterfactual.crop(zoom(raw, view, frame, rules), self.zooms, view, rules)
        box, frame = (result.box.corners, result.box.frame) if result.box else (None, frame)
        native = result.box.to(view.native_frame).corners if result.box else None
        source = result.source
        if result.image is None or source is None or result.native_box is None:
            error = result.error or ""
            return Call(raw.raw, box, frame.name, error=error, native_box=native), self._text(protocol.error_turn, error=error)
        self.zooms += 1
        held = source if protocol.crop_of_crop is CropOfCrop.ENLARGED else None
        self.view = view.with_crop(source.size, result.native_box, held)
        instead = None if protocol.crops is Crops.REAL else protocol.crops.value
        if result.withheld:
            told = self._text(protocol.crop_turn.replace(IMAGE, WITHHELD))
            return Call(raw.raw, box, frame.name, instead=instead, native_box=native), told
        part = self._image(result.image)
        crop = Crop(part.hash, result.image.size, result.native_box.corners, part.visual_tokens)
        before, after = protocol.crop_turn.split(IMAGE)
        return Call(raw.raw, box, frame.name, result.error, crop, instead, native), (
            *self._text(before),
            part,
            *self._text(after),
        )

    def _text(self, template: str, *, error: str = "") -> tuple[Part, ...]:
        """A text of the protocol with its placeholders filled in; nothing where it is empty."""
        width, height = self.view.crops[-1].size if self.view and self.view.crops else (0, 0)
        text = fill(
            template,
            error=error,
            format=self.protocol.format,
            action=self.turns - 1,
            observation=self.turns if self.protocol.numbering is Numbering.TURNS else len(self.view.crops) if self.view else 0,
            width=width,
            height=height,
        )
        return (TextPart(text),) if text else ()

    def _image(self, image: Image.Image, pixels: str = "") -> ImagePart:
        self.images.append(ImagePart(image, pixels or pixel_hash(image), self.limits.tokens(image.size)))
        return self.images[-1]

    def _say(self, role: Role, parts: tuple[Part, ...], *, tool_calls: tuple[ToolCall, ...] = (), call_id: str = "") -> Message:
        escaped = tuple(TextPart(escape_control_tokens(p.text)) if isinstance(p, TextPart) else p for p in parts)
        self.messages.append(Message(role, escaped, tool_calls, call_id))
        return self.messages[-1]


def asked_text(question: Question, frame: Frame) -> str:
    """A question's whole text; one whose answer is a point says in which frame."""
    return f"{question.text}\n{point_instruction(frame)}" if question.kind is AnswerKind.POINT else question.text


def _shows(parts: Sequence[Part]) -> bool:
    """Whether an image is among them."""
    return any(isinstance(part, ImagePart) for part in parts)


def _escaped(call: ToolCall) -> ToolCall:
    return replace(call, name=escape_control_tokens(call.name), arguments=escape_control_tokens(call.arguments))


def _chosen(count: int, rule: CallsPerTurn) -> list[bool]:
    """Which of a turn's calls are executed."""
    only = {CallsPerTurn.FIRST: 0, CallsPerTurn.LAST: count - 1}.get(rule)
    return [only is None or number == only for number in range(count)]


_SPECIAL = re.compile(r"<\|(?=[A-Za-z0-9_]+\|>)")


def escape_control_tokens(text: str) -> str:
    """Text that a prompt can hold: no lone surrogates, and no control tokens (`<|image_pad|>`), which would forge images."""
    return _SPECIAL.sub("<| ", replace_surrogates(text))
