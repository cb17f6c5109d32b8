"""Servers named in a file (`--base-url @FILE`), which is read again when it changes: servers may join and leave a run.

One URL a line; `#` begins a comment. The file is looked at before requests, at most every few seconds. A server that joins must serve
the same model with no smaller context, else it is named and not used. One that leaves finishes what it has begun. The last one leaves
only when another has come. A file that cannot be used changes nothing.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.errors import ServerError, UsageError
from .server import Server
from .urls import read_url_file

if TYPE_CHECKING:
    from .pool import Pool

LOOK_S = 2.0
"""Between two looks at the file."""
_AGAIN_S = 10.0
"""Until a server that did not answer is asked to join again."""
LEFT = "left the list of servers"

_log = logging.getLogger(__name__)

Join = Callable[[str], Awaitable[Server]]
"""URL -> the server, met and found to serve the same model; a UsageError says why not, a ServerError that it did not answer."""


class Roster:
    """Keeps a pool's servers those of a file."""

    def __init__(self, path: Path, pool: Pool, urls: dict[str, Server], join: Join) -> None:
        """Follow a file.

        Args:
            path: of the file.
            pool: whose servers change.
            urls: its servers now, by their lines.
            join: meets a server.
        """
        self._path, self._pool, self._known, self._join = path, pool, urls, join
        self._listed = tuple(urls)
        self._seen = _signature(path)
        self._next_look = 0.0
        self._next_try: dict[str, float] = {}
        self._refused: set[str] = set()
        self._warned = ""
        self._following: asyncio.Task[None] | None = None

    def look(self) -> None:
        """Begin to follow the file if it has changed, or a listed server is still to join; never waits."""
        now = time.monotonic()
        if now < self._next_look or (self._following and not self._following.done()):
            return
        self._next_look = now + LOOK_S
        if _signature(self._path) != self._seen or any(now >= when for when in self._next_try.values()):
            self._following = asyncio.create_task(self._follow())

    async def settle(self) -> None:
        """Wait until what was begun is done."""
        if self._following:
            await self._following

    async def close(self) -> None:
        """Follow no more."""
        if self._following:
            self._following.cancel()
            await asyncio.gather(self._following, return_exceptions=True)

    async def _follow(self) -> None:
        self._read()
        joined = [url for url in self._listed if url not in self._known and url not in self._refused]
        await asyncio.gather(*map(self._add, joined))
        for url in self._listed:
            server = self._known.get(url)
            if server is not None and server.gone == LEFT:
                server.gone = ""
                _log.info("%s is back in the list of servers", server.url)
        if any(url in self._known for url in self._listed):
            for url, server in self._known.items():
                if url not in self._listed and not server.gone:
                    server.gone = LEFT
                    _log.warning("%s %s; it is not asked any more", server.url, LEFT)

    def _read(self) -> None:
        """The list as it stands; the last good one if the file cannot be used, with one warning."""
        signature = _signature(self._path)
        if signature == self._seen:
            return
        self._seen = signature
        try:
            self._listed = read_url_file(self._path)
            self._warned, self._refused, self._next_try = "", set(), {}
        except UsageError as error:
            if str(error) != self._warned:
                _log.warning("%s; the servers stay as they were", error)
            self._warned = str(error)

    async def _add(self, url: str) -> None:
        if time.monotonic() < self._next_try.get(url, 0.0):
            return
        first = url not in self._next_try
        self._next_try.pop(url, None)
        try:
            server = await self._join(url)
        except UsageError as error:
            self._refused.add(url)
            _log.warning("a server of %s is not used: %s", self._path, error)
        except ServerError as error:
            self._next_try[url] = time.monotonic() + _AGAIN_S
            if first:
                _log.warning("a server of %s does not answer (%s); it is tried again later", self._path, error)
        else:
            self._known[url] = server
            self._pool.servers = (*self._pool.servers, server)
            _log.info("%s joins", server.url)


def _signature(path: Path) -> tuple[int, ...]:
    """Tells one content of a file from another; empty if it is not there."""
    try:
        told = path.stat()
    except OSError:
        return ()
    return told.st_mtime_ns, told.st_size, told.st_ino
