"""The one way to a server: one HTTP exchange, bounded in bytes and seconds, never redirected.

All that a server sends passes through here before anything else reads it. Failures leave as `FaultError`, without secrets.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ..core.byte_budget import ByteBudget
from ..core.secrets import Secrets, basic_credentials, safe_url
from ..core.settings import proxy_of
from ..core.text import one_line
from .bounds import BodyReader
from .faults import Fault, FaultError, fault_of
from .parcel import MOST_BYTES, Parcel, packed

if TYPE_CHECKING:
    import aiohttp

_CONNECT_S = 10.0
_SAID_CHARS = 180
"""Of a message that a hint at the proxy follows."""
_KEEP_S = 4.0
"""Shorter than servers keep an idle connection (uvicorn: 5 s), so that none is used as it closes."""


@dataclass(frozen=True, slots=True)
class HttpReply:
    """A server's reply: bounded, unpacked, without secrets."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    secrets: Secrets
    proxy: str = ""
    """A hint at the proxy that was asked, for replies that are no server's."""

    def broken(self, says: str) -> FaultError:
        """The fault that this reply cannot be used."""
        return FaultError(Fault.BROKEN, self.tell(says)[: _SAID_CHARS if self.proxy else None] + self.proxy)

    def tell(self, says: str) -> str:
        """A text from this reply as it may be shown: one line, no secret, no control character."""
        return one_line(self.secrets.mask(says))


class Transport:
    """Connections to one server."""

    def __init__(self, url: str, api_key: str, budget: ByteBudget | None = None) -> None:
        """Prepare; nothing is sent yet.

        Args:
            url: base URL, ending in `/v1`; a user and a password go as basic authentication, a query with every request.
            api_key: sent with every request where the URL has no user.
            budget: bytes of large bodies that are held at once, shared by the servers of a pool.
        """
        parts = urlsplit(url)
        self.url = safe_url(url)
        """As it may be shown and recorded."""
        self._query = f"?{parts.query}" if parts.query else ""
        self._host = parts.hostname or ""
        self._secrets = Secrets.of_url(url, api_key)
        self._headers = {**_authorization(url, api_key), "Accept": "application/json", "Accept-Encoding": "identity"}
        self._proxy = proxy_of(url)
        if self._proxy:
            self._secrets |= Secrets.of_url(self._proxy)
        self._session: aiohttp.ClientSession | None = None
        self._bodies = BodyReader()
        self._budget = budget or ByteBudget(MOST_BYTES)

    @property
    def proxied(self) -> bool:
        """Whether requests go through a proxy."""
        return bool(self._proxy)

    async def get(self, url: str, *, timeout_s: float) -> HttpReply:
        """The reply to a GET request; see `post`."""
        return await self._exchange("GET", url, None, timeout_s)

    def packed(self, body: Mapping[str, Any]) -> AbstractAsyncContextManager[Parcel]:
        """A JSON body, encoded, for `post`."""
        return packed(body, self._budget)

    async def post(self, url: str, body: Parcel, *, timeout_s: float) -> HttpReply:
        """The reply to a JSON body, whatever its status.

        Args:
            url: the address, without a query.
            body: of `packed`; it is sent once.
            timeout_s: most seconds until all of it is here, however busily its bytes drip in.

        Raises:
            FaultError: if none came.
        """
        return await self._exchange("POST", url, body, timeout_s)

    async def close(self) -> None:
        """Close all connections."""
        if self._session:
            await self._session.close()

    async def _exchange(self, method: str, url: str, body: Parcel | None, timeout_s: float) -> HttpReply:
        try:
            async with asyncio.timeout(timeout_s) as limit:
                return await self._send(method, url, body)
        except FaultError:
            raise
        except Exception as error:  # whatever breaks while a server's bytes are read is that server's fault
            if isinstance(error, TimeoutError) and limit.expired():
                fault = FaultError(Fault.TIMEOUT, f"gave no whole reply within {timeout_s:g} s")
            else:
                fault = fault_of(error, self._host)
        raise self._told(fault)  # without the cause: it holds the request's body and more

    async def _send(self, method: str, url: str, parcel: Parcel | None) -> HttpReply:
        session = self._opened()
        content = {"Content-Type": "application/json", "Content-Length": str(parcel.size)} if parcel else {}
        async with session.request(
            method,
            url + self._query,
            data=(parcel.whole or parcel.pieces()) if parcel else None,
            headers=content,
            allow_redirects=False,
            proxy=self._proxy,
        ) as response:
            if 300 <= response.status < 400:
                raise FaultError(Fault.REDIRECT, self._redirect(response))
            body = await self._bodies.read(response)
        return HttpReply(response.status, response.headers, self._secrets.mask_reply(body), self._secrets, self._hint())

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            import aiohttp

            from .connector import bounded_connector

            self._session = aiohttp.ClientSession(
                connector=bounded_connector(limit=0, keepalive_timeout=_KEEP_S, ssl=self._trust()),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_S),
                headers=self._headers,
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
            )
        return self._session

    def _trust(self) -> ssl.SSLContext | bool:
        """The system's authorities (or those of SSL_CERT_FILE), and Mozilla's for machines without any."""
        if not self.url.startswith("https:"):
            return True
        import certifi

        context = ssl.create_default_context()
        context.load_verify_locations(certifi.where())
        return context

    def _redirect(self, response: aiohttp.ClientResponse) -> str:
        """What a redirect says, without its path and query; prompts and images go to no server that was not named."""
        try:
            place = self._secrets.mask(response.headers.get("location", ""))
            host = urlsplit(place).netloc.rpartition("@")[2] or "another of its own pages"
        except ValueError:
            host = "a place that is no URL"
        return self._secrets.mask(
            one_line(f"redirects (status {response.status}) to {host[:100]}; redirects are not followed: give the final URL")
        )

    def _told(self, fault: FaultError) -> FaultError:
        """A fault without secrets and control characters, with a hint at the proxy."""
        said, hint = one_line(self._secrets.mask(str(fault))), self._hint()
        return FaultError(fault.fault, said[: _SAID_CHARS if hint else None] + hint)

    def _hint(self) -> str:
        if not self._proxy:
            return ""
        return f"; it was asked through the proxy {safe_url(self._proxy)}: if that is wrong, add {self._host} to NO_PROXY"


def _authorization(url: str, api_key: str) -> dict[str, str]:
    """The header that names the user: a URL's own user, else the key."""
    basic = basic_credentials(url)
    return {"Authorization": f"Basic {basic}" if basic else f"Bearer {api_key}"}
