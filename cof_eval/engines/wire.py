"""Messages as an OpenAI-compatible server wants them; images once each where the server can remember them."""

from __future__ import annotations

import base64
import io
import threading
from collections import OrderedDict
from collections.abc import Collection
from enum import StrEnum
from typing import Any

from PIL import Image

from ..agent.engine import ImagePart, Message, Part, Request, Role, TextPart
from ..core.images import encode_png
from .native_calls import call_json

_CACHE_BYTES = 256 << 20
_JPEG_QUALITY = 95


class ImageFormat(StrEnum):
    """How images travel."""

    PNG = "png"
    """Every pixel as shown."""
    JPEG = "jpeg"
    """A quarter of the bytes, but other pixels: quality 95, recorded in run.yaml."""


class Wire:
    """Turns requests into messages; safe for threads.

    Encodings of recent images are kept (256 MB) for servers that must be sent everything with each turn.
    """

    def __init__(self, image_format: ImageFormat = ImageFormat.PNG) -> None:
        self._format = image_format
        self._urls: OrderedDict[str, str] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def image_id(self, image: ImagePart) -> str:
        """The id under which a server may remember an image: of its pixels, and of how they travelled."""
        return f"{self._format.value}-{image.hash}"

    def messages(self, request: Request, *, ids: bool, known: Collection[str]) -> list[dict[str, Any]]:
        """The conversation as JSON.

        Args:
            request: the turn to generate.
            ids: whether the server remembers images by id (vLLM's `uuid`).
            known: ids of images that it was sent: of these only the id travels.
        """
        return [self._message(message, ids, known) for message in request.messages]

    def _message(self, message: Message, ids: bool, known: Collection[str]) -> dict[str, Any]:
        said = "".join(part.text for part in message.parts if isinstance(part, TextPart))
        if message.role is Role.TOOL:
            return {"role": "tool", "tool_call_id": message.call_id, "content": said}
        if message.tool_calls:  # a text or null: some servers take no list next to calls
            return {"role": "assistant", "content": said or None, "tool_calls": [call_json(c) for c in message.tool_calls]}
        return {"role": message.role.value, "content": [self._part(part, ids, known) for part in message.parts]}

    def _part(self, part: Part, ids: bool, known: Collection[str]) -> dict[str, Any]:
        if not isinstance(part, ImagePart):
            return {"type": "text", "text": part.text}
        if not ids:
            return {"type": "image_url", "image_url": {"url": self._url(part)}}
        name = self.image_id(part)
        return {"type": "image_url", "image_url": None if name in known else {"url": self._url(part)}, "uuid": name}

    def _url(self, part: ImagePart) -> str:
        """The image as a data URL."""
        with self._lock:
            url = self._urls.get(part.hash)
            if url is not None:
                self._urls.move_to_end(part.hash)
                return url
        url = _data_url(part.image, self._format)
        with self._lock:
            self._bytes += len(url) - len(self._urls.get(part.hash, ""))
            self._urls[part.hash] = url
            while self._bytes > _CACHE_BYTES and len(self._urls) > 1:
                _, dropped = self._urls.popitem(last=False)
                self._bytes -= len(dropped)
        return url


def _data_url(image: Image.Image, image_format: ImageFormat) -> str:
    if image_format is ImageFormat.PNG:
        data = encode_png(image)
    else:
        buffer = io.BytesIO()
        image.convert("RGB").save(buffer, "JPEG", quality=_JPEG_QUALITY, subsampling=0)
        data = buffer.getvalue()
    return f"data:image/{image_format.value};base64," + base64.b64encode(data).decode()
