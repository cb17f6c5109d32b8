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


@dataclass(frozen=True, slots=True)
class Benchmark:
    """A benchmark that can be run."""

    load: Callable[[Path | None], list[Item]]
    """Its rows from the folder or file that the user gave, or, for None, from its usual place; raises `DataError`."""
    metrics: tuple[Metric, ...] = ()
    """What is reported besides the metrics of every benchmark."""
    first_use: Callable[[], str] = lambda: ""
    """What `load(None)` does for long if it is called now, as `drawing …`; "" if that is nothing special."""
