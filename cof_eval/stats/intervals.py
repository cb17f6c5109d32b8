"""Intervals: Wilson or cluster bootstrap for accuracy, Student's t over clusters for means and ratios of costs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from .bootstrap import DRAWS, cluster_bootstrap
from .clusters import Clusters


class Interval(NamedTuple):
    """A confidence interval; NaN on both sides where the data do not give one."""

    low: float
    high: float


UNKNOWN = Interval(math.nan, math.nan)


def wilson(correct: float, n: float, level: float = 0.95) -> Interval:
    """Wilson's score interval for a fraction of `correct` in `n` independent answers, both bounds within 0–1.

    No answers say nothing: (0, 1).

    Raises:
        ValueError: unless 0 <= correct <= n and 0 < level < 1.
    """
    _check_level(level)
    if not 0 <= correct <= n:
        raise ValueError(f"{correct} correct of {n} answers; expected 0 <= correct <= n")
    if n == 0:
        return Interval(0.0, 1.0)
    from statsmodels.stats.proportion import proportion_confint

    low, high = proportion_confint(correct, n, alpha=1 - level, method="wilson")
    return Interval(max(0.0, float(low)), min(1.0, float(high)))


def accuracy_interval(clusters: Clusters, level: float = 0.95, *, draws: int = DRAWS) -> Interval:
    """Interval of a mean of values within 0–1.

    Wilson where every cluster is one right or wrong row. Else the cluster bootstrap; where clusters do not vary (all right, for
    one), or are too few to vary, drawing them again says nothing, and it is Wilson's with clusters for rows, which is as wide
    as if the rows of an image were always right or wrong together.
    """
    _check_level(level)
    m = len(clusters)
    if m == 0:
        return Interval(0.0, 1.0)
    if clusters.single and np.isin(clusters.sums, (0, 1)).all():
        return wilson(int(clusters.sums.sum()), m, level)
    found = cluster_bootstrap(clusters, level, draws=draws)
    return Interval(*found) if found else wilson(min(1.0, clusters.estimate) * m, m, level)


def mean_interval(values: Sequence[float] | Any, labels: Sequence[Any] | Any | None = None, level: float = 0.95) -> Interval:
    """Student's t interval for a mean of rows, over the clusters that `labels` name; NaN with fewer than two clusters."""
    return ratio_interval(Clusters.of(values, labels), level)


def ratio_interval(clusters: Clusters, level: float = 0.95) -> Interval:
    """Student's t interval, with m - 1 degrees of freedom, for a ratio of two totals over m clusters; NaN where it has none.

    The variance is the linearised one of survey sampling (Cochran 1977, estimation of a ratio): the residuals of each cluster's sum. With
    one row a cluster it is the plain t interval of a mean.

    Raises:
        ValueError: unless 0 < level < 1.
    """
    _check_level(level)
    m, size = len(clusters), float(clusters.sizes.sum())
    if m < 2 or size == 0:
        return UNKNOWN
    from scipy.stats import t

    residuals = clusters.sums - clusters.estimate * clusters.sizes
    error = math.sqrt(m / (m - 1) * float(residuals @ residuals)) / size
    half = float(t.ppf((1 + level) / 2, m - 1)) * error
    return Interval(clusters.estimate - half, clusters.estimate + half)


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise ValueError(f"a confidence level of {level}; expected a share between 0 and 1, such as 0.95")
