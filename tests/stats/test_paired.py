import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cof_eval.stats import Clusters, compare_paired, detectable_difference, holm, sign_flip_test


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
def test_holm_rejects_step_by_step_until_a_test_fails(p: list[float]) -> None:
    """Holm's procedure as he gave it: the k-th smallest is held against alpha / (n - k + 1), and the first that fails ends it."""
    for alpha in (0.01, 0.05, 0.3):
        rejected: set[int] = set()
        for step, i in enumerate(sorted(range(len(p)), key=p.__getitem__)):
            if p[i] * (len(p) - step) > alpha:
                break
            rejected.add(i)
        assert {i for i, value in enumerate(holm(p)) if value <= alpha} == rejected


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


def test_equal_runs_have_no_interval_and_no_small_difference_can_be_seen() -> None:
    found = compare_paired(Clusters.of([0.0] * 60))
    assert (found.difference, found.p) == (0.0, 1.0)
    assert math.isnan(found.interval.low)
    assert found.detectable == pytest.approx(6 / 60)


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
    assert detectable_difference(Clusters.of([1.0] * 3)) >= 1.0
