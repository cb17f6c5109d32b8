"""Simulations of what the statistics promise. Every design stands in its test: truth, n, clusters, draws and repetitions.

Intervals are computed for all repetitions at once where that is the same arithmetic; `test_vectors.py` holds the arithmetic itself.
"""

import numpy as np
import pytest

from cof_eval.stats import (
    Answers,
    Clusters,
    accuracy_interval,
    bounded_ratio_interval,
    detectable_difference,
    fieller_interval,
    holm,
    max_t,
    mean_over,
    need_correlation,
    paired_interval,
    sign_flip_test,
    wilson,
)

pytestmark = pytest.mark.slow

REPETITIONS = 2_000
"""The fraction of 2,000 intervals that cover is known to within ±1 point (two standard errors)."""
DRAWS = 500


def coverage(intervals, truth: float) -> float:
    return float(np.mean([low <= truth <= high for low, high in intervals]))


def test_wilson_covers() -> None:
    """n independent answers, each right with probability p: coverage summed over all outcomes, no simulation needed."""
    from scipy.stats import binom

    for n in (60, 191, 800):
        for p in np.linspace(0.2, 0.8, 25):
            inside = [low <= p <= high for low, high in (wilson(k, n) for k in range(n + 1))]
            assert 0.93 <= binom.pmf(np.flatnonzero(inside), n, p).sum() <= 0.97, (n, p)


def test_wilson_covers_at_the_edges_too() -> None:
    """191 answers that are right with .90 to .995: never under 92%."""
    from scipy.stats import binom

    for p in np.linspace(0.9, 0.995, 20):
        inside = [low <= p <= high for low, high in (wilson(k, 191) for k in range(192))]
        assert binom.pmf(np.flatnonzero(inside), 191, p).sum() >= 0.92, p


def beta_binomial(random: np.random.Generator, sizes: np.ndarray, p: float, correlation: float) -> np.ndarray:
    """Right answers by image; two questions of one image correlate by `correlation`. Shape (REPETITIONS, images)."""
    spread = (1 - correlation) / correlation
    own = random.beta(p * spread, (1 - p) * spread, (REPETITIONS, len(sizes)))
    return random.binomial(sizes, own).astype(float)


@pytest.mark.parametrize(
    ("m", "sizes"),
    [(200, [4]), (30, [6]), (191, [8]), (160, [1, 2, 2, 3, 5])],
    ids=["hrbench", "custom", "repeats", "treebench"],
)
@pytest.mark.parametrize("p", [0.5, 0.85, 0.95])
@pytest.mark.parametrize("correlation", [0.1, 0.8])
def test_clustered_accuracy_covers(m: int, sizes: list[int], p: float, correlation: float) -> None:
    """m images with so many questions each (or repeats of one), answers of an image correlated (beta-binomial).

    With p = 0.95, 30 images are too few and 160 unequal ones just enough.
    """
    random = np.random.default_rng([m, len(sizes), int(100 * p), int(10 * correlation)])
    each = np.resize(np.array(sizes, float), m)
    right = beta_binomial(random, each.astype(int), p, correlation)
    found = coverage([accuracy_interval(Clusters(one, each)) for one in right], p)
    assert (0.93 if p < 0.95 else 0.90 if m == 30 else 0.92) <= found <= 0.97, found


def test_wilson_would_not_cover_where_images_are_shared() -> None:
    """50 images with 4 questions that correlate by 0.5, p = 0.7: what taking rows as independent would claim."""
    random = np.random.default_rng(7)
    right = random.binomial(4, random.beta(0.7, 0.3, (REPETITIONS, 50))).sum(1)
    assert coverage([wilson(int(each), 200) for each in right], 0.7) < 0.85


def answered(random: np.random.Generator, m: int, resolutions: int, p: float) -> np.ndarray:
    """m images, one question each, right at each resolution by a threshold of its own: strongly alike over resolutions.

    Harder at the first resolutions; the mean over them is p. Shape (REPETITIONS, m, resolutions).
    """
    levels = p + np.linspace(-0.15, 0.15, resolutions)
    shared = random.random((REPETITIONS, m, 1))
    fresh = random.random((REPETITIONS, m, resolutions))
    return np.where(random.random((REPETITIONS, m, resolutions)) < 0.8, shared, fresh) < levels


@pytest.mark.parametrize(("m", "p"), [(191, 0.7), (30, 0.7), (191, 0.84)])
def test_means_over_eight_resolutions_cover_and_rows_would_not(m: int, p: float) -> None:
    """One question an image, equal at neighbouring resolutions with 0.8."""
    random = np.random.default_rng([m, int(100 * p)])
    right = answered(random, m, 8, p)
    data = [Clusters(one, np.ones(m)) for one in right.mean(2)]
    assert 0.93 <= coverage([accuracy_interval(one, answers=8 * m) for one in data], p) <= 0.97
    assert coverage([wilson(int(each), 8 * m) for each in right.sum((1, 2))], p) < 0.75


def test_means_over_resolutions_cover_while_the_largest_are_pending() -> None:
    """191 images, four resolutions of which the third is answered for half of the images and the fourth for a fifth."""
    random, m = np.random.default_rng(5), 191
    right = answered(random, m, 4, 0.7)[:1000]
    done = np.ones((m, 4), bool)
    done[m // 2 :, 2], done[m // 5 :, 3] = False, False
    images, resolutions = np.nonzero(done)
    data = [mean_over(one[done], resolutions, images) for one in right]
    assert 0.925 <= coverage([accuracy_interval(each, answers=done.sum()) for each in data], 0.7) <= 0.97


@pytest.mark.parametrize(
    ("m", "k", "wins", "losses", "most"),
    [
        *((191, 1, 0.15, 0.08, 0.97), (200, 4, 0.15, 0.08, 0.97), (30, 6, 0.15, 0.08, 0.98)),
        *((191, 1, 0.02, 0.01, 0.995), (200, 4, 0.02, 0.01, 0.98)),  # few pairs differ: wider than it need be
    ],
)
def test_paired_differences_cover(m: int, k: int, wins: float, losses: float, most: float) -> None:
    """m images with k questions; ours alone is right with `wins`, theirs alone with `losses`, an image's pairs alike with 0.4."""
    random = np.random.default_rng([m, k, int(100 * wins)])
    kinds = np.array([1.0, -1.0, 0.0])
    shared = random.choice(kinds, (REPETITIONS, m, 1), p=[wins, losses, 1 - wins - losses])
    each = random.choice(kinds, (REPETITIONS, m, k), p=[wins, losses, 1 - wins - losses])
    sums = np.where(random.random((REPETITIONS, m, k)) < 0.4, shared, each).sum(2)
    found = coverage([paired_interval(Clusters(one, np.full(m, float(k)))) for one in sums], wins - losses)
    assert 0.93 <= found <= most, found


def test_the_interval_of_a_difference_rarely_contradicts_its_p() -> None:
    """191 pairs of which few differ: one excludes 0 and the other does not find a difference, in at most 2% of runs."""
    random = np.random.default_rng(3)
    counts = random.multinomial(191, [0.04, 0.01, 0.95], REPETITIONS)
    against = 0
    for wins, losses, ties in counts:
        values = [1.0] * wins + [-1.0] * losses
        low, high = paired_interval(Clusters.of([*values, *[0.0] * ties]))
        against += (low > 0 or high < 0) != (sign_flip_test(values) <= 0.05)
    assert against / REPETITIONS <= 0.02


def test_ratios_such_as_f1_cover() -> None:
    """300 yes-or-no questions about 100 images; F1 of answers that are right with 0.8, an image's alike."""
    random, k, m = np.random.default_rng(11), 3, 100
    yes = random.random((600, m, k)) < 0.5
    right = random.random((600, m, k)) < random.beta(8, 2, (600, m, 1))
    says = yes == right
    hits, total = 2.0 * (yes & says).sum(2), (yes.astype(float) + says).sum(2)
    found = [bounded_ratio_interval(Clusters(*one), draws=DRAWS) for one in zip(hits, total, strict=True)]
    assert 0.92 <= coverage(found, 0.8) <= 0.98


@pytest.mark.parametrize(("m", "p"), [(191, 0.7), (20, 0.4)])
def test_tokens_per_correct_answer_cover(m: int, p: float) -> None:
    """Tokens are log-normal with mean 1,000, answers right with p."""
    random = np.random.default_rng([m, int(10 * p)])
    tokens = random.lognormal(np.log(1000) - 0.5 * 0.4**2, 0.4, (REPETITIONS, m))
    right = (random.random((REPETITIONS, m)) < p).astype(float)
    intervals = [fieller_interval(Clusters(*one)) for one in zip(tokens, right, strict=True)]
    assert 0.93 <= coverage([each for each in intervals if each[0] == each[0]], 1000 / p) <= 0.98


@pytest.mark.parametrize("k", [1, 4])
def test_false_positives_over_eight_resolutions_are_rare(k: int) -> None:
    """Two equal models, 191 images with k questions, eight resolutions: whether a question is answered differently at one
    resolution is copied to the next with 0.7, and within an image with 0.5; 4,000 comparisons with Holm, 500 with max-T."""
    random, experiments = np.random.default_rng(k), 4_000
    wrong = by_flips = 0
    for batch in range(experiments // 500):
        sums = _null_differences(random, 500, k)
        for one in sums:
            wrong += min(holm([sign_flip_test(resolution) for resolution in one])) <= 0.05
        if not batch:
            by_flips = sum(min(max_t(one.T, flips=400)) <= 0.05 for one in sums)
    assert wrong / experiments <= 0.055
    assert by_flips / 500 <= 0.07  # 0.05 and two standard errors


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


@pytest.mark.parametrize(("n", "discordance", "least", "most"), [(400, 0.2, 0.75, 0.85), (30, 0.0, 0.72, 0.92)])
def test_the_detectable_difference_is_found_four_times_in_five(n: int, discordance: float, least: float, most: float) -> None:
    """n questions of which so many are answered differently, a true difference of what is called detectable: fraction of 3,000
    runs whose exact test finds it. The exact test is a little less powerful than the formula, which it is known for."""
    random = np.random.default_rng(0)
    half = int(n * discordance / 2)
    delta = detectable_difference(Clusters.of([1.0] * half + [-1.0] * half + [0.0] * (n - 2 * half)))
    different = max(discordance, delta)
    chances = [(different + delta) / 2, (different - delta) / 2, 1 - different]
    found = [
        sign_flip_test([1.0] * wins + [-1.0] * losses) <= 0.05 for wins, losses, _ in random.multinomial(n, chances, 3_000)
    ]
    assert least <= np.mean(found) <= most, np.mean(found)


def placebo(random: np.random.Generator, m: int, samples: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Direct samples, zooms and answers of a run whose zooms change nothing: it answers like one more direct sample."""
    ease = random.beta(1.2, 0.8, m)
    direct = (random.random((m, samples)) < ease[:, None]).astype(float)
    return direct, (random.random(m) < 0.5).astype(float), (random.random(m) < ease).astype(float)


def test_a_placebo_gains_nothing_beside_its_floor() -> None:
    """300 questions, zooms at random that change nothing: gain and harm by calls are points each, their excess is 0 on average."""
    random, gains, excess, net = np.random.default_rng(1), [], [], []
    for _ in range(400):
        direct, zoomed, right = placebo(random, 300, 2)
        terms = Answers.of(direct.mean(1), np.full(300, 2), zoomed, right, zoomed * right)
        gains.append(terms.call_gain.mean())
        excess.append((terms.call_gain - terms.call_floor).mean())
        net.append(terms.net.mean())
    assert np.mean(gains) > 0.05
    assert abs(np.mean(excess)) < 0.004
    assert abs(np.mean(net)) < 0.003


@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_the_correlation_of_zooms_with_need_covers_whatever_the_noise_of_direct_samples(noise: float) -> None:
    """400 questions, 40% in need; zooms hit need with 0.75 and come without it with 0.2; a direct sample is turned around with `noise`."""
    random, n = np.random.default_rng(int(10 * noise)), 400
    a, b, need = 0.75, 0.2, 0.4
    rate = need * a + (1 - need) * b
    truth = need * (1 - need) * (a - b) / np.sqrt(rate * (1 - rate) * need * (1 - need))
    found = []
    for _ in range(1_000):
        needed = random.random(n) < need
        zoomed = (random.random(n) < np.where(needed, a, b)).astype(float)
        direct = ((random.random((n, 2)) < noise) ^ ~needed[:, None]).mean(1)
        found.append(need_correlation(Answers.of(direct, np.full(n, 2), zoomed, zoomed, zoomed), np.arange(n)))
    assert np.mean([each.value for each in found]) == pytest.approx(truth, abs=0.01)
    assert 0.93 <= coverage([each.interval for each in found], truth) <= 0.97
