"""Messages as an OpenAI-compatible server wants them; images once each where the server can remember them."""

from __future__ import annotations

import io
import threading
from collections import OrderedDict
from collections.abc import Callable, Collection
from functools import partial
from typing import Any

import msgspec
import pybase64

from ..agent.engine import ImagePart, Message, Part, Request, Role, TextPart
from ..core.images import encode_png
from ..servers import ImageFormat
from ..servers.parcel import LateJson
from .native_calls import call_json

_CACHE_BYTES = 256 << 20
_JPEG_QUALITY = 95


class ImageUrl(LateJson):
    """An image as a data URL, encoded when the request is sent."""

    __slots__ = ("_encode", "_part")

    def __init__(self, part: ImagePart, encode: Callable[[ImagePart], msgspec.Raw]) -> None:
        self._part = part
        self._encode = encode

    @property
    def most_bytes(self) -> int:
        """A BMP in base64; hardly any other is larger."""
        return 4 * self._part.image.width * self._part.image.height + 4096

    def json(self) -> msgspec.Raw:
        """The URL as a JSON string."""
        return self._encode(self._part)


class Wire:
    """Turns requests into messages; safe for threads.

    Encodings of recent images are kept (256 MB) for servers that must be sent everything with each turn.
    """

    def __init__(self) -> None:
        self._urls: OrderedDict[tuple[str, ImageFormat], msgspec.Raw] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def messages(
        self, request: Request, *, ids: bool, known: Collection[str], image_format: ImageFormat = ImageFormat.PNG
    ) -> list[dict[str, Any]]:
        """The conversation as JSON, its images as `ImageUrl`.

        Args:
            request: the turn to generate.
            ids: whether the server remembers images by id (vLLM's `uuid`).
            known: ids of images that it was sent: of these only the id travels.
            image_format: how images travel.
        """
        return [self._message(message, ids, known, image_format) for message in request.messages]

    def _message(self, message: Message, ids: bool, known: Collection[str], image_format: ImageFormat) -> dict[str, Any]:
        said = "".join(part.text for part in message.parts if isinstance(part, TextPart))
        if message.role is Role.TOOL:
            return {"role": "tool", "tool_call_id": message.call_id, "content": said}
        if message.tool_calls:  # a text or null: some servers take no list next to calls
            return {"role": "assistant", "content": said or None, "tool_calls": [call_json(c) for c in message.tool_calls]}
        return {"role": message.role.value, "content": [self._part(part, ids, known, image_format) for part in message.parts]}

    def _part(self, part: Part, ids: bool, known: Collection[str], image_format: ImageFormat) -> dict[str, Any]:
        if not isinstance(part, ImagePart):
            return {"type": "text", "text": part.text}
        encode = partial(data_url if ids else self.url, image_format=image_format)  # what is sent once is not kept
        url = {"url": ImageUrl(part, encode)}
        if not ids:
            return {"type": "image_url", "image_url": url}
        name = image_id(part, image_format)
        return {"type": "image_url", "image_url": None if name in known else url, "uuid": name}

    def url(self, part: ImagePart, image_format: ImageFormat) -> msgspec.Raw:
        """The image as a data URL in JSON, from the cache where it is there."""
        name = (part.hash, image_format)
        with self._lock:
            url = self._urls.get(name)
            if url is not None:
                self._urls.move_to_end(name)
                return url
        url = data_url(part, image_format)
        with self._lock:
            self._bytes += _length(url) - _length(self._urls.get(name))
            self._urls[name] = url
            while self._bytes > _CACHE_BYTES and len(self._urls) > 1:
                _, dropped = self._urls.popitem(last=False)
                self._bytes -= _length(dropped)
        return url


def image_id(image: ImagePart, image_format: ImageFormat) -> str:
    """The id under which a server may remember an image: of its pixels, and of whether they travelled as they are."""
    return f"{'jpeg' if image_format is ImageFormat.JPEG else 'rgb'}-{image.hash}"


def data_url(part: ImagePart, image_format: ImageFormat) -> msgspec.Raw:
    """An image as a data URL in JSON: its RGB pixels, which its hash names too."""
    image = part.image
    buffer, rgb = io.BytesIO(), image if image.mode == "RGB" else image.convert("RGB")
    if image_format is ImageFormat.PNG:
        buffer.write(encode_png(rgb))
    elif image_format is ImageFormat.JPEG:
        rgb.save(buffer, "JPEG", quality=_JPEG_QUALITY, subsampling=0)
    else:
        rgb.save(buffer, "BMP")
    head = f'"data:image/{image_format.value};base64,'.encode()
    return msgspec.Raw(b"".join((head, pybase64.b64encode(buffer.getbuffer()), b'"')))


def _length(url: msgspec.Raw | None) -> int:
    return memoryview(url).nbytes if url is not None else 0
