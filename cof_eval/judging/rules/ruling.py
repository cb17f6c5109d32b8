"""What the rules say of one answer."""

from __future__ import annotations

from dataclasses import dataclass

from ...core.records import Outcome


@dataclass(frozen=True, slots=True)
class Ruling:
    """What the rules say of one answer."""

    outcome: Outcome | None
    """None: undecided."""
    rule: str
    """The rule that decided, or why none did."""
    chosen: str = ""
    """The option letter, or the value of an open answer, that was read."""
