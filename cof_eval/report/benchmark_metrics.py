"""The benchmarks' own metrics of a run folder, for reports: what lmms-eval's table shows, from the journals alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from ..benchmarks import BENCHMARKS
from ..benchmarks.metrics import JudgedAnswer, Metric, judged_answer
from ..core.records import Row
from ..runs.folder import RunData
from ..stats import Clusters, Interval, accuracy_interval, bounded_ratio_interval
from ..stats.intervals import UNKNOWN


@dataclass(frozen=True, slots=True)
class MetricValue:
    """One metric of one task."""

    task: str
    benchmark: str
    resolution: str
    metric: str
    value: float
    """NaN where no row says anything about it."""
    value_low: float
    value_high: float
    """95% interval over clusters: as for accuracy, or the cluster bootstrap's for a ratio such as F1; NaN with the value."""
    n: int
    """Rows that have ended and have a reference."""


def metric_values(run: RunData) -> list[MetricValue]:
    """Every metric of its own that a benchmark in the run has, by task in order of its rows.

    A row whose trajectory is still to come, or that has no reference, is not counted.
    """
    return [each for task, rows in groupby(run.rows, key=lambda row: row.task) for each in _of_task(run, task, list(rows))]


def _of_task(run: RunData, task: str, rows: list[Row]) -> Iterator[MetricValue]:
    first = rows[0]
    benchmark = BENCHMARKS.get(first.benchmark)
    ended = [each for row in rows if (each := _answered(run, row))]
    for metric in benchmark.metrics if benchmark else ():
        value, (low, high) = metric.of(ended), _interval(metric, ended)
        yield MetricValue(task, first.benchmark, first.resolution, metric.name, value, low, high, len(ended))


def _interval(metric: Metric, rows: Sequence[JudgedAnswer]) -> Interval:
    """Over the clusters that the figure is taken from."""
    weighing = [term for term in metric.terms(rows) if term.weight]
    if not weighing:
        return UNKNOWN
    values, weights, labels = zip(*weighing, strict=True)
    clusters = Clusters.ratio(values, weights, labels)
    return accuracy_interval(clusters) if set(weights) == {1} else bounded_ratio_interval(clusters)


def _answered(run: RunData, row: Row) -> JudgedAnswer | None:
    question, trajectory = run.question(row), run.trajectories.get(row.trajectory)
    if question is None or trajectory is None or not question.answer:
        return None
    return judged_answer(question, trajectory, run.verdict(row))
