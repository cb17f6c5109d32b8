"""The mean of a run over its resolutions, which is what the method claims: its headline.

Each resolution counts once, however many of its rows are answered; images are what was drawn, with their rows of all
resolutions. Where a run has several benchmarks, their means are averaged too, each benchmark once.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..core.records import Stop
from ..stats import Clusters, accuracy_interval, fieller_interval, mean_over, ratio_interval
from .benchmark_units import benchmark_units, mean_estimate
from .names import MACRO, MEAN, OVERALL
from .rows import UNANSWERABLE
from .summary import COSTS, SWEEP_COLUMNS, WITH_INTERVAL, category_parts, failures, question_means, spent

if TYPE_CHECKING:
    from .report_run import ReportRun


def mean_table(rows: pd.DataFrame) -> pd.DataFrame:
    """One line per run, benchmark and category with the means over its resolutions, then the mean over benchmarks.

    The columns are `summary.SWEEP_COLUMNS`; `resolution` is `names.MEAN`, and `benchmark` is `names.MACRO` in the last line of a run
    of several benchmarks. Counts are totals over resolutions; `n`, `clusters` and `planned` count each question and image once.
    """
    lines = [line for _, run in rows.groupby("run", sort=False) for line in _run_lines(run)]
    return pd.DataFrame(lines, columns=list(SWEEP_COLUMNS))


def _run_lines(run: pd.DataFrame) -> Iterator[dict[str, Any]]:
    name, whole = run["run"].iloc[0], []
    for part in category_parts(run):
        first, line = part.iloc[0], _mean_line(part)
        whole += [line] if first["category"] == OVERALL else []
        yield {"run": name, "benchmark": first["benchmark"], "category": first["category"], "resolution": MEAN, **line}
    if len(whole) > 1:
        yield {"run": name, "benchmark": MACRO, "category": OVERALL, "resolution": MEAN, **_macro_line(run, whole)}


def _mean_line(part: pd.DataFrame) -> dict[str, Any]:
    rows = part[part["stop"].notna()]
    known = rows[rows["by"] != UNANSWERABLE]
    lower, upper = (_accuracy(known, unscored) for unscored in (0.0, 1.0))
    return {
        "n": int(known["question_id"].nunique()),
        "clusters": int(known["cluster"].nunique()),
        "acc": lower.estimate,
        "acc_low": accuracy_interval(lower, answers=len(known)).low,
        "acc_high": accuracy_interval(upper, answers=len(known)).high,
        "acc_upper": upper.estimate,
        **_counts(part),
        **_costs(rows),
    }


def _accuracy(known: pd.DataFrame, unscored: float) -> Clusters:
    means = question_means(known, unscored=unscored)
    return mean_over(means["correct"], means["resolution"], means["cluster"])


def _counts(part: pd.DataFrame) -> dict[str, Any]:
    rows = part[part["stop"].notna()]
    known = rows[rows["by"] != UNANSWERABLE]
    return {
        "correct": int((known["correct"] == 1).sum()),
        "unscored": int(known["correct"].isna().sum()),
        "pending": len(part) - len(rows),
        "planned": int(part["question_id"].nunique()),
        "rows": len(rows),
        "shared_with_smaller": math.nan,
        **failures(rows),
    }


def _costs(rows: pd.DataFrame) -> dict[str, float]:
    ended = rows[rows["stop"] != Stop.ERROR.value]
    means = {cost: _over(ended.dropna(subset=[cost]), cost) for cost in COSTS}
    line = {cost: clusters.estimate for cost, clusters in means.items()}
    line["zoom_rate"] = mean_over(ended["zooms"] > 0, ended["resolution"], ended["cluster"]).estimate
    for cost in WITH_INTERVAL:
        line[f"{cost}_low"], line[f"{cost}_high"] = ratio_interval(means[cost])
    for name, known in spent(ended).items():
        weight = 1 / known.groupby("resolution")["resolution"].transform("size").astype(float)
        each = Clusters.ratio(weight * known["spent"], weight * (known["correct"] == 1), known["cluster"])
        line[name] = each.estimate
        line[f"{name}_low"], line[f"{name}_high"] = fieller_interval(each)
    return line


def _over(rows: pd.DataFrame, column: str) -> Clusters:
    return mean_over(rows[column].astype(float), rows["resolution"], rows["cluster"])


def _macro_line(run: pd.DataFrame, whole: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The mean of the benchmarks' means; counts are totals."""
    rows = run[run["stop"].notna() & (run["by"] != UNANSWERABLE)]
    means = (question_means(rows, unscored=unscored) for unscored in (0.0, 1.0))
    lower, upper = (mean_estimate(benchmark_units(each), "correct") for each in means)
    averaged = (*COSTS, "zoom_rate")
    return {
        **{name: sum(line[name] for line in whole) for name in whole[0] if isinstance(whole[0][name], int)},
        **{name: float(np.mean([line[name] for line in whole])) for name in averaged},
        "acc": lower.value,
        "acc_low": lower.interval().within(0, 1).low,
        "acc_high": upper.interval().within(0, 1).high,
        "acc_upper": upper.value,
    }


def overall_lines(run: ReportRun, benchmark: str | None = None) -> pd.DataFrame:
    """A run's sweep over all categories, with its means, of one benchmark or of all."""
    tables = [each[each["category"] == OVERALL] for each in (run.sweep, run.means)]
    return with_means(*(each[each["benchmark"] == benchmark] if benchmark else each for each in tables))


def with_means(table: pd.DataFrame, means: pd.DataFrame) -> pd.DataFrame:
    """Lines by resolution, then each benchmark's mean where it has several of them; the mean of benchmarks at the end."""
    parts = []
    for name in dict.fromkeys([*table["benchmark"], *means["benchmark"]]):
        lines, mean = (each[each["benchmark"] == name] for each in (table, means))
        parts += [lines, mean] if lines["resolution"].nunique() != 1 else [lines]
    return pd.concat(parts, ignore_index=True) if parts else table
