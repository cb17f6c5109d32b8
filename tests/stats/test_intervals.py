import math
import subprocess
import sys

import numpy as np
import pytest

from cof_eval.stats import Clusters, accuracy_interval, mean_interval, ratio_interval, wilson


@pytest.mark.parametrize(
    ("correct", "n", "level", "low", "high"),
    [
        (162, 191, 0.95, 0.7904, 0.8922),  # V* at 85%: ±5.1 points
        (81, 263, 0.95, 0.2553, 0.3662),  # Newcombe 1998, table I, method 3
        (15, 148, 0.95, 0.0624, 0.1605),
        (0, 20, 0.95, 0.0000, 0.1611),
        (1, 29, 0.95, 0.0061, 0.1718),
        (28, 29, 0.95, 0.8282, 0.9939),  # its mirror image
    ],
)
def test_wilson_equals_published_intervals(correct: int, n: int, level: float, low: float, high: float) -> None:
    assert wilson(correct, n, level) == pytest.approx((low, high), abs=5e-5)


def test_wilson_equals_its_formula() -> None:
    z, p, n = 1.959963984540054, 7 / 12, 12
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    assert wilson(7, 12) == pytest.approx((centre - half, centre + half))


def test_no_answers_say_nothing() -> None:
    assert wilson(0, 0) == (0.0, 1.0)


def test_a_higher_level_gives_a_wider_interval() -> None:
    assert wilson(5, 10, 0.99).low < wilson(5, 10, 0.95).low < wilson(5, 10, 0.5).low


@pytest.mark.parametrize(("correct", "n"), [(-1, 5), (6, 5), (0, -1)])
def test_impossible_counts_are_refused_with_the_values(correct: int, n: int) -> None:
    with pytest.raises(ValueError, match=f"{correct} correct of {n}"):
        wilson(correct, n)


@pytest.mark.parametrize("level", [0.0, 1.0, 95.0])
def test_a_level_that_is_no_share_is_refused(level: float) -> None:
    with pytest.raises(ValueError, match=r"0\.95"):
        wilson(1, 2, level)
    with pytest.raises(ValueError, match=r"0\.95"):
        mean_interval([1, 2], level=level)


def test_mean_interval_equals_student_t_by_hand() -> None:
    # mean 2.5, s² = 5/3, t(0.975, 3) = 3.182446
    half = 3.182446 * math.sqrt(5 / 3 / 4)
    assert mean_interval([1, 2, 3, 4]) == pytest.approx((2.5 - half, 2.5 + half), abs=1e-6)


def test_equal_values_have_an_interval_of_no_width() -> None:
    assert mean_interval([1.0] * 12) == (1.0, 1.0)


@pytest.mark.parametrize("values", [[], [3.0]])
def test_fewer_than_two_values_have_no_interval(values: list[float]) -> None:
    assert all(math.isnan(bound) for bound in mean_interval(values))


@pytest.mark.parametrize("seed", range(3))
def test_clustered_means_equal_statsmodels_cluster_robust_regression(seed: int) -> None:
    from statsmodels.regression.linear_model import OLS

    random = np.random.default_rng(seed)
    labels = random.integers(0, 15, 80)
    values = random.normal(3, 1, 15)[labels] + random.normal(0, 0.5, 80)
    # its small-sample factor is m / (m - 1) * (n - 1) / (n - 1) for a lone intercept: the one used here
    fit = OLS(values, np.ones(80)).fit(cov_type="cluster", cov_kwds={"groups": labels}, use_t=True)
    assert mean_interval(values, labels) == pytest.approx(tuple(fit.conf_int()[0]), rel=1e-9)


def test_rows_of_one_cluster_have_no_interval_of_their_mean() -> None:
    assert all(math.isnan(bound) for bound in mean_interval([1, 2, 3], ["a", "a", "a"]))


def test_a_ratio_of_totals_equals_its_linearised_variance_by_hand() -> None:
    # tokens 10, 20, 60 for 1, 1, 2 right answers: ratio 22.5, residuals -12.5, -2.5, 15, t(0.975, 2) = 4.302653
    half = 4.302653 * math.sqrt(3 / 2 * (12.5**2 + 2.5**2 + 15**2)) / 4
    assert ratio_interval(Clusters.ratio([10, 20, 60], [1, 1, 2], list("abc"))) == pytest.approx((22.5 - half, 22.5 + half))


def test_a_ratio_without_a_denominator_has_no_interval() -> None:
    assert all(math.isnan(bound) for bound in ratio_interval(Clusters.ratio([10, 20], [0, 0], list("ab"))))


def test_independent_right_and_wrong_answers_have_wilsons_interval() -> None:
    assert accuracy_interval(Clusters.of([1, 1, 0, 1], list("abcd"))) == wilson(3, 4)


def test_nothing_and_one_cluster_leave_everything_open() -> None:
    assert accuracy_interval(Clusters.of([])) == (0, 1)
    assert accuracy_interval(Clusters.of([1, 0, 0, 1], ["one"] * 4)) == wilson(0.5, 1)


def test_rows_that_share_images_have_a_wider_interval_than_wilsons() -> None:
    values, labels = [1, 1, 1, 1, 0, 0, 0, 0] * 10, np.repeat(np.arange(20), 4)
    low, high = accuracy_interval(Clusters.of(values, labels))
    assert low < wilson(40, 80).low
    assert high > wilson(40, 80).high


def test_repeats_of_a_question_are_no_independent_rows() -> None:
    once = accuracy_interval(Clusters.of([1, 0, 1, 1] * 5))
    repeated = accuracy_interval(Clusters.of([1, 0, 1, 1] * 5 * 8, list(range(20)) * 8))
    assert repeated.high - repeated.low > 0.9 * (once.high - once.low)


def test_the_interval_is_the_same_every_time() -> None:
    clusters = Clusters.of([1, 0, 1, 1, 0, 1], ["a", "a", "b", "b", "c", "c"])
    assert accuracy_interval(clusters) == accuracy_interval(clusters)


@pytest.mark.parametrize("labels", [["a"], ["a", "b", "c"]])
def test_a_label_is_needed_for_every_value(labels: list[str]) -> None:
    with pytest.raises(ValueError, match=rf"{len(labels)} labels for \[2"):
        Clusters.of([1, 0], labels)


def test_importing_stats_loads_no_package_of_weight() -> None:
    code = "import cof_eval.stats, sys; print([m for m in ('statsmodels', 'scipy', 'pandas') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
