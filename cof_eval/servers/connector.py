"""aiohttp's connections with an end: a server that sends interim replies, headers or chunk sizes for ever is cut off."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any, cast

import aiohttp
from aiohttp.client_proto import ResponseHandler

from .bounds import MOST_BODY_BYTES

_MOST_WIRE_BYTES = MOST_BODY_BYTES + 2**20
"""Of one reply: interim replies, headers, chunk sizes and trailers included."""
_PIECE_BYTES = 8192
_MOST_HEADS = 16
"""A reply, and interim (1xx) ones before it."""


class _BoundedHandler(ResponseHandler):
    """aiohttp's reader of one connection, with an end."""

    _wire = 0
    _heads = 0

    def set_response_params(self, **params: Any) -> None:
        self._wire = self._heads = 0
        super().set_response_params(**params)

    def data_received(self, data: bytes) -> None:
        self._wire += len(data)
        if self._wire > _MOST_WIRE_BYTES:
            return self._end(f"more than {_MOST_WIRE_BYTES:,} bytes in one reply")
        for start in range(0, max(1, len(data)), _PIECE_BYTES):  # a piece holds few heads: the end comes soon
            if self._heads <= _MOST_HEADS:
                super().data_received(data[start : start + _PIECE_BYTES])
        return None

    def feed_data(self, data: Any, size: int = 0) -> None:
        self._heads += 1
        if self._heads > _MOST_HEADS:
            return self._end(f"more than {_MOST_HEADS} interim replies")
        return super().feed_data(data, size)

    def _end(self, says: str) -> None:
        error = aiohttp.http.HttpProcessingError(code=502, message=says)
        if self.exception() is None:
            self.set_exception(error)
            if self._payload is not None:
                self._payload.set_exception(aiohttp.ClientPayloadError(says))
        if self.transport is not None:
            self.transport.abort()


def bounded_connector(**options: Any) -> aiohttp.TCPConnector:
    """A connector whose connections end a server that sends without end; options are `TCPConnector`'s."""
    connector = aiohttp.TCPConnector(**options)
    handler = cast("type[ResponseHandler]", _BoundedHandler)
    connector._factory = partial(handler, loop=asyncio.get_running_loop())  # aiohttp has no public way
    return connector
