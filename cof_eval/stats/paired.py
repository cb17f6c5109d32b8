"""Two runs on the same questions: how large is the difference, is it more than chance, and what could be seen at all."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .clusters import Clusters
from .intervals import UNKNOWN, Interval, student
from .sign_flips import FlipTest, flip_test_name, sign_flip_test


@dataclass(frozen=True, slots=True)
class Paired:
    """A paired comparison: ours minus theirs."""

    difference: float
    """Mean over the pairs; NaN without pairs."""
    interval: Interval
    """95%, `paired_interval`."""
    p: float
    """Two-sided, by sign flips of whole clusters."""
    test: FlipTest
    """How `p` was found."""
    detectable: float
    """Smallest difference that so many pairs, as discordant as these, show with the power asked for."""


def compare_paired(differences: Clusters, *, alpha: float = 0.05, power: float = 0.8) -> Paired:
    """Compare two runs by their differences per pair (-1, 0 or 1; fractions where repeats are averaged), by cluster."""
    return Paired(
        differences.estimate,
        paired_interval(differences),
        sign_flip_test(differences.sums),
        flip_test_name(differences),
        detectable_difference(differences, alpha=alpha, power=power),
    )


def paired_interval(differences: Clusters, level: float = 0.95) -> Interval:
    """Interval of a mean difference between two runs: Student's t after two made-up clusters that differ by +c and -c.

    Bonett & Price (2012) add two discordant pairs; for clusters, c is the typical size of a difference (`step`). So the interval
    has a width where no pair differs, and covers where few do. It is a little nearer to 0 than the plain difference.

    Returns:
        Within -1 and 1; NaN with fewer than two clusters.
    """
    m = len(differences)
    if m < 2:
        return UNKNOWN
    wide = with_two_more(differences)
    half = student(level, m - 1) * wide.error
    return Interval(wide.estimate - half, wide.estimate + half).within(-1.0, 1.0)


def with_two_more(differences: Clusters) -> Clusters:
    """The clusters, and two of mean size that differ by `step` in both directions."""
    c, size = step(differences), float(differences.sizes.mean())
    return Clusters(np.append(differences.sums, [c, -c]), np.append(differences.sizes, [size, size]))


def step(differences: Clusters) -> float:
    """The typical size of a cluster's difference: the root mean square of those that are not 0; 1 if all are."""
    values = differences.sums[np.abs(differences.sums) > 1e-12]
    return math.sqrt(float(values @ values) / len(values)) if len(values) else 1.0


def bounds_interval(low: Clusters, high: Clusters) -> Interval:
    """Interval that holds whatever unscored pairs are worth: from the worst case's lower end to the best case's upper end."""
    return Interval(paired_interval(low).low, paired_interval(high).high)


def detectable_difference(differences: Clusters, *, alpha: float = 0.05, power: float = 0.8) -> float:
    """Smallest mean difference that a test at `alpha` finds with `power`, were the runs as discordant as observed.

    (z(1 - alpha/2) + z(power)) times the standard error of no difference, which for single pairs is sqrt(discordant) / n (Connor
    1987, of first order). Never less than what an exact test needs at all: k clusters that differ one way, where k = 6 at alpha
    0.05, and their number is Poisson. So the floor is the mean at which k of them come up with `power`, times `step`.

    Returns:
        A fraction; infinite where there are too few clusters to find anything, NaN without pairs.
    """
    n = float(differences.sizes.sum())
    if not n:
        return math.nan
    from scipy.special import gammaincinv, ndtri

    needed = math.ceil(1 - math.log2(alpha))
    error = math.sqrt(float(differences.sums @ differences.sums)) / n
    floor = step(differences) * float(gammaincinv(needed, power)) / n
    found = max(float(ndtri(1 - alpha / 2) + ndtri(power)) * error, floor)
    return found if len(differences) >= needed and found <= 1 else math.inf
