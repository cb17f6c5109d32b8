"""A request's body on its way: encoded off the event loop, and let go of as soon as it is sent.

A body with images is large, and the reply takes long. So images are encoded when a body is sent, not when it is written; only so many
bytes of bodies are held at once; and none is held while its reply is awaited.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import msgspec

from ..core.byte_budget import ByteBudget

MOST_BYTES = 512 << 20
"""Of bodies that are being encoded and sent, over all servers of a pool."""
_PIECE = 1 << 20
_SMALL = 1 << 16


class LateJson(ABC):
    """A value in a body that is written as JSON only when the body is sent: an image."""

    __slots__ = ()

    @property
    @abstractmethod
    def most_bytes(self) -> int:
        """Bytes that it will take, from above."""

    @abstractmethod
    def json(self) -> msgspec.Raw:
        """Its JSON; may take a while."""


class Parcel:
    """An encoded body."""

    def __init__(self, data: bytes, sent: Callable[[], None] = lambda: None) -> None:
        """Hold a body.

        Args:
            data: the body.
            sent: called once it is not held any more.
        """
        self.size = len(data)
        self._data: bytes | None = data
        self._sent = sent

    @property
    def whole(self) -> bytes | None:
        """All of a small body at once; None for a large one, which is sent in pieces."""
        return self._data if self.size <= _SMALL else None

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body in pieces, once; it is not held any more after the last one."""
        data, self._data = self._data or b"", None
        for start in range(0, len(data), _PIECE):
            yield data[start : start + _PIECE]
        del data
        self.let_go()

    def let_go(self) -> None:
        """It is sent, or given up."""
        self._data = None
        sent, self._sent = self._sent, lambda: None
        sent()


@asynccontextmanager
async def packed(body: Mapping[str, Any], budget: ByteBudget) -> AsyncIterator[Parcel]:
    """A body, encoded; what it takes of the budget is held until it is sent or given up."""
    images = list(late_parts(body))
    if not images:
        yield Parcel(msgspec.json.encode(body))
        return
    taken = await budget.take(sum(image.most_bytes for image in images))
    try:
        parcel = Parcel(await asyncio.to_thread(msgspec.json.encode, body, enc_hook=_late), partial(budget.give, taken))
    except BaseException:
        budget.give(taken)
        raise
    try:
        yield parcel
    finally:
        parcel.let_go()


def late_parts(body: Mapping[str, Any]) -> Iterator[LateJson]:
    """The images of a chat request that travel with it; those known by id aside."""
    for message in body.get("messages", ()):
        content = message.get("content")
        for part in content if isinstance(content, list) else ():
            image = part.get("image_url")
            if image is not None and isinstance(image["url"], LateJson):
                yield image["url"]


def _late(value: Any) -> msgspec.Raw:
    if isinstance(value, LateJson):
        return value.json()
    raise TypeError(f"{type(value).__name__} objects cannot be sent")
