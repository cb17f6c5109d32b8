"""Simulations of what the statistics promise. Every design stands in its test: truth, n, clusters, draws and repetitions."""

import numpy as np
import pytest

from cof_eval.stats import Clusters, accuracy_interval, cluster_bootstrap, detectable_difference, holm, sign_flip_test, wilson

pytestmark = pytest.mark.slow

REPETITIONS = 2_000
"""The share of 2,000 intervals that cover is known to within ±1 point (two standard errors)."""
DRAWS = 1_000


def test_wilson_covers() -> None:
    """n independent answers, each right with probability p: coverage summed over all outcomes, no simulation needed."""
    from scipy.stats import binom

    for n in (60, 191, 800):
        for p in np.linspace(0.2, 0.8, 25):
            inside = [low <= p <= high for low, high in (wilson(k, n) for k in range(n + 1))]
            assert 0.93 <= binom.pmf(np.flatnonzero(inside), n, p).sum() <= 0.97, (n, p)


@pytest.mark.parametrize(("m", "k"), [(200, 4), (30, 6)])
@pytest.mark.parametrize("p", [0.5, 0.85])
@pytest.mark.parametrize("correlation", [0.1, 0.5])
def test_clustered_accuracy_covers(m: int, k: int, p: float, correlation: float) -> None:
    """m images with k questions each; an image's questions are right with a probability of its own, Beta with mean p, so that
    two questions of one image correlate by `correlation` (beta-binomial)."""
    random = np.random.default_rng([m, k, int(100 * p), int(10 * correlation)])
    spread = (1 - correlation) / correlation
    own = random.beta(p * spread, (1 - p) * spread, (REPETITIONS, m))
    right = random.binomial(k, own).astype(float)
    intervals = [accuracy_interval(Clusters(each, np.full(m, float(k))), draws=DRAWS) for each in right]
    assert 0.93 <= np.mean([low <= p <= high for low, high in intervals]) <= 0.97


def test_wilson_would_not_cover_where_images_are_shared() -> None:
    """50 images with 4 questions that correlate by 0.5, p = 0.7: what taking rows as independent would claim."""
    random = np.random.default_rng(7)
    right = random.binomial(4, random.beta(0.7, 0.3, (REPETITIONS, 50))).sum(1)
    assert np.mean([low <= 0.7 <= high for low, high in (wilson(int(each), 200) for each in right)]) < 0.85


@pytest.mark.parametrize(("n", "k"), [(191, 1), (200, 4)])
def test_paired_differences_cover(n: int, k: int) -> None:
    """n images with k questions; ours alone is right with 0.15, theirs alone with 0.08, one image's pairs alike with 0.4."""
    random = np.random.default_rng([n, k])
    kinds = np.array([1.0, -1.0, 0.0])
    shared = random.choice(kinds, (REPETITIONS, n, 1), p=[0.15, 0.08, 0.77])
    each = random.choice(kinds, (REPETITIONS, n, k), p=[0.15, 0.08, 0.77])
    sums = np.where(random.random((REPETITIONS, n, k)) < 0.4, shared, each).sum(2)
    intervals = [cluster_bootstrap(Clusters(one, np.full(n, float(k))), draws=DRAWS) for one in sums]
    assert 0.93 <= np.mean([low <= 0.07 <= high for low, high in intervals]) <= 0.97


@pytest.mark.parametrize("k", [1, 4])
def test_false_positives_over_eight_resolutions_are_rare(k: int) -> None:
    """Two equal models, 191 images with k questions, eight resolutions: whether a question is answered differently at one
    resolution is copied to the next with 0.7, and within an image with 0.5; 4,000 comparisons, one Holm correction each."""
    random, experiments = np.random.default_rng(k), 4_000
    wrong = 0
    for _ in range(experiments // 500):
        sums = _null_differences(random, 500, k)
        for one in sums:
            wrong += min(holm([sign_flip_test(resolution) for resolution in one])) <= 0.05
    assert wrong / experiments <= 0.055


def _null_differences(random: np.random.Generator, experiments: int, k: int) -> np.ndarray:
    """Sums of differences by cluster, shape (experiments, 8, 191), whose sign is a coin."""
    shape = (experiments, 191)
    image = random.choice([1.0, -1.0, 0.0], shape, p=[0.1, 0.1, 0.8])
    found, before = [], None
    for _ in range(8):
        fresh = random.choice([1.0, -1.0, 0.0], (*shape, k), p=[0.1, 0.1, 0.8])
        fresh = np.where(random.random((*shape, k)) < 0.5, image[..., None], fresh)
        before = fresh if before is None else np.where(random.random((*shape, k)) < 0.7, before, fresh)
        found.append(before.sum(2))
    return np.stack(found, 1)


def test_the_detectable_difference_is_found_four_times_in_five() -> None:
    """400 questions of which a fifth is answered differently, a true difference of what is called detectable: share of 3,000
    runs whose exact test finds it. The exact test is a little less powerful than the formula, which it is known for."""
    random, n, discordance = np.random.default_rng(0), 400, 0.2
    half = int(n * discordance / 2)
    delta = detectable_difference(Clusters.of([1.0] * half + [-1.0] * half + [0.0] * (n - 2 * half)))
    shares = [(discordance + delta) / 2, (discordance - delta) / 2, 1 - discordance]
    found = [sign_flip_test([1.0] * wins + [-1.0] * losses) <= 0.05 for wins, losses, _ in random.multinomial(n, shares, 3_000)]
    assert 0.75 <= np.mean(found) <= 0.85
