import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cof_eval.stats import (
    Clusters,
    FlipTest,
    compare_paired,
    detectable_difference,
    flip_test_name,
    holm,
    max_t,
    sign_flip_test,
)


@pytest.mark.slow
@given(st.integers(0, 60), st.integers(0, 60))
def test_single_pairs_have_mcnemars_exact_p(wins: int, losses: int) -> None:
    from statsmodels.stats.contingency_tables import mcnemar

    found = sign_flip_test([1.0] * wins + [-1.0] * losses + [0.0] * 7)
    assert found == pytest.approx(mcnemar([[5, wins], [losses, 9]], exact=True).pvalue, rel=1e-9)


def test_a_published_example_has_its_p() -> None:
    # Fay, vignette of the R package exact2x2: mcnemar.exact with b = 2, c = 9 has p = 0.06543
    assert sign_flip_test([1.0] * 2 + [-1.0] * 9 + [0.0] * 33) == pytest.approx(0.06543, abs=5e-6)


@given(st.lists(st.integers(-4, 4), min_size=1, max_size=11))
def test_clusters_have_the_p_of_all_sign_flips(sums: list[int]) -> None:
    signs = np.array(np.meshgrid(*[[-1, 1]] * len(sums))).reshape(len(sums), -1)
    flipped = np.abs(np.array(sums) @ signs)
    assert sign_flip_test(sums) == pytest.approx(float((flipped >= abs(sum(sums))).mean()))


def test_averages_over_repeats_are_tested_exactly_too() -> None:
    thirds = [1 / 3, 2 / 3, -1 / 3, 1.0]
    assert sign_flip_test(thirds) == pytest.approx(sign_flip_test([1, 2, -1, 3]))


def test_differences_without_a_common_fraction_are_flipped_at_random() -> None:
    values = [math.sqrt(k) / 10 for k in range(1, 13)]
    assert sign_flip_test(values) == pytest.approx(2 / 2**12, abs=3e-4)
    assert sign_flip_test(values) >= 1 / 20_001


@pytest.mark.parametrize("values", [[], [0.0], [0.0] * 50, [1.0, -1.0]])
def test_no_difference_has_a_p_of_one(values: list[float]) -> None:
    assert sign_flip_test(values) == 1.0


def test_holm_multiplies_each_p_by_the_number_not_smaller_and_keeps_the_order() -> None:
    # by hand: 4 * 0.01, 3 * 0.02, then 2 * 0.03 and 1 * 0.5; never less than the one before
    assert holm([0.03, 0.01, 0.02, 0.5]) == pytest.approx([0.06, 0.04, 0.06, 0.5])


@pytest.mark.slow
@settings(max_examples=15)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_equals_statsmodels(p: list[float]) -> None:
    from statsmodels.stats.multitest import multipletests

    assert holm(p) == pytest.approx(list(multipletests(p, method="holm")[1]))


def test_holm_leaves_out_what_was_not_tested() -> None:
    corrected = holm([0.01, math.nan, 0.04])
    assert (corrected[0], corrected[2]) == pytest.approx((0.02, 0.04))
    assert math.isnan(corrected[1])
    assert holm([]) == []


def test_the_comparison_is_ours_less_theirs() -> None:
    found = compare_paired(Clusters.of([1.0] * 30 + [-1.0] * 10 + [0.0] * 60))
    assert found.difference == pytest.approx(0.2)
    assert 0 < found.interval.low < 0.2 < found.interval.high
    assert found.p == pytest.approx(0.002221, abs=1e-6)  # 2 * P(Binomial(40, 1/2) <= 10)


def test_nothing_in_common_is_nothing_known() -> None:
    found = compare_paired(Clusters.of([]))
    assert found.p == 1.0
    assert all(math.isnan(value) for value in (found.difference, *found.interval, found.detectable))


def test_equal_runs_have_an_interval_and_no_small_difference_can_be_seen() -> None:
    found = compare_paired(Clusters.of([0.0] * 60))
    assert (found.difference, found.p) == (0.0, 1.0)
    assert found.interval.low == pytest.approx(-found.interval.high)
    assert 0.02 < found.interval.high < 0.06
    assert found.detectable == pytest.approx(7.905993 / 60)  # so many expected flips show six of them with 80%


def test_the_detectable_difference_is_connors() -> None:
    # of first order: (1.95996 + 0.84162) * sqrt(0.2 / 191)
    discordant = Clusters.of([1.0] * 20 + [-1.0] * 18 + [0.0] * 153)
    assert detectable_difference(discordant) == pytest.approx(2.80158 * math.sqrt(38) / 191, abs=1e-5)


def test_more_questions_detect_less_and_shared_images_more() -> None:
    pairs = [1.0, -1.0, 0.0, 0.0] * 25
    single = detectable_difference(Clusters.of(pairs))
    assert detectable_difference(Clusters.of(pairs * 4)) == pytest.approx(single / 2)
    together = sorted(pairs)
    assert detectable_difference(Clusters.of(together, list(np.repeat(np.arange(25), 4)))) > 1.5 * single


def test_fewer_than_six_pairs_detect_nothing() -> None:
    assert detectable_difference(Clusters.of([1.0] * 3)) == math.inf


@pytest.mark.parametrize(
    ("sums", "sizes", "name"),
    [
        ([1, -1, 0], [1, 1, 1], FlipTest.MCNEMAR),
        ([0.5, -1, 0], [1, 1, 1], FlipTest.EXACT),  # averaged repeats are no pairs of right and wrong
        ([2, -1, 0], [4, 4, 4], FlipTest.EXACT),
        ([math.sqrt(2), -1, 0], [4, 4, 4], FlipTest.RANDOM),
    ],
)
def test_a_test_is_named_as_it_is_made(sums, sizes, name) -> None:
    assert flip_test_name(Clusters(np.array(sums, float), np.array(sizes, float))) is name


@pytest.mark.parametrize("m", [9, 40])
def test_max_t_is_never_below_the_single_tests_and_never_above_holm_by_much(m: int) -> None:
    sums = np.random.default_rng(m).integers(-1, 3, (m, 4)).astype(float)
    alone = [sign_flip_test(column) for column in sums.T]
    together = max_t(sums)
    assert all(joint >= single - 0.01 for joint, single in zip(together, alone, strict=True))
    assert all(joint <= stepped + 0.02 for joint, stepped in zip(together, holm(alone), strict=True))


def test_max_t_of_one_hypothesis_is_its_own_test() -> None:
    sums = np.array([1.0, 1, 1, 2, -1, 1, 0, 0])
    assert max_t(sums[:, None]) == pytest.approx([sign_flip_test(sums)])
    assert max_t(np.zeros((5, 2))) == [1.0, 1.0]


def test_a_hypothesis_that_is_said_twice_costs_nothing() -> None:
    sums = np.array([[1.0], [1], [2], [1], [1], [-1]])
    assert max_t(np.repeat(sums, 8, axis=1)) == pytest.approx([sign_flip_test(sums[:, 0])] * 8)
