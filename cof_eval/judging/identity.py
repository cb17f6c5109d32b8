"""Which judge decided: its served name, and what the server tells of the model behind that name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ..core.errors import UsageError
from ..core.records import digest
from ..servers import Server

SERVED_NAME_ONLY = "served name only"
"""Note on a judge whose server told only its served name: another model may have had the same name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeIdentity:
    """What a judge's servers tell of it."""

    served_name: str
    root: str = ""
    """The model that is served, as vLLM's list of models names it: a repository's name, or a path."""
    max_model_len: int | None = None
    version: str = ""
    """The server's; several different ones are separated by commas."""

    @property
    def known(self) -> bool:
        """Whether the servers tell more than the served name."""
        return bool(self.root or self.version)

    @property
    def model(self) -> str:
        """The name in verdicts' keys: the served name alone, or the model's root with a digest of all that is told."""
        if not self.known:
            return self.served_name
        told = digest(self.served_name, self.root, self.max_model_len, self.version)[:8]
        return f"{self.root or self.served_name}@{told}"

    def settings(self) -> dict[str, Any]:
        """Its entry in run.yaml."""
        return {name: value for name, value in asdict(self).items() if value}


def identify(servers: Sequence[Server]) -> JudgeIdentity:
    """The identity of the one judge behind several servers; a server that has not answered yet tells nothing.

    Raises:
        UsageError: if the servers serve different models under one name.
    """
    told = [server for server in servers if server.is_up()] or list(servers)
    roots = {server.url: server.root for server in told if server.root}
    if len(set(roots.values())) > 1:
        says = ", ".join(f"{url} {root!r}" for url, root in roots.items())
        raise UsageError(f"the judge's servers serve different models under one name: {says}; give servers of one judge")
    versions = sorted({server.version for server in told if server.version})
    contexts = [server.context for server in told if server.context]
    return JudgeIdentity(
        served_name=servers[0].model,
        root=next(iter(roots.values()), ""),
        max_model_len=min(contexts, default=None),
        version=", ".join(versions),
    )


def set_name(used: Mapping[str, Any]) -> str:
    """How a verdict set of a run folder is named and chosen: `CARD:MODEL`, or the card alone for rules only."""
    card, model = str(used.get("card", "")).partition("@")[0], str(used.get("model") or "")
    return f"{card}:{model}" if model else card


def describes(used: Mapping[str, Any], name: str) -> bool:
    """Whether a verdict set is meant by a name: a card's name or id, alone or followed by `:MODEL` in whole or in part.

    Args:
        used: the set's card and judge model, as run.yaml has them.
        name: `equivalence`, `equivalence:Qwen2.5-VL-72B-Instruct`, `equivalence:judge`, …
    """
    card, colon, model = name.partition(":")
    if card not in (used.get("card"), str(used.get("card")).partition("@")[0]):
        return False
    full = str(used.get("model") or "")
    bare = full.rpartition("@")[0] or full
    served = str((used.get("served") or {}).get("served_name", ""))
    return not colon or model in {full, bare, bare.rpartition("/")[2], served or full}


def who(used: Mapping[str, Any]) -> str:
    """A judge in words: its model, or that only its served name is known; empty for rules alone."""
    model = str(used.get("model") or "")
    return "" if not model else model if used.get("served") else f"{model!r} ({SERVED_NAME_ONLY})"


def same_name(used: Mapping[str, Any], earlier: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The latest of earlier judges with the served name of this one and another identity; None if there is none."""

    def served(one: Mapping[str, Any]) -> str:
        return str((one.get("served") or {}).get("served_name") or one.get("model") or "")

    others = [one for one in earlier if served(one) == served(used) != "" and one.get("model") != used.get("model")]
    return others[-1] if others else None
