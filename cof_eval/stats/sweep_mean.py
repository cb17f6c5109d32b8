"""Means over resolutions and over benchmarks: each resolution counts once, and images, not rows, are what was drawn.

Rows of one image at several resolutions are not independent; taken as such, an interval of 95% covers about two thirds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .clusters import Clusters, codes
from .intervals import UNKNOWN, Interval, student

_DECIMALS = 12
"""Cluster totals are rounded to so many, so that what is a whole number stays one."""


def mean_over(
    values: Sequence[float] | Any,
    strata: Sequence[Any] | Any,
    labels: Sequence[Any] | Any,
    weights: Mapping[str, float] | None = None,
) -> Clusters:
    """Clusters whose `estimate` is the weighted mean of the strata's means, and whose `error` is that of such a mean.

    In a complete sweep, a cluster's sum is the sum over its questions of their means over resolutions. Where rows are missing, each row
    weighs as much as makes its resolution count once, and is measured against its own resolution's mean. Rows are never pooled.

    Args:
        values: one a row.
        strata: the row's resolution.
        labels: the row's cluster.
        weights: of each stratum, with the sum 1; None: all equal.
    """
    numbers = np.asarray(values, dtype=float)
    if not len(numbers):
        return Clusters.of([])
    index, kinds = codes(strata)
    counts = np.bincount(index)
    each = np.array([weights[str(kind)] if weights else 1 / len(kinds) for kind in kinds])
    means = np.bincount(index, weights=numbers) / counts
    mean = float(each @ means)
    row = (each * len(numbers) / (counts * len(kinds)))[index]
    totals = Clusters.ratio(row * (numbers - means[index] + mean), row, labels)
    return Clusters(np.round(totals.sums, _DECIMALS), np.round(totals.sizes, _DECIMALS))


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean with its standard error and the error's degrees of freedom."""

    value: float
    error: float
    degrees: float

    @classmethod
    def of(cls, clusters: Clusters) -> Estimate:
        """The mean over clusters."""
        return cls(clusters.estimate, clusters.error, len(clusters) - 1)

    def interval(self, level: float = 0.95) -> Interval:
        """Student's t; NaN without an error."""
        if math.isnan(self.error) or not self.degrees > 0:
            return UNKNOWN
        half = student(level, self.degrees) * self.error
        return Interval(self.value - half, self.value + half)


def combine(parts: Sequence[Estimate], weights: Sequence[float] | None = None) -> Estimate:
    """The weighted mean of independent means, with Satterthwaite's degrees of freedom.

    Args:
        parts: one a benchmark.
        weights: with the sum 1; None: all equal.
    """
    shares = weights or [1 / len(parts)] * len(parts)
    value = sum(share * part.value for share, part in zip(shares, parts, strict=True))
    variances = [(share * part.error) ** 2 for share, part in zip(shares, parts, strict=True)]
    total = sum(variances)
    spread = sum(variance**2 / part.degrees for variance, part in zip(variances, parts, strict=True) if part.degrees > 0)
    degrees = total**2 / spread if spread else float(min(part.degrees for part in parts))
    return Estimate(value, math.sqrt(total), degrees)
