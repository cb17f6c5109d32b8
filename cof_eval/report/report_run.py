"""A run with its label and its tables: what every part of a report is made from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING

import pandas as pd

from ..runs.identity import runs_told_apart
from .benchmark_metrics import MetricValue, metric_values
from .compare import compare_resolutions, flips_table
from .names import run_labels
from .pairs import pair_questions
from .primary import primary_table
from .rows import tidy
from .summary import summarize
from .sweep_means import mean_table
from .zoom_worth import worth_table

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
    means: pd.DataFrame
    """The means over resolutions, in the columns of the sweep table (`sweep_means.mean_table`)."""
    own_metrics: pd.DataFrame
    """The benchmarks' own metrics: `benchmark`, `resolution`, `metric`, `value` with its interval, and `n` (rows)."""
    _compared: dict[ReportRun, Comparison] = field(default_factory=dict, init=False, repr=False)
    _worth: dict[tuple[ReportRun, ...], pd.DataFrame] = field(default_factory=dict, init=False, repr=False)

    def worth_next_to(self, baselines: tuple[ReportRun, ...]) -> pd.DataFrame:
        """What zooming is worth next to direct answers (`zoom_worth.worth_table`); made once."""
        if baselines not in self._worth:
            self._worth[baselines] = worth_table(self, baselines)
        return self._worth[baselines]

    def compared_with(self, other: ReportRun) -> Comparison:
        """Everything that this run and another say about each other; made once."""
        if other not in self._compared:
            self._compared[other] = compare_runs(self, other)
        return self._compared[other]

    def pairs_with(self, other: ReportRun, benchmark: str | None = None) -> pd.DataFrame:
        """The paired table of this run and another (`compare.paired_table`), of one benchmark or of all."""
        return _of(self.compared_with(other).pairs, benchmark)

    def primary_with(self, other: ReportRun, benchmark: str | None = None) -> pd.DataFrame:
        """The difference of the means over resolutions (`primary.primary_table`), of one benchmark or of all."""
        return _of(self.compared_with(other).primary, benchmark)

    def flips_with(self, other: ReportRun, benchmark: str | None = None) -> pd.DataFrame:
        """The questions that only one of the two runs got right (`compare.flips_table`), of one benchmark or of all."""
        return _of(self.compared_with(other).flips, benchmark)


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """The tables of two runs side by side."""

    questions: pd.DataFrame
    """A row per pair (`pairs.pair_questions`)."""
    pairs: pd.DataFrame
    primary: pd.DataFrame
    flips: pd.DataFrame


def compare_runs(ours: ReportRun, theirs: ReportRun) -> Comparison:
    """The tables of one run against another."""
    judges = [run.run.settings.get("judge") for run in (ours, theirs)]
    questions = pair_questions(ours.rows, theirs.rows, same_judge=bool(judges[0]) and judges[0] == judges[1])
    return Comparison(
        questions,
        compare_resolutions(questions),
        primary_table(ours.rows, theirs.rows, questions),
        flips_table(ours.rows, theirs.rows, questions),
    )


def _of(table: pd.DataFrame, benchmark: str | None) -> pd.DataFrame:
    return table if benchmark is None else table[table["benchmark"] == benchmark].reset_index(drop=True)


def report_runs(runs: Sequence[RunData]) -> list[ReportRun]:
    """Runs with distinct labels and their tables; different questions under one id are told apart."""
    made = []
    labels = run_labels(runs)
    for run, label in zip(runs_told_apart(runs, labels), labels, strict=True):
        tables = tidy(run, label=label)
        sweep, means = summarize(tables.rows), mean_table(tables.rows)
        made.append(ReportRun(label, run, tables.rows, tables.calls, sweep, means, own_metrics(run, label)))
    return made


def own_metrics(run: RunData, label: str) -> pd.DataFrame:
    """The metrics that benchmarks have in addition to accuracy, one line a task and metric."""
    lines = [{"run": label, **asdict(each)} for each in metric_values(run)]
    return pd.DataFrame(lines, columns=["run", *(each.name for each in fields(MetricValue))])
