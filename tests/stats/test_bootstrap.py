import numpy as np
import pytest

from cof_eval.stats import Clusters, cluster_bootstrap


def clusters(seed: int = 0, m: int = 60) -> Clusters:
    random = np.random.default_rng(seed)
    sizes = random.integers(1, 6, m)
    return Clusters(random.binomial(sizes, random.beta(2, 1, m)).astype(float), sizes.astype(float))


def test_it_equals_scipys_bootstrap_of_whole_clusters() -> None:
    from scipy import stats as reference

    data = clusters()
    mean = lambda sums, sizes, axis=-1: sums.sum(axis) / sizes.sum(axis)  # noqa: E731
    found = reference.bootstrap(
        (data.sums, data.sizes), mean, paired=True, n_resamples=20_000, method="percentile", random_state=1,
        confidence_level=1 - 2 * 0.02145,  # the expanded tail of 60 clusters: Phi(-sqrt(60/59) * t(0.975, 59))
    )  # fmt: skip
    assert cluster_bootstrap(data, draws=20_000) == pytest.approx(tuple(found.confidence_interval), abs=0.004)


def test_it_is_a_little_wider_than_plain_percentiles_with_few_clusters_and_not_with_many() -> None:
    def widths(m: int) -> float:
        data = clusters(3, m)
        random = np.random.default_rng(0)
        drawn = random.integers(0, m, (10_000, m))
        plain = np.quantile(data.sums[drawn].sum(1) / data.sizes[drawn].sum(1), [0.025, 0.975])
        low, high = cluster_bootstrap(data) or (0, 0)
        return float((high - low) / (plain[1] - plain[0]))

    assert 1.08 < widths(12) < 1.4
    assert 0.95 < widths(400) < 1.05


def test_clusters_that_do_not_vary_have_no_bootstrap() -> None:
    assert cluster_bootstrap(Clusters.of([1, 1, 1, 1], list("aabb"))) is None
    assert cluster_bootstrap(Clusters.of([0.5, 0.5, 1, 0], list("abcc"))) is None
    assert cluster_bootstrap(Clusters.of([1, 0], list("aa"))) is None


def test_two_clusters_give_the_range_of_what_can_be_drawn() -> None:
    assert cluster_bootstrap(Clusters.of([1, 0])) == (0, 1)


def test_draws_in_blocks_are_all_made() -> None:
    random = np.random.default_rng(0)
    many = Clusters(random.random(3000), np.ones(3000))  # 3,000 kinds: several blocks
    low, high = cluster_bootstrap(many, draws=4000) or (0, 0)
    half = 1.96 * many.sums.std() / np.sqrt(3000)
    assert (low, high) == pytest.approx((many.estimate - half, many.estimate + half), abs=0.003)
