"""What a run should record of the servers that it asked: what they serve, and what of a request they did not take."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .fields import UNUSED
from .pool import Pool
from .server import Server


def pool_facts(pool: Pool, mended: Mapping[str, int] | None = None) -> dict[str, Any]:
    """The entry of a run's servers in run.yaml; plain types only.

    Args:
        pool: the servers, asked or not yet.
        mended: replies by what had to be done to read them.
    """
    replies = {"mended": dict(mended or {}), "ignored_fields": dict(pool.ignored)}
    return {
        "weights": list(pool.roots),
        "asked": {server.url: _server(server) for server in pool.servers},
        "replies": {name: counts for name, counts in replies.items() if counts},
    }


def _server(server: Server) -> dict[str, Any]:
    fields = server.negotiation.fields
    sent_as = {
        name: change.name if change.value is None else {change.name: change.value}
        for name, change in fields.changed.items()
        if change.name
    }
    told = {
        "owned_by": server.owner,
        "root": server.root,
        "version": server.version,
        "answers_as": server.answers_as,
        "images": server.images.told(),
        "sent_as": sent_as,
        "left_out": fields.left_out,
        "unused": [name for name in UNUSED.get(server.owner, ()) if name not in fields.left_out],
    }
    return {name: value for name, value in told.items() if value}


def recall_names(pool: Pool, facts: Mapping[str, Any]) -> None:
    """Hold servers to the names under which they answered in earlier sessions of a run.

    Args:
        pool: the servers, not asked yet.
        facts: the run's entry of them (`pool_facts`).
    """
    asked = facts.get("asked") or {}
    for server in pool.servers:
        name = (asked.get(server.url) or {}).get("answers_as")
        server.answers_as = name if isinstance(name, str) else ""


def add_facts(earlier: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    """The facts of earlier sessions and of this one; counts are added."""
    asked = dict(earlier.get("asked") or {})
    for url, told in (now.get("asked") or {}).items():
        asked[url] = {**asked.get(url, {}), **told}
    replies = {name: dict(counts) for name, counts in (earlier.get("replies") or {}).items()}
    for name, counts in (now.get("replies") or {}).items():
        for what, count in counts.items():
            held = replies.setdefault(name, {})
            held[what] = held.get(what, 0) + count
    weights = [*(earlier.get("weights") or []), *(now.get("weights") or [])]
    return {"weights": list(dict.fromkeys(weights)), "asked": asked, "replies": replies}
