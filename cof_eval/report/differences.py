"""Differences in how runs were made: a comparison says something about one thing only where nothing else differs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..runs.folder import RESOURCE_ARGS

if TYPE_CHECKING:
    from ..runs.folder import RunData


@dataclass(frozen=True, slots=True)
class Difference:
    """A thing that runs differ in."""

    name: str
    values: tuple[str, ...]
    """Of each run, as text."""


THINGS = ("model", "engine", "view", "judge", "seed", "option_order", "repeats", "data", "versions", "commit")
"""Settings that may differ in addition to the protocol; each counts as one thing."""


def differences(runs: Sequence[RunData]) -> list[Difference]:
    """The differences in how these runs were made, one line a thing.

    Two protocols of different names are one thing; two variants of one protocol differ in each setting that does.
    """
    settings = [run.settings for run in runs]
    found = [*_protocols([each.get("protocol") or {} for each in settings])]
    for thing in THINGS:
        leaves = [_of(each, thing) for each in settings]
        names = [name for name in dict.fromkeys(n for one in leaves for n in one) if len({one.get(name) for one in leaves}) > 1]
        if names:
            values = tuple(", ".join(_said(name, one) for name in names) for one in leaves)
            found.append(Difference(thing, values))
    return found


def _of(settings: Mapping[str, Any], thing: str) -> dict[str, str]:
    """A thing's settings; an engine's limits that are just what the protocol asks for are the protocol's."""
    leaves, protocol = dict(_leaves(settings.get(thing), ())), settings.get("protocol") or {}
    asked = {name: str(protocol.get(name)) for name in ("max_images", "context")}
    return {name: value for name, value in leaves.items() if thing != "engine" or asked.get(name) != value}


def _protocols(protocols: Sequence[Mapping[str, Any]]) -> Iterator[Difference]:
    names = [str(protocol.get("name")) for protocol in protocols]
    if len({name.split("+")[0] for name in names}) > 1:
        yield Difference("protocol", tuple(names))
        return
    for key in dict.fromkeys(key for protocol in protocols for key in protocol if key != "name"):
        values = tuple(str(protocol.get(key)) for protocol in protocols)
        if len(set(values)) > 1:
            yield Difference(f"protocol: {key}", values)


def _leaves(value: Any, path: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if key not in RESOURCE_ARGS:
                yield from _leaves(inner, (*path, str(key)))
    else:
        yield ".".join(path), str(value)


def _said(name: str, leaves: Mapping[str, str]) -> str:
    value = leaves.get(name, "–")
    return f"{name}={value}" if name else value
