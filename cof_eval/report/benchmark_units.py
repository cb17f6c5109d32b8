"""Means over benchmarks and their resolutions: which benchmarks are independent of each other, and how their means combine."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..stats import Clusters, Estimate, Interval, combine, mean_over, with_two_more

SAME_QUESTIONS = {"hrbench8k": "hrbench4k"}
"""Benchmarks that ask another one's questions about other images: their clusters are joined by question."""


@dataclass(frozen=True, slots=True, eq=False)
class Unit:
    """Benchmarks that are independent of all others: one, or those that ask the same questions."""

    table: pd.DataFrame
    """A row per question and resolution, with `benchmark`, `resolution`, `cluster` and what is averaged."""
    share: float
    """Of the mean over benchmarks."""

    def where(self, kept: pd.Series) -> Unit:
        """The unit with a part of its rows."""
        return Unit(self.table[kept.reindex(self.table.index)], self.share)

    def clusters(self, column: str) -> Clusters:
        """The mean of a column: each benchmark once, and in it each resolution once."""
        cells = self.table[["benchmark", "resolution"]].drop_duplicates()
        resolutions = cells.groupby("benchmark").size()
        weights = {
            f"{benchmark}\n{name}": 1 / (len(resolutions) * resolutions[benchmark])
            for benchmark, name in cells.itertuples(index=False, name=None)
        }
        strata = self.table["benchmark"] + "\n" + self.table["resolution"]
        return mean_over(self.table[column], strata, self.table["cluster"], weights)


def benchmark_units(table: pd.DataFrame) -> list[Unit]:
    """A table of questions by benchmarks that are independent of each other."""
    benchmarks, found = table["benchmark"].nunique(), []
    for _, part in table.groupby(table["benchmark"].replace(SAME_QUESTIONS), sort=False):
        several = part["benchmark"].nunique()
        if several > 1:  # a cluster is named by its first question, which is the same in both
            part = part.assign(cluster=part.groupby(["benchmark", "cluster"])["question_id"].transform("min"))
        found.append(Unit(part, several / benchmarks))
    return found


def mean_estimate(units: Sequence[Unit], column: str) -> Estimate:
    """The mean over benchmarks with its error."""
    return combine([Estimate.of(unit.clusters(column)) for unit in units], [unit.share for unit in units])


def mean_value(units: Sequence[Unit], column: str) -> float:
    """The mean over benchmarks; NaN if one of them has no row."""
    return sum(unit.share * unit.clusters(column).estimate for unit in units) if units else math.nan


def difference_interval(units: Sequence[Unit], column: str) -> Interval:
    """Interval of a mean difference, as `stats.paired_interval` has it for one benchmark; NaN if a unit says nothing."""
    if any(len(unit.table) == 0 for unit in units):
        return Interval(math.nan, math.nan)
    clusters = [unit.clusters(column) for unit in units]
    parts = [Estimate(wide.estimate, wide.error, len(each) - 1) for each in clusters for wide in [with_two_more(each)]]
    return combine(parts, [unit.share for unit in units]).interval().within(-1, 1)


def joined(units: Sequence[Unit], column: str) -> Clusters:
    """The clusters of all units, each unit with its share: their estimate is the mean over benchmarks."""
    clusters = [unit.clusters(column) for unit in units]
    if len(clusters) == 1:
        return clusters[0]
    shares = [unit.share / float(each.sizes.sum()) if len(each) else 0.0 for unit, each in zip(units, clusters, strict=True)]
    return Clusters(
        np.concatenate([share * each.sums for share, each in zip(shares, clusters, strict=True)]),
        np.concatenate([share * each.sizes for share, each in zip(shares, clusters, strict=True)]),
    )
