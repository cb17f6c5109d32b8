"""The messages of a protocol: what a rollout sends, and what training learns from, word for word the same.

A conversation opens with the system message, the shown image and the question; every turn of calls is handed back as one
user message: crops and error texts in the order of the calls, then the format instruction if there is an image. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from PIL import Image

from .engine import ImagePart, Message, Part, Role, TextPart
from .images import pixel_hash
from .protocols import Protocol
from .records import Call, Crop
from .reply import RawCall
from .resolution import PixelLimits, visual_tokens
from .zoom import View, zoom

IMAGES_USED_UP = "Image limit reached: no further zoom is possible. Give the final answer now."

_SPECIAL = re.compile(r"<\|(?=[A-Za-z0-9_]+\|>)")


def inert(text: str) -> str:
    """Text that a prompt can hold: no lone surrogates, and no control tokens (`<|image_pad|>`), which would forge images."""
    return _SPECIAL.sub("<| ", text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))


def opening(protocol: Protocol, question: str, shown: ImagePart | None) -> tuple[Message, Message]:
    """The system message, and the question with the shown image before it (if there is one)."""
    text = TextPart(protocol.prompt(inert(question)))
    return Message(Role.SYSTEM, (TextPart(protocol.system),)), Message(Role.USER, (text,) if shown is None else (shown, text))


def said(text: str) -> Message:
    """What the model wrote in one turn."""
    return Message(Role.ASSISTANT, (TextPart(inert(text)),))


def handed_back(protocol: Protocol, results: Iterable[Part]) -> Message:
    """What the calls of one turn gave, in their order."""
    parts = tuple(results)
    if any(isinstance(part, ImagePart) for part in parts):
        parts = (*parts, TextPart(protocol.format))
    return Message(Role.USER, parts)


def image_part(image: Image.Image, limits: PixelLimits, pixels: str = "") -> ImagePart:
    """An image that has its final size, as part of a message; `pixels` is its hash, where that is known already."""
    return ImagePart(image, pixels or pixel_hash(image), visual_tokens(image.size, limits.factor))


def carry_out(raw: RawCall, view: View | None, protocol: Protocol, limits: PixelLimits) -> tuple[Call, Part]:
    """One call and what the model gets for it: a crop, or a text that says what was wrong.

    Args:
        raw: the call as found in the turn.
        view: what can be looked at; None if there is no image, or no room for another one.
        protocol: says how boxes are read and cut.
        limits: sizes of crops.
    """
    if view is None:
        return Call(raw.raw, error=IMAGES_USED_UP), TextPart(IMAGES_USED_UP)
    frame = protocol.box_frame(view)
    result = zoom(raw, view, frame, protocol.zoom_rules(limits))
    box = result.box.corners if result.box else None
    if result.image is None or result.native_box is None:
        text = result.error or ""
        return Call(raw.raw, box, frame.name, error=text), TextPart(text)
    part = image_part(result.image, limits)
    crop = Crop(part.hash, result.image.size, result.native_box.corners, part.visual_tokens)
    return Call(raw.raw, box, frame.name, result.error, crop), part
