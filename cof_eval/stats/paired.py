"""Two runs on the same questions: is the difference more than chance, how large is it, and what could be seen at all."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from .bootstrap import DRAWS, SEED, cluster_bootstrap
from .clusters import Clusters, Numbers
from .intervals import UNKNOWN, Interval

FINEST = 64
"""Differences that are multiples of 1/k for a k up to this are tested exactly (k repeats, for instance)."""
FLIPS = 20_000
"""Random sign flips where an exact test is out of reach."""


@dataclass(frozen=True, slots=True)
class Paired:
    """A paired comparison: ours minus theirs."""

    difference: float
    """Mean over the pairs; NaN without pairs."""
    interval: Interval
    """95%, paired cluster bootstrap."""
    p: float
    """Two-sided; McNemar's exact test where every cluster is one pair."""
    detectable: float
    """Smallest difference that so many pairs, as discordant as these, show with the power asked for."""


def compare_paired(differences: Clusters, *, alpha: float = 0.05, power: float = 0.8, draws: int = DRAWS) -> Paired:
    """Compare two runs by their differences per pair (-1, 0 or 1; fractions where repeats are averaged), by cluster."""
    found = cluster_bootstrap(differences, draws=draws) if len(differences) else None
    return Paired(
        differences.estimate,
        Interval(*found) if found else UNKNOWN,
        sign_flip_test(differences.sums),
        detectable_difference(differences, alpha=alpha, power=power),
    )


def sign_flip_test(differences: Sequence[float] | Numbers) -> float:
    """Two-sided p of a sum of differences, one a cluster, if each could as well have had the other sign.

    With one pair a cluster this is McNemar's exact test: the sign of each discordant pair is a coin. With several it is the same
    question about whole clusters, since what two runs swap in one image is not independent (Fisher's randomisation test).
    Exact by convolution, unless the differences have no common fraction; then by random flips, never below 1 / (flips + 1).
    """
    values = np.asarray(differences, dtype=float)
    values = values[np.abs(values) > 1e-12]
    if not len(values):
        return 1.0
    for parts in range(1, FINEST + 1):
        whole = np.rint(values * parts)
        if np.allclose(values * parts, whole, rtol=0, atol=1e-9):
            counts = np.bincount(np.abs(whole).astype(int))
            return _exact(tuple(counts.tolist()), abs(int(whole.sum())))
    return _by_random_flips(values)


@lru_cache(maxsize=4096)
def _exact(counts: tuple[int, ...], observed: int) -> float:
    """P(|sum| >= observed), where counts[k] differences of size k have a random sign each."""
    pmf: Numbers = np.ones(1)  # of the sum, from its least value in steps of one
    for size, count in enumerate(counts):
        if size and count:
            spread = np.zeros(2 * size * count + 1)
            spread[:: 2 * size] = _heads(count)
            pmf = np.convolve(pmf, spread).astype(np.float64)
    reach = (len(pmf) - 1) // 2
    tail = float(pmf[reach + observed :].sum())
    return min(1.0, 2 * tail) if observed else 1.0


@lru_cache(maxsize=512)
def _heads(coins: int) -> Numbers:
    """Probability of 0, 1, … heads of so many coins."""
    from scipy.stats import binom

    return np.asarray(binom.pmf(np.arange(coins + 1), coins, 0.5), dtype=np.float64)


def _by_random_flips(values: Numbers) -> float:
    random, observed = np.random.default_rng(SEED), abs(float(values.sum())) - 1e-9
    block, reached = max(1, 4_000_000 // len(values)), 0
    for start in range(0, FLIPS, block):
        signs = random.integers(0, 2, size=(min(block, FLIPS - start), len(values)), dtype=np.int8)
        reached += int((np.abs(2 * (signs @ values) - values.sum()) >= observed).sum())
    return (reached + 1) / (FLIPS + 1)


def detectable_difference(differences: Clusters, *, alpha: float = 0.05, power: float = 0.8) -> float:
    """Smallest mean difference that a test at `alpha` finds with `power`, were the runs as discordant as observed.

    (z(1 - alpha/2) + z(power)) times the standard error of no difference, which for single pairs is sqrt(discordant) / n (Connor
    1987, of first order). Never less than what an exact test needs at all: 6 clusters that all differ one way at alpha 0.05.

    Returns:
        A fraction; NaN without pairs.
    """
    n = float(differences.sizes.sum())
    if not n:
        return math.nan
    from scipy.stats import norm

    error = math.sqrt(float(differences.sums @ differences.sums)) / n
    least = math.ceil(1 - math.log2(alpha)) * n / len(differences)
    return float(max((norm.ppf(1 - alpha / 2) + norm.ppf(power)) * error, min(least, n) / n))


def holm(p: Sequence[float]) -> list[float]:
    """P values corrected for having looked at all of them (Holm 1979), in the order given; NaN stays and does not count."""
    from statsmodels.stats.multitest import multipletests

    corrected = np.array(p, dtype=np.float64)
    known = ~np.isnan(corrected)
    if known.any():
        corrected[known] = multipletests(corrected[known], method="holm")[1]
    return [float(value) for value in corrected]
