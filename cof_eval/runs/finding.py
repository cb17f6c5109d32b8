"""One thing that was checked before a run, and how much it matters."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How much a finding matters."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was checked."""

    level: Level
    what: str
    says: str
    """What was found, and what to do where it is not `ok`."""

    def __str__(self) -> str:
        return f"{self.level.value:<9}{self.what:<24}{self.says}"
