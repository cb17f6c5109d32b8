"""How much of a server's reply is read: a body is unpacked piece by piece, so that none can fill the memory."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import aiohttp

MOST_BODY_BYTES = 4 * 2**20
"""A reply with half a million token ids is that long."""
_MOST_BRACKETS = 100_000
"""Objects and lists in a body: each takes twenty times its bytes, and a reply has some dozens."""
_LARGE_BYTES = 256 * 2**10
_LARGE_AT_ONCE = 4
"""Bodies longer than that which are held at the same time, for each server."""


class BodyTooLargeError(ValueError):
    """A body is longer than any reply."""


class BodyReader:
    """Reads bodies of one server's replies, a few large ones at a time."""

    def __init__(self) -> None:
        self._large = asyncio.Semaphore(_LARGE_AT_ONCE)

    async def read(self, response: aiohttp.ClientResponse) -> bytes:
        """A whole body, unpacked.

        Raises:
            BodyTooLargeError: if it is longer than any reply.
            ValueError: if it is packed in a way that was not asked for, or damaged.
        """
        unpack = _Unpacker(response.headers.get("content-encoding", ""))
        body, large = bytearray(), False
        try:
            async for chunk in response.content.iter_any():
                for piece in unpack.feed(chunk):
                    body += piece
                    if len(body) > MOST_BODY_BYTES:
                        raise BodyTooLargeError(f"the body of its reply is longer than {MOST_BODY_BYTES:,} bytes")
                    if len(body) > _LARGE_BYTES and not large:
                        await self._large.acquire()
                        large = True
                    await asyncio.sleep(0)  # others' turn
            unpack.end()
            if body.count(b"[") + body.count(b"{") > _MOST_BRACKETS:
                raise BodyTooLargeError(f"the body of its reply holds more than {_MOST_BRACKETS:,} objects and lists")
            return bytes(body)
        finally:
            body.clear()  # an error that is kept must not keep the body
            if large:
                self._large.release()


class _Unpacker:
    """Unpacks a body piece by piece, so that a small one that is packed tightly cannot fill the memory."""

    _PIECE = 2**16

    def __init__(self, encoding: str) -> None:
        self._encoding = encoding.strip().lower()
        if self._encoding not in ("", "identity", "gzip", "x-gzip", "deflate"):
            raise ValueError(f"its reply is packed as {encoding[:40]!r}, which was not asked for")
        self._packed = self._encoding not in ("", "identity")
        self._inflate = zlib.decompressobj(wbits=47)  # gzip or zlib, told by its head
        self._begun = False

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Pieces of what a chunk holds."""
        if not self._packed:
            yield chunk
            return
        while chunk:
            chunk, piece = self._step(chunk)
            if piece:
                yield piece

    def end(self) -> None:
        """Nothing more comes."""
        if self._packed and self._begun and not self._inflate.eof:
            raise ValueError("the body of its reply is packed, and breaks off")

    def _step(self, chunk: bytes) -> tuple[bytes, bytes]:
        """What is left of a chunk, and at most one piece of what it holds."""
        try:
            piece = self._inflate.decompress(chunk, self._PIECE)
        except zlib.error as error:
            if self._begun or self._encoding != "deflate":
                raise ValueError(f"the body of its reply is not packed as it says ({self._encoding}: {error})") from error
            self._inflate, self._begun = zlib.decompressobj(wbits=-15), True  # some servers leave the zlib head out
            return chunk, b""
        self._begun = True
        if self._inflate.eof and self._inflate.unused_data:
            raise ValueError("the body of its reply has bytes after its packed end")
        return self._inflate.unconsumed_tail, piece
