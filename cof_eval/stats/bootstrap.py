"""The cluster bootstrap: whole clusters are drawn again, so that rows of one image stay together.

Clusters with equal totals are interchangeable, so a draw of m clusters is one multinomial draw over the kinds of clusters: a
benchmark of 3,000 images with four rows each has five kinds, and ten thousand draws of it take milliseconds.
"""

from __future__ import annotations

import math

import numpy as np

from .clusters import Clusters, Numbers

DRAWS = 10_000
SEED = 20_251
"""Fixed, so that the same run has the same report."""
BLOCK = 4_000_000
"""Most numbers of one block of draws, which bounds the memory."""


def cluster_bootstrap(
    clusters: Clusters, level: float = 0.95, *, draws: int = DRAWS, seed: int = SEED
) -> tuple[float, float] | None:
    """Expanded percentile interval of a mean over rows, clusters drawn with replacement; None where the clusters do not vary.

    Percentiles are taken at the level of Student's t with m - 1 degrees of freedom. They are widened by sqrt(m / (m - 1))
    (see Hesterberg 2015, "What teachers should know about the bootstrap"). Plain percentiles of m clusters are too narrow
    by about that much. BCa corrects a skew that means of bounded values hardly have, at the price of the jackknife. Two
    clusters give the range of what can be drawn.
    """
    kinds, counts = np.unique(np.stack([clusters.sums, clusters.sizes]), axis=1, return_counts=True)
    m = len(clusters)
    if m < 2 or np.allclose(kinds[0], clusters.estimate * kinds[1], rtol=0, atol=1e-12):
        return None
    means = _draw_means(kinds, counts / m, m, draws, np.random.default_rng(seed))
    tail = _expanded_tail(m, level)
    low, high = np.quantile(means, [tail, 1 - tail])
    return float(low), float(high)


def _draw_means(kinds: Numbers, shares: Numbers, m: int, draws: int, random: np.random.Generator) -> Numbers:
    block = max(1, BLOCK // len(shares))
    parts = []
    for start in range(0, draws, block):
        totals = random.multinomial(m, shares, size=min(block, draws - start)) @ kinds.T
        parts.append(totals[:, 0] / totals[:, 1])
    return np.concatenate(parts)


def _expanded_tail(m: int, level: float) -> float:
    from scipy.special import ndtr
    from scipy.stats import t

    return float(ndtr(-math.sqrt(m / (m - 1)) * t.ppf((1 + level) / 2, m - 1)))
