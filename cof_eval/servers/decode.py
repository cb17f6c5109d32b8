"""The one decoder of what servers send: JSON of a known shape, or a `FaultError` of that server."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import msgspec

from ..core.errors import flat_message
from .error_body import inner_error
from .transport import HttpReply

MOST_TOKENS = 10**9
"""A greater count of tokens is none."""

_DEEPEST = 64
"""Levels of objects and lists; a reply has about ten."""

_T = TypeVar("_T")


def decode(reply: HttpReply, convert: Callable[[object], _T], what: str, once: Sequence[str] = ()) -> _T:
    """What a reply with a good status holds.

    Args:
        reply: what came.
        convert: makes the shape that it must have of decoded JSON; raises a ValueError if it is another.
        what: the name of that shape, for messages.
        once: keys that must not be repeated in one object: readers of JSON differ in which one they take.

    Raises:
        StatusError: if it holds an error instead.
        FaultError: if it has another shape.
    """
    try:
        raw = msgspec.json.decode(reply.body)
        if reply.body.count(b"{") + reply.body.count(b"[") > _DEEPEST:
            _check_depth(raw)
        decoded = convert(raw)
        repeated = [key for key in once if reply.body.count(f'"{key}"'.encode()) > 1]
        if repeated:
            json.loads(reply.body, object_pairs_hook=lambda pairs: _unique(pairs, repeated))
    except (ValueError, RecursionError, OverflowError) as error:  # msgspec's errors are ValueErrors
        inner = inner_error(reply)
        if inner:
            raise inner from error
        raise reply.broken(f"no {what}: {_reason(error)}; it begins {_beginning(reply)}") from error
    return decoded


def _check_depth(raw: object) -> None:
    """Refuse what is nested so deep that other readers of it could fail."""
    level, depth = [raw], 0
    while level:
        depth += 1
        if depth > _DEEPEST:
            raise RecursionError
        held = (value.values() if isinstance(value, dict) else value for value in level if isinstance(value, dict | list))
        level = [child for children in held for child in children if isinstance(child, dict | list)]


def _unique(pairs: list[tuple[str, Any]], keys: Sequence[str]) -> None:
    names = [name for name, _ in pairs if name in keys]
    if len(set(names)) < len(names):
        raise ValueError(f"an object has {max(names, key=names.count)!r} twice")


def _reason(error: Exception) -> str:
    return "JSON nested too deep" if isinstance(error, RecursionError) else flat_message(error, chars=150)


def _beginning(reply: HttpReply) -> str:
    text = reply.secrets.mask(reply.body[:500].decode(errors="replace"))  # first: half a secret is not found
    return repr(text[:60]) if text else "with nothing"
