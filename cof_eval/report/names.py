"""Names and order: labels of runs, resolutions in the order of the sweep."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from ..core.resolution import in_sweep_order

if TYPE_CHECKING:
    from ..runs.folder import RunData

OVERALL = "overall"
"""The category of a summary over all categories."""
MEAN = "mean"
"""The resolution of a mean over resolutions."""
MACRO = "mean of benchmarks"
"""The benchmark of a mean over benchmarks, each once."""


def run_labels(runs: Sequence[RunData]) -> list[str]:
    """One distinct label per run: its own, with the folder's name or a number where two would be equal."""
    own = [str(run.settings.get("label") or run.path.name) for run in runs]
    longer = [f"{label} ({run.path.name})" if own.count(label) > 1 else label for label, run in zip(own, runs, strict=True)]
    return [f"{label} ({i + 1})" if longer.count(label) > 1 else label for i, label in enumerate(longer)]


def resolution_order(names: Iterable[str]) -> list[str]:
    """The distinct resolutions among `names` in sweep order, `native` last."""
    return in_sweep_order(names)
