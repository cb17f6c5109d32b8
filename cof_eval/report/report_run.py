"""A run with its label and its tables: what every part of a report is made from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING

import pandas as pd

from ..runs.identity import runs_told_apart
from .benchmark_metrics import MetricValue, metric_values
from .compare import flips_table, paired_table
from .names import run_labels
from .rows import tidy
from .summary import summarize

if TYPE_CHECKING:
    from ..runs.folder import RunData


@dataclass(frozen=True, slots=True, eq=False)
class ReportRun:
    """A run with its label and its tables; compared with another run once, however many parts of a report ask for it."""

    label: str
    run: RunData
    rows: pd.DataFrame
    calls: pd.DataFrame
    sweep: pd.DataFrame
    own_metrics: pd.DataFrame
    """The benchmarks' own metrics: `benchmark`, `resolution`, `metric`, `value` with its interval, and `n` (rows)."""
    _pairs: dict[ReportRun, pd.DataFrame] = field(default_factory=dict, init=False, repr=False)
    _flips: dict[ReportRun, pd.DataFrame] = field(default_factory=dict, init=False, repr=False)

    def pairs_with(self, other: ReportRun, benchmark: str | None = None) -> pd.DataFrame:
        """The paired table of this run and another (`compare.paired_table`), of one benchmark or of all."""
        if other not in self._pairs:
            self._pairs[other] = paired_table(self.rows, other.rows)
        return _of(self._pairs[other], benchmark)

    def flips_with(self, other: ReportRun, benchmark: str | None = None) -> pd.DataFrame:
        """The questions that only one of the two runs got right (`compare.flips_table`), of one benchmark or of all."""
        if other not in self._flips:
            self._flips[other] = flips_table(self.rows, other.rows)
        return _of(self._flips[other], benchmark)


def _of(table: pd.DataFrame, benchmark: str | None) -> pd.DataFrame:
    return table if benchmark is None else table[table["benchmark"] == benchmark].reset_index(drop=True)


def report_runs(runs: Sequence[RunData]) -> list[ReportRun]:
    """Runs with distinct labels and their tables; different questions under one id are told apart."""
    made = []
    labels = run_labels(runs)
    for run, label in zip(runs_told_apart(runs, labels), labels, strict=True):
        tables = tidy(run, label=label)
        made.append(ReportRun(label, run, tables.rows, tables.calls, summarize(tables.rows), own_metrics(run, label)))
    return made


def own_metrics(run: RunData, label: str) -> pd.DataFrame:
    """The metrics that benchmarks have in addition to accuracy, one line a task and metric."""
    lines = [{"run": label, **asdict(each)} for each in metric_values(run)]
    return pd.DataFrame(lines, columns=["run", *(each.name for each in fields(MetricValue))])
