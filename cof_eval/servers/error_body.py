"""What a server says is wrong, in any of the shapes in which servers say it.

| shape | from |
|---|---|
| `{"error": {"message": …, "type": …, "code": …}}` | OpenAI, vLLM, llama.cpp, LiteLLM; in a list: Gemini |
| `{"error": {"message": …, "metadata": {"raw": …}}}` | OpenRouter |
| `{"error": "text"}` | Ollama, LM Studio, TGI |
| `{"detail": "text"}`, `{"detail": [{"msg": …, "loc": …}]}` | FastAPI |
| `{"object": "error", "message": …}` | older vLLM, SGLang, Mistral |
| plain text, a web page | proxies |
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from math import isfinite
from typing import Any

import msgspec

from .faults import StatusError
from .transport import HttpReply
from .waits import LONGEST_WAIT_S

_READ_CHARS = 10_000
_PAGE_CHARS = 180
"""Of a text that may be a proxy's; what the proxy has to do with it follows."""
_NOTHING = ("{}", "[]", '""', "null")
"""JSON without a word."""
_MESSAGES = ("message", "msg", "detail", "error", "errors", "error_message", "error_description", "reason", "title", "raw")
"""Keys that hold a message, or something that holds one; the first is taken."""


@dataclass(frozen=True, slots=True)
class ErrorBody:
    """A server's own words."""

    says: str
    code: str = ""
    """Its name of the error: `context_length_exceeded`, `exceed_context_size_error`."""
    status: int | None = None
    """The HTTP status that it means, where the body has one."""


def status_error(reply: HttpReply) -> StatusError:
    """The error for a reply with an HTTP error status."""
    found = json_error(reply.body) or ErrorBody(reply.tell(_plain(reply.body))[:_PAGE_CHARS] + reply.proxy)
    return _error(reply, reply.status, found)


def inner_error(reply: HttpReply) -> StatusError | None:
    """The error inside a reply whose status says that all is well; None if there is none."""
    found = json_error(reply.body) if b'"error"' in reply.body or b'"detail"' in reply.body else None
    return _error(reply, found.status or 500, found) if found else None


def json_error(body: bytes) -> ErrorBody | None:
    """The error in a JSON body; None if it is none, or holds no error."""
    try:
        told = msgspec.json.decode(body)
    except (ValueError, RecursionError, OverflowError):
        return None
    if isinstance(told, list) and len(told) == 1:
        told = told[0]
    if not isinstance(told, dict):
        return None
    return _read(told) or next(filter(None, map(_read, _choices(told))), None)


def _choices(told: dict[str, Any]) -> Iterator[dict[str, Any]]:
    choices = told.get("choices")
    return (choice for choice in choices if isinstance(choice, dict)) if isinstance(choices, list) else iter(())


def _read(told: dict[str, Any]) -> ErrorBody | None:
    held = told.get("error") or told.get("errors") or told.get("detail")
    if not held and told.get("object") == "error":
        held = told
    if not held and "choices" not in told and "data" not in told:
        held = told.get("message")
    if not held:
        return None
    says = "; ".join(dict.fromkeys(_messages(held)))
    named = held if isinstance(held, dict) else told
    return ErrorBody(says[:_READ_CHARS], _code(named), _status(named) or _status(told))


def _messages(held: Any, depth: int = 0) -> Iterator[str]:
    """All messages in an error, outermost first."""
    if depth > 4:
        return
    if isinstance(held, str):
        yield held
    elif isinstance(held, list):
        for each in held[:10]:
            yield from _messages(each, depth + 1)
    elif isinstance(held, dict):
        place = held.get("loc")
        where = ".".join(map(str, place)) + ": " if isinstance(place, list) else ""
        said = next((held[name] for name in _MESSAGES if held.get(name)), None)
        yield from (where + message for message in _messages(said, depth + 1))
        metadata = held.get("metadata")
        if isinstance(metadata, dict) and metadata.get("raw"):
            yield from _messages(metadata["raw"], depth + 1)


def _code(named: dict[str, Any]) -> str:
    """The name of an error, where it is no number and no kind that says nothing."""
    names = (named.get(key) for key in ("code", "type", "error_type"))
    return next((name for name in names if isinstance(name, str) and re.fullmatch(r"[a-z]+(_[a-z]+)+", name[:80])), "")


def _status(named: dict[str, Any]) -> int | None:
    for key in ("code", "status", "status_code"):
        value = named.get(key)
        if isinstance(value, str) and re.fullmatch(r"[45]\d\d", value):
            return int(value)
        if isinstance(value, int) and 400 <= value <= 599:
            return value
    return None


def _error(reply: HttpReply, status: int, found: ErrorBody) -> StatusError:
    says = found.says or _plain(reply.body) or _phrase(status)
    says = reply.tell(says)
    if found.code and found.code not in says:
        says = f"{says[:250]} ({reply.tell(found.code)})"
    return StatusError(status, says, wait_s=_wait_s(reply), code=found.code)


def _plain(body: bytes) -> str:
    """Plain text as it is; of a web page its title, else its text."""
    text = body[:_READ_CHARS].decode(errors="replace").strip()
    if text in _NOTHING:
        return ""
    if not (text.startswith("<") and re.search(r"<(!doctype|html|head|body)", text[:1000], re.IGNORECASE)):
        return text
    title = re.search(r"<title[^>]*>([^<]*)", text, re.IGNORECASE)
    said = title[1] if title and title[1].strip() else re.sub(r"<[^>]*>", " ", text)
    return f"a web page: {html.unescape(said).strip()}"


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "an error without a word"


def _wait_s(reply: HttpReply) -> float:
    """Seconds that a server asks to wait; 0 if it does not say."""
    for name, scale in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            seconds = float(reply.headers[name]) * scale
        except (KeyError, ValueError):
            continue
        if isfinite(seconds):
            return min(LONGEST_WAIT_S, max(0.001, seconds))
    return 0.0
