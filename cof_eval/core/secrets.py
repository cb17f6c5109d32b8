"""Keys, passwords and queries of URLs: what they may be shown as, and how they are taken out of any text.

A server may echo anything that it was sent. So all that comes from it passes through the `Secrets` of what it was sent.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from urllib.parse import parse_qsl, quote, unquote, urlsplit, urlunsplit

import msgspec

MASK = "***"
NO_KEY = "EMPTY"
"""Sent where the user gave no key; no secret."""
_LEAST_CHARS = 4
"""A shorter text is no secret, and would mask half of every message."""
_LEAST_REPLY_CHARS = 8
"""Replies hold a model's own words: there only long texts that are no plain word are taken for a secret."""


def safe_url(url: str) -> str:
    """A URL as it may be shown and recorded: without user, password, query and fragment."""
    try:
        parts = urlsplit(url)
        return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
    except ValueError:
        return re.sub(r"//[^/]*@", "//", url.partition("?")[0])


def safe_urls(text: str) -> str:
    """One or several URLs, as they may be shown and recorded; all else stays."""
    return re.sub(r"https?://[^,;\s\"']+", lambda found: safe_url(found[0]), text)


def basic_credentials(url: str) -> str:
    """A URL's user and password as basic authentication sends them; empty if it has none."""
    parts = urlsplit(url)
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    return base64.b64encode(f"{user}:{password}".encode()).decode() if user or password else ""


class Secrets:
    """Texts that must not be shown, and the same ones as they may be spelt."""

    def __init__(self, *values: str) -> None:
        kept = {value for value in values if len(value) >= _LEAST_CHARS and value != NO_KEY}
        spelt = kept | {quote(value, safe="") for value in kept}
        self._values = sorted(spelt, key=len, reverse=True)
        self._in_replies = [v.encode() for v in self._values if len(v) >= _LEAST_REPLY_CHARS and not v.isalpha()]

    @classmethod
    def of_url(cls, url: str, *more: str) -> Secrets:
        """Those of a URL (user, password, values of its query), and more."""
        parts = urlsplit(url)
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
        both = f"{user}:{password}" if password else ""
        return cls(*more, both, user, password, basic_credentials(url), *(value for _, value in parse_qsl(parts.query)))

    def __or__(self, other: Secrets) -> Secrets:
        return Secrets(*self._values, *other._values)

    def mask(self, text: str) -> str:
        """A message without them."""
        return _replaced(text, self._values)

    def mask_reply(self, body: bytes) -> bytes:
        """The body of a reply without them, however JSON spells them."""
        if not self._in_replies:
            return body
        if b"\\u00" in body or b"\\/" in body:  # characters that need no escape may hide one
            body = self._unescaped(body)
        for value in self._in_replies:
            body = body.replace(value, MASK.encode())
        return body

    def _unescaped(self, body: bytes) -> bytes:
        """The same JSON spelt plainly if it holds a secret so, else the body as it came."""
        try:
            plain = msgspec.json.encode(msgspec.json.decode(body))
        except (ValueError, RecursionError, OverflowError):
            return body
        return plain if any(value in plain for value in self._in_replies) else body


def _replaced(text: str, values: Iterable[str]) -> str:
    for value in values:
        text = text.replace(value, MASK)
    return text
