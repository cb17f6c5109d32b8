"""Protocols in words: all of them in a line each, and one with every setting and its source."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields

import msgspec

from ...agent.protocols import Protocol
from ...agent.protocols.protocol import GROUPS, default_settings
from ...agent.protocols.sources import source_of

_LONG = 96
"""Characters of a value that are printed; prompts are longer, and stand in run.yaml whole."""


def overview(protocols: Iterable[Protocol]) -> str:
    """A line a protocol: frame, crop source, turns, tokens of a turn, decoding, and where it comes from."""
    rows = [("protocol", "frame", "crops from", "turns", "tokens", "decoding", "source")]
    rows += [
        (
            p.name, p.frame.value if p.zooms else "-", p.crop_source.value if p.zooms else "-", str(p.max_turns), f"{p.max_new_tokens:,}", _decoding(p),
            source_of(p).origin,
        )
        for p in protocols
    ]  # fmt: skip
    widths = [max(len(row[column]) for row in rows) for column in range(6)]
    lines = ["  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[6]]) for row in rows]
    return "\n".join(
        [*lines, "", "cof-eval protocols NAME prints every setting; a protocol of your own is a .yaml file (docs/protocols.md)"]
    )


def _decoding(protocol: Protocol) -> str:
    if protocol.temperature == 0:
        return "greedy"
    return f"T {protocol.temperature:g}" + (f", top-p {protocol.top_p:g}" if protocol.top_p < 1 else "")


def settings_of(protocol: Protocol) -> str:
    """Every setting of a protocol by group: its value, where it comes from, and what it decides."""
    source, defaults = source_of(protocol), default_settings()
    lines = [f"{protocol.name}: {source.origin}"]
    for name, group in GROUPS.items():
        lines += ["", name]
        for setting in (f.name for f in fields(group) if f.name != "name"):
            value = getattr(protocol, setting)
            origin = source.lines.get(setting) or ("default" if value == defaults.get(setting) else "this protocol")
            lines.append(f"  {setting:<22}{_shown(value)}  [{origin}]")
    return "\n".join(lines)


def _shown(value: object) -> str:
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= _LONG else f"{text[:_LONG]}… ({len(text):,} characters)"
