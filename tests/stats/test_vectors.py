"""Worked examples of every method, from an independent computation to six digits."""

import numpy as np
import pytest

from cof_eval.stats import (
    Answers,
    Clusters,
    Estimate,
    accuracy_interval,
    combine,
    detectable_difference,
    holm,
    max_t,
    mean_over,
    need_correlation,
    paired_interval,
    ratio_interval,
    sign_flip_test,
    with_two_more,
)
from cof_eval.stats.intervals import effective_answers


def clusters(sums: list[float], sizes: list[float] | float = 4) -> Clusters:
    return Clusters(np.array(sums, float), np.broadcast_to(np.array(sizes, float), len(sums)).copy())


def sweep(rows: str, *, pending: tuple[tuple[int, int], ...] = ()) -> Clusters:
    """A question about each of several images, as right at three resolutions as its digits say."""
    cells = [(i, j, int(x)) for i, row in enumerate(rows.split()) for j, x in enumerate(row) if (i, j) not in pending]
    images, resolutions, right = zip(*cells, strict=True)
    return mean_over(right, resolutions, images)


ROWS = "111 011 001 111 000"


@pytest.mark.parametrize(
    ("data", "p", "error", "n", "low", "high"),
    [
        (clusters([4, 4, 3, 2, 0, 4, 1, 4]), 0.6875, 0.139754, 11.0, 0.347911, 0.900711),
        (clusters([1, 2, 0, 3, 1, 1, 0, 2], [1, 2, 1, 3, 2, 1, 1, 3]), 0.714286, 0.119498, 14, 0.404159, 0.902097),
        (clusters([4] * 10), 1, 0, 10, 0.661491, 1),
    ],
    ids=["clustered", "no more than its answers", "all right"],
)
def test_clustered_wilson(data: Clusters, p, error, n, low, high) -> None:
    assert (data.estimate, data.error) == pytest.approx((p, error), abs=5e-7)
    assert effective_answers(data) == pytest.approx(n)
    assert accuracy_interval(data) == pytest.approx((low, high), abs=5e-7)


def test_a_mean_over_resolutions() -> None:
    data = sweep(ROWS)
    assert (data.estimate, data.error) == pytest.approx((0.6, 0.194365), abs=5e-7)
    assert accuracy_interval(data, answers=15) == pytest.approx((0.178335, 0.912024), abs=5e-7)


def test_a_mean_over_resolutions_with_a_cell_to_come() -> None:
    data = sweep(ROWS, pending=((4, 2),))
    assert (data.estimate, data.error) == pytest.approx((0.666667, 0.149071), abs=5e-7)
    assert Estimate.of(data).interval() == pytest.approx((0.252779, 1.080555), abs=5e-7)


@pytest.mark.parametrize(
    ("differences", "c", "error", "low", "high"),
    [
        (clusters([2, -1, 0, 0, 3, 1, 0, -2, 0, 4]), 2.415229, 0.141995, -0.175382, 0.467048),
        (clusters([0] * 10), 1, None, -0.069613, 0.069613),
        (clusters([1] * 5 + [0] * 32, 1), 1, None, -0.004644, 0.261054),
    ],
)
def test_t_with_two_more(differences: Clusters, c, error, low, high) -> None:
    wide = with_two_more(differences)
    assert wide.sums[-2:] == pytest.approx([c, -c], abs=5e-7)
    assert error is None or wide.error == pytest.approx(error, abs=5e-7)
    assert paired_interval(differences) == pytest.approx((low, high), abs=5e-7)


def test_paired_means_over_three_resolutions() -> None:
    sums = clusters([1 / 3, 1 / 3, 1 / 3, 0, -1 / 3], 1)
    assert sign_flip_test(sums.sums) == pytest.approx(0.625)
    assert ratio_interval(sums) == pytest.approx((-0.236859, 0.503526), abs=5e-7)


def test_the_mean_of_three_benchmarks() -> None:
    found = combine([Estimate(0.672, 0.0222, 190), Estimate(0.75, 0.0275, 199), Estimate(0.5, 0.0272, 266)])
    assert (found.value, found.error, found.degrees) == pytest.approx((0.640667, 0.014866, 637.004339), abs=5e-7)
    assert found.interval() == pytest.approx((0.611475, 0.669859), abs=5e-7)


def test_max_t_over_all_flips() -> None:
    sums = np.array([(1, 1, 1), (1, 1, 1), (0, 1, 1), (1, 0, 0), (-1, 1, 1), (0, 1, 1)], float)
    alone = [sign_flip_test(column) for column in sums.T]
    assert max_t(sums) == pytest.approx([0.625, 0.0625, 0.0625])
    assert holm(alone)[1:] == pytest.approx([0.1875, 0.1875])
    assert holm(alone[:2])[1] == pytest.approx(0.125)  # the third is the second once more


@pytest.mark.parametrize(
    ("differences", "detectable"),
    [
        (clusters([1] * 20 + [-1] * 18 + [0] * 153, 1), 0.115413),
        (clusters([1] * 10 + [-1] * 10 + [0] * 180, 4), 0.019990),
        (clusters([1 / 8] * 30 + [-1 / 8] * 30 + [0] * 131, 1), 0.018128),
        (clusters([0] * 191, 1), 0.059580),
    ],
)
def test_detectable_over_eight_resolutions(differences: Clusters, detectable: float) -> None:
    assert detectable_difference(differences, alpha=0.05 / 8) == pytest.approx(detectable, abs=5e-7)


DIRECT = np.array([(1, 1), (0, 0), (0, 1), (1, 0), (0, 0), (1, 1)], float)
ZOOMED, RIGHT = np.array([0, 1, 1, 1, 0, 1.0]), np.array([1, 1, 1, 0, 0, 1.0])


def test_four_terms_of_one_direct_sample() -> None:
    terms = Answers.of(DIRECT[:, 0], np.ones(6), ZOOMED, RIGHT, ZOOMED * RIGHT)
    found = [each.mean() for each in (terms.call_gain, terms.call_harm, terms.still_gain, terms.still_harm)]
    assert found == pytest.approx([1 / 3, 1 / 6, 0, 0])
    assert np.isnan(terms.noise).all()


def test_four_terms_beside_their_floors() -> None:
    terms = Answers.of(DIRECT.mean(1), np.full(6, 2), ZOOMED, RIGHT, ZOOMED * RIGHT)
    floor = terms.call_floor.mean()
    assert floor == pytest.approx(1 / 6)
    assert (terms.call_gain.mean() - floor, terms.call_harm.mean() - floor) == pytest.approx((1 / 12, -1 / 12))
    assert terms.net.mean() == pytest.approx(1 / 6)


def test_matthews_correlation_and_f1() -> None:
    zoomed, direct = np.repeat([1.0, 1, 0, 0], [40, 20, 25, 106]), np.repeat([0.0, 1, 0, 1], [40, 20, 25, 106])
    found = need_correlation(Answers.of(direct, np.full(191, 2), zoomed, zoomed, zoomed), np.arange(191))
    assert (found.value, found.error) == pytest.approx((0.466142, 0.068176), abs=5e-7)
    assert found.interval == pytest.approx((0.321499, 0.589528), abs=5e-7)
    f1 = Clusters(2 * zoomed * (1 - direct), zoomed + 1 - direct)
    assert (f1.estimate, *ratio_interval(f1)) == pytest.approx((0.64, 0.540981, 0.739019), abs=5e-7)
