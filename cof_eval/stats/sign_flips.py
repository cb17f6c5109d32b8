"""Is a difference more than chance: tests that flip the sign of whole clusters, one at a time or several at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import StrEnum
from functools import lru_cache

import numpy as np

from .bootstrap import SEED
from .clusters import Clusters, Numbers

FINEST = 64
"""Differences that are multiples of 1/k for a k up to this are tested exactly (k repeats, for instance)."""
FLIPS = 20_000
"""Random sign flips where an exact test is out of reach."""
JOINT_FLIPS = 10_000
"""Random flips of the joint test."""
ALL_FLIPS_UP_TO = 14
"""Clusters up to which the joint test takes every flip."""
_NOTHING = 1e-9
_BLOCK = 4_000_000
"""Most signs that are held at once."""


class FlipTest(StrEnum):
    """How a p value was found."""

    MCNEMAR = "McNemar exact"
    """One pair a cluster, each -1, 0 or 1."""
    EXACT = "exact sign flips of images"
    RANDOM = "random sign flips of images"


def sign_flip_test(differences: Sequence[float] | Numbers) -> float:
    """Two-sided p of a sum of differences, one a cluster, if each could as well have had the other sign.

    With one pair a cluster this is McNemar's exact test: the sign of each discordant pair is a coin. With several it is the same
    question about whole clusters, since what two runs swap in one image is not independent (Fisher's randomisation test).
    Exact by convolution, unless the differences have no common fraction; then by random flips, never below 1 / (flips + 1).
    """
    values = _nonzero(differences)
    if not len(values):
        return 1.0
    whole = _whole_numbers(values)
    if whole is None:
        return _by_random_flips(values)
    counts = np.bincount(np.abs(whole).astype(int))
    return _exact(tuple(counts.tolist()), abs(int(whole.sum())))


def flip_test_name(differences: Clusters) -> FlipTest:
    """Which test `sign_flip_test` is for these clusters."""
    values = _nonzero(differences.sums)
    if _whole_numbers(values) is None:
        return FlipTest.RANDOM
    return FlipTest.MCNEMAR if differences.single and np.isin(np.abs(values), (1,)).all() else FlipTest.EXACT


def max_t(differences: Numbers, *, flips: int = JOINT_FLIPS) -> list[float]:
    """P values of several hypotheses about the same clusters, corrected together (Westfall & Young 1993, step-down max-T).

    The signs of whole clusters are flipped for all hypotheses at once, so that hypotheses that say nearly the same cost
    nearly nothing. All flips are taken where at most 14 clusters differ at all, else so many of fixed seed.

    Args:
        differences: sums by cluster and hypothesis, shape (clusters, hypotheses).
        flips: random ones.

    Returns:
        One p for each hypothesis, in order; 1 for one without any difference.
    """
    moved = differences[np.abs(differences).max(1, initial=0) > 1e-12]
    scale = np.sqrt((moved**2).sum(0))
    scaled = moved / np.where(scale > _NOTHING, scale, 1)
    observed, flipped = np.abs(scaled.sum(0)), np.abs(_flipped_sums(scaled, flips))
    order = np.argsort(-observed, kind="stable")
    found, least = [1.0] * differences.shape[1], 0.0
    most = np.maximum.accumulate(flipped[:, order[::-1]], axis=1)[:, ::-1]  # over the hypotheses from each rank on
    for rank, hypothesis in enumerate(order):
        reached = int((most[:, rank] >= observed[hypothesis] - _NOTHING).sum())
        least = max(least, (1 + reached) / (len(flipped) + 1))
        found[hypothesis] = least
    return found


def holm(p: Sequence[float]) -> list[float]:
    """P values corrected for having looked at all of them (Holm 1979), in the order given; NaN stays and does not count.

    Equal to statsmodels' `multipletests`, which collects garbage in every call: 35 ms, thousands of times in a simulation.
    """
    known = sorted((value, i) for i, value in enumerate(p) if not math.isnan(value))
    corrected, least = [math.nan] * len(p), 0.0
    for rank, (value, i) in enumerate(known):
        least = max(least, min(1.0, (len(known) - rank) * value))
        corrected[i] = least
    return corrected


def _nonzero(differences: Sequence[float] | Numbers) -> Numbers:
    values = np.asarray(differences, dtype=float)
    return np.asarray(values[np.abs(values) > 1e-12], dtype=np.float64)


def _whole_numbers(values: Numbers) -> Numbers | None:
    """The values as multiples of their common fraction; None if they have none that is not too fine."""
    for parts in range(1, FINEST + 1):
        whole = np.rint(values * parts)
        if np.allclose(values * parts, whole, rtol=0, atol=_NOTHING):
            return whole.astype(np.float64)
    return None


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
    block, reached = max(1, _BLOCK // len(values)), 0
    for start in range(0, FLIPS, block):
        signs = random.integers(0, 2, size=(min(block, FLIPS - start), len(values)), dtype=np.int8)
        reached += int((np.abs(2 * (signs @ values) - values.sum()) >= observed).sum())
    return (reached + 1) / (FLIPS + 1)


def _flipped_sums(scaled: Numbers, flips: int) -> Numbers:
    """Sums over clusters with flipped signs, shape (flips, hypotheses): of all flips but the identity, or of random ones."""
    m = len(scaled)
    if m <= ALL_FLIPS_UP_TO:
        return np.asarray(_all_flips(m) @ scaled, dtype=np.float64)
    random, block = np.random.default_rng(SEED), max(1, _BLOCK // m)
    signs = (random.integers(0, 2, size=(min(block, flips - start), m), dtype=np.int8) for start in range(0, flips, block))
    return np.concatenate([scaled.sum(0) - 2 * (each @ scaled) for each in signs])


@lru_cache(maxsize=ALL_FLIPS_UP_TO + 1)
def _all_flips(m: int) -> Numbers:
    bits = (np.arange(1, 2**m)[:, None] >> np.arange(m)) & 1
    return np.asarray(1.0 - 2.0 * bits, dtype=np.float64)
