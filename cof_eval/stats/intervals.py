"""Intervals: Wilson and clustered Wilson for accuracy, Student's t over clusters for means, Fieller's for ratios of costs."""

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

    def within(self, low: float, high: float) -> Interval:
        """The part between two bounds that the true value cannot pass."""
        return Interval(min(max(self.low, low), high), max(min(self.high, high), low))


UNKNOWN = Interval(math.nan, math.nan)


def wilson(correct: float, n: float, level: float = 0.95) -> Interval:
    """Wilson's score interval for a fraction of `correct` in `n` independent answers, both bounds within 0–1.

    No answers say nothing: (0, 1).

    Raises:
        ValueError: unless 0 <= correct <= n and 0 < level < 1.
    """
    check_level(level)
    if not 0 <= correct <= n:
        raise ValueError(f"{correct} correct of {n} answers; expected 0 <= correct <= n")
    return _score(correct / n, n, _normal(level)) if n else Interval(0.0, 1.0)


def accuracy_interval(clusters: Clusters, level: float = 0.95, *, answers: float | None = None) -> Interval:
    """Interval of a mean of values within 0–1.

    Wilson's if every cluster is one right or wrong row, else clustered Wilson (`clustered_wilson`). One cluster says no more
    than one row.

    Args:
        clusters: sums of values, and how many values they are of.
        level: of confidence.
        answers: how many right or wrong answers the values are means of, where a value is a mean over repeats; None: one each.

    Raises:
        ValueError: unless 0 < level < 1.
    """
    check_level(level)
    m = len(clusters)
    if m == 0:
        return Interval(0.0, 1.0)
    if m == 1:
        return wilson(min(1.0, clusters.estimate), 1, level)
    if clusters.single and np.isin(clusters.sums, (0, 1)).all():
        return wilson(int(clusters.sums.sum()), m, level)
    return clustered_wilson(clusters, level, answers=answers)


def clustered_wilson(clusters: Clusters, level: float = 0.95, *, answers: float | None = None) -> Interval:
    """Wilson's interval with the effective number of independent answers, and Student's t with m - 1 degrees of freedom.

    The effective number is p(1 - p) over the linearised variance of p, at most the number of answers; m where clusters do not
    vary (Korn & Graubard 1998; compared with others by Dean & Pagano 2015).

    Args:
        clusters: at least two.
        level: of confidence.
        answers: see `accuracy_interval`.
    """
    m, p = len(clusters), min(1.0, max(0.0, clusters.estimate))
    return _score(p, effective_answers(clusters, answers), student(level, m - 1))


def effective_answers(clusters: Clusters, answers: float | None = None) -> float:
    """How many independent answers would leave a mean of values within 0–1 as uncertain as these clusters do."""
    p, variance = clusters.estimate, clusters.error**2
    most = float(clusters.sizes.sum()) if answers is None else answers
    return min(most, p * (1 - p) / variance) if variance > 1e-18 else float(len(clusters))


def bounded_ratio_interval(clusters: Clusters, level: float = 0.95, *, draws: int = DRAWS) -> Interval:
    """Interval of a ratio within 0–1 that is no mean of rows, such as F1: the cluster bootstrap's.

    If clusters do not vary or are too few, a bootstrap says nothing. Then it is Wilson's with clusters as rows.
    """
    check_level(level)
    m = len(clusters)
    found = cluster_bootstrap(clusters, level, draws=draws) if m else (0.0, 1.0)
    return Interval(*found) if found else wilson(min(1.0, clusters.estimate) * m, m, level)


def mean_interval(values: Sequence[float] | Any, labels: Sequence[Any] | Any | None = None, level: float = 0.95) -> Interval:
    """Student's t interval for a mean of rows, over the clusters that `labels` name; NaN with fewer than two clusters."""
    return ratio_interval(Clusters.of(values, labels), level)


def ratio_interval(clusters: Clusters, level: float = 0.95) -> Interval:
    """Student's t interval, with m - 1 degrees of freedom, for a ratio of two totals over m clusters; NaN where it has none.

    With one row a cluster it is the plain t interval of a mean.

    Raises:
        ValueError: unless 0 < level < 1.
    """
    check_level(level)
    error = clusters.error
    if math.isnan(error):
        return UNKNOWN
    half = student(level, len(clusters) - 1) * error
    return Interval(clusters.estimate - half, clusters.estimate + half)


def fieller_interval(clusters: Clusters, level: float = 0.95) -> Interval:
    """Fieller's interval for a ratio whose denominator is itself uncertain, such as tokens per correct answer.

    All ratios that a t test with m - 1 degrees of freedom does not reject (Fieller 1954). It is never below 0 for totals that
    cannot be. NaN where it is unbounded: the denominator does not differ from 0.
    """
    check_level(level)
    m = len(clusters)
    if m < 2 or not clusters.sizes.any():
        return UNKNOWN
    above, below = float(clusters.sums.sum()), float(clusters.sizes.sum())
    (v_above, v_both), (_, v_below) = np.cov(clusters.sums, clusters.sizes) * m * student(level, m - 1) ** 2
    a, b, c = below**2 - v_below, above * below - v_both, above**2 - v_above
    if not a > 0 or math.isnan(b):
        return UNKNOWN
    root = math.sqrt(max(0.0, b * b - a * c))
    low, high = float((b - root) / a), float((b + root) / a)
    return Interval(max(0.0, low) if (clusters.sums >= 0).all() and below > 0 else low, high)


def student(level: float, degrees: float) -> float:
    """How many standard errors an interval of Student's t reaches to each side."""
    from scipy.special import stdtrit

    return float(stdtrit(degrees, (1 + level) / 2))


def check_level(level: float) -> None:
    """Raises `ValueError` unless a confidence level is a fraction."""
    if not 0 < level < 1:
        raise ValueError(f"a confidence level of {level}; expected a fraction between 0 and 1, such as 0.95")


def _normal(level: float) -> float:
    from scipy.special import ndtri

    return float(ndtri((1 + level) / 2))


def _score(p: float, n: float, reach: float) -> Interval:
    """Wilson's score interval of a fraction p of n answers, `reach` standard errors to each side."""
    square = reach * reach / n
    centre, half = p + square / 2, math.sqrt(p * (1 - p) * square + square * square / 4)
    return Interval(0.0 if p == 0 else (centre - half) / (1 + square), 1.0 if p == 1 else (centre + half) / (1 + square))
