"""A run with its label and its tables: what every part of a report is made from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING

import pandas as pd

from .benchmark_metrics import MetricValue, metric_values
from .names import run_labels
from .rows import tidy
from .summary import summarize

if TYPE_CHECKING:
    from ..runs.folder import RunData


@dataclass(frozen=True, slots=True)
class ReportRun:
    """A run with its label and its tables."""

    label: str
    run: RunData
    rows: pd.DataFrame
    calls: pd.DataFrame
    sweep: pd.DataFrame
    own_metrics: pd.DataFrame
    """The benchmarks' own metrics: `benchmark`, `resolution`, `metric`, `value` with its interval, and `n` (rows)."""


def report_runs(runs: Sequence[RunData]) -> list[ReportRun]:
    """Runs with distinct labels and their tables."""
    made = []
    for run, label in zip(runs, run_labels(runs), strict=True):
        tables = tidy(run, label=label)
        made.append(ReportRun(label, run, tables.rows, tables.calls, summarize(tables.rows), own_metrics(run, label)))
    return made


def own_metrics(run: RunData, label: str) -> pd.DataFrame:
    """The metrics that benchmarks have besides accuracy, one line a task and metric."""
    lines = [{"run": label, **asdict(each)} for each in metric_values(run)]
    return pd.DataFrame(lines, columns=["run", *(field.name for field in fields(MetricValue))])
