"""What a benchmark is here: how its rows are loaded, and what is measured of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..core.images import ImageSource
from ..core.records import Question
from .metrics import Metric


@dataclass(frozen=True, slots=True)
class Item:
    """One row of a benchmark."""

    question: Question
    image: ImageSource
    target: ImageSource | None = None
    """The annotated region as the benchmark itself has cut it; without it, view `target` cuts at the question's boxes."""


@dataclass(frozen=True, slots=True)
class Benchmark:
    """A benchmark that can be run."""

    load: Callable[[Path | None], list[Item]]
    """Its rows from the folder or file that the user gave, or, for None, from its usual place; raises `DataError`."""
    metrics: tuple[Metric, ...] = ()
    """Its own metrics, reported in addition to those of every benchmark."""
    waits_for: Callable[[], str] = lambda: "fetching it from the Hugging Face hub, if its cache has it not"
    """What `load(None)` would take long for if it were called now; "" if for nothing."""
