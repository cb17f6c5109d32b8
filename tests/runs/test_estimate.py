"""The estimate: from rollouts with known rates to seconds, tokens and dollars, with ranges that hold as often as they say."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import pytest

from cof_eval.runs.estimate import Cost, Pace, Prices, Sample, Span, Work, at_once, estimate, pace, project, student


def sample(cluster: object, wall_s: float = 2.0, prompt: int = 1000, output: int = 100, crops: int = 50) -> Sample:
    return Sample(cluster=str(cluster), wall_s=wall_s, prompt_tokens=prompt, output_tokens=output, crop_tokens=crops)


def work(rollouts: int = 100, resolution: str = "224", benchmark: str = "vstar", shown: int = 6400) -> Work:
    bounds = Span(rollouts, None, 50.0 * rollouts)
    return Work(
        benchmark=benchmark,
        resolution=resolution,
        rollouts=rollouts,
        shown_tokens=shown,
        prompt=bounds,
        output=bounds,
        visual=bounds,
    )


class TestSeconds:
    def test_equal_rollouts_take_their_number_times_their_time_over_those_under_way(self) -> None:
        pilot = {("vstar", "224"): [sample(i, 3.0) for i in range(10)]}
        found = estimate([work(400)], pilot, Pace(under_way=8.0), concurrency=8)
        assert found.total.seconds == pytest.approx((150, 150, 150))
        assert found.costs[0].seconds == found.total.seconds
        assert found.costs[0].sampled == 10

    def test_each_resolution_has_its_own_rate(self) -> None:
        pilot = {("vstar", r): [sample(i, s) for i in range(10)] for r, s in (("224", 1.0), ("4k", 20.0))}
        found = estimate([work(100), work(50, "4k")], pilot, Pace(under_way=10.0), concurrency=10)
        assert [cost.seconds and cost.seconds.likely for cost in found.costs] == pytest.approx([10, 100])
        assert found.total.seconds is not None
        assert found.total.seconds.likely == pytest.approx(110)

    @pytest.mark.parametrize(
        ("under_way", "slots", "expected"),
        [
            (10.0, 10, (10, 10, 10)),
            (10.0, 40, (2.5, 10, 10)),  # an engine that was full stays as fast; an idle one takes four times as many
            (40.0, 10, (2.5, 10, 10)),  # fewer at once: each may become faster, or not
            (1.0, 1, (100, 100, 100)),
        ],
    )
    def test_another_concurrency_widens_the_range_and_never_the_hopes(
        self, under_way: float, slots: int, expected: tuple[float, float, float]
    ) -> None:
        assert at_once(Span(100, 100, 100), under_way, slots) == pytest.approx(expected)

    def test_no_more_rollouts_are_under_way_than_there_are(self) -> None:
        pilot = {("vstar", "224"): [sample(i) for i in range(10)]}
        found = estimate([work(4)], pilot, Pace(under_way=64.0), concurrency=64)
        assert found.total.seconds is not None
        assert found.total.seconds.likely == pytest.approx(2.0)

    def test_a_pilot_that_does_not_tell_its_pace_gives_tokens_and_no_seconds(self) -> None:
        found = estimate([work()], {("vstar", "224"): [sample(i) for i in range(10)]}, None, concurrency=8)
        assert (found.total.seconds, found.without_rates) == (None, 1)
        assert found.total.prompt.likely == pytest.approx(100_000)

    def test_nothing_to_do_takes_nothing(self) -> None:
        found = estimate([work(0)], {}, Pace(under_way=3.0, startup_s=Span(9, 9, 9)), concurrency=8)
        assert (found.costs, found.total.rollouts, found.startup_s) == ((), 0, None)


class TestPace:
    def test_is_the_rollouts_own_time_over_the_sessions(self) -> None:
        # 4 at once, each 2 s, 10 rounds of them: 80 s of rollouts in 20 s
        ended = [(100.0 + 2 * (i // 4 + 1), 2.0) for i in range(40)]
        found = pace(ended, [70.0])
        assert found is not None
        assert found.under_way == pytest.approx(4.0)
        assert found.startup_s == pytest.approx((30, 30, 30))

    def test_time_between_sessions_is_nobodys(self) -> None:
        first, second = [(10.0 + i, 1.0) for i in range(10)], [(10_010.0 + i, 1.0) for i in range(10)]
        found = pace([*first, *second], [5.0, 10_001.0])
        assert found is not None
        assert found.under_way == pytest.approx(1.0)
        assert found.startup_s == pytest.approx((4, 6, 8))

    def test_is_unknown_where_no_end_is_known(self) -> None:
        assert pace([(0.0, 2.0)] * 5, [1.0]) is None
        assert pace([], []) is None

    def test_without_a_session_begin_there_is_no_startup(self) -> None:
        found = pace([(10.0, 2.0), (10.0, 2.0)], [])
        assert found == Pace(under_way=2.0)

    def test_is_never_less_than_one(self) -> None:
        found = pace([(10.0, 1.0), (30.0, 1.0)], [0.0])
        assert found is not None
        assert found.under_way == 1.0


class TestTokens:
    def test_shown_images_are_known_and_crops_follow_the_pilot(self) -> None:
        pilot = {("vstar", "224"): [sample(i, crops=30) for i in range(10)]}
        found = estimate([work(200, shown=12_800)], pilot, None, concurrency=8)
        assert found.total.visual == pytest.approx((12_800 + 6000,) * 3)

    def test_without_rates_they_are_bounds_and_the_total_has_no_middle(self) -> None:
        pilot = {("vstar", "224"): [sample(i) for i in range(10)]}
        found = estimate([work(100), work(10, "4k")], pilot, Pace(under_way=1.0), concurrency=1)
        assert found.costs[1].seconds is None
        assert found.costs[1].output == (10, None, 500)
        assert found.total.output.likely is None
        assert (found.total.output.low, found.total.output.high) == pytest.approx((10_010, 10_500))
        assert found.without_rates == 1

    def test_a_pilot_without_a_zoom_does_not_promise_that_there_are_none(self) -> None:
        pilot = {("vstar", "224"): [sample(i, crops=0) for i in range(10)]}
        found = estimate([work(100, shown=600)], pilot, None, concurrency=8)
        assert found.total.visual == pytest.approx((600, 600, 600 + 0.3 * 4400))  # at most 3 in 10 rollouts zoom, rule of three

    def test_a_benchmark_without_samples_takes_another_ones_of_the_same_resolution(self) -> None:
        pilot = {("vstar", "224"): [sample(i, 5.0) for i in range(10)]}
        found = estimate([work(10, benchmark="pope"), work(10, "448", "pope")], pilot, Pace(under_way=1.0), concurrency=1)
        assert [cost.seconds and cost.seconds.likely for cost in found.costs] == [pytest.approx(50), None]

    def test_one_question_gives_no_rate(self) -> None:
        found = estimate([work()], {("vstar", "224"): [sample("a")] * 8}, Pace(under_way=1.0), concurrency=1)
        assert found.without_rates == 1


class TestRange:
    @pytest.mark.parametrize(
        ("freedom", "expected"), [(1, 12.7062), (2, 4.3027), (3, 3.1824), (5, 2.5706), (9, 2.2622), (100, 1.9840)]
    )
    def test_students_quantile_is_the_tables(self, freedom: int, expected: float) -> None:
        assert student(freedom) == pytest.approx(expected, rel=2e-3)

    def test_is_the_t_interval_of_a_mean_where_it_is_small(self) -> None:
        values = [99.0, 100.0, 101.0, 100.5, 99.5]
        found = project([(10**9, [sample(i, v) for i, v in enumerate(values)])], lambda s: s.wall_s)
        error = math.sqrt(sum((v - 100) ** 2 for v in values) / 4 / 5)
        assert found.likely == pytest.approx(1e11)
        assert found.high / 1e11 == pytest.approx(1 + 2.7764 * error / 100, rel=1e-3)
        assert found.low / 1e11 == pytest.approx(1 - 2.7764 * error / 100, rel=1e-3)

    @pytest.mark.slow
    @pytest.mark.parametrize("coming", [8, 20, 1000])
    def test_holds_as_often_as_it_says_for_skewed_times_and_questions_that_are_long_at_every_resolution(
        self, coming: int
    ) -> None:
        rng, held, trials = random.Random(4), 0, 400

        def question() -> Sequence[float]:
            slow = rng.gauss(0, 0.5)
            return [math.exp(slow + rng.gauss(1, 0.3)), math.exp(slow + rng.gauss(2, 0.3))]

        for _ in range(trials):
            pilot = [question() for _ in range(10)]
            parts = [(coming, [sample(i, times[r]) for i, times in enumerate(pilot)]) for r in (0, 1)]
            found = project(parts, lambda s: s.wall_s)
            truth = sum(sum(question()) for _ in range(coming))
            held += found.low <= truth <= found.high
        assert 0.90 <= held / trials <= 0.99

    def test_never_goes_below_zero(self) -> None:
        found = project([(50, [sample(i, v) for i, v in enumerate((0.1, 0.1, 30.0))])], lambda s: s.wall_s)
        assert 0 < found.low < found.likely < found.high  # type: ignore[operator]


class TestPrices:
    COST = Cost(
        benchmark="vstar", resolution="224", rollouts=10, seconds=Span(1800, 3600, 7200),
        prompt=Span(1e6, 2e6, 4e6), output=Span(1e5, 2e5, 3e5), visual=Span(0, 0, 0),
    )  # fmt: skip

    def test_tokens_have_a_price_each_way(self) -> None:
        assert Prices(million_in=0.5, million_out=2.0).dollars(self.COST, None) == pytest.approx((0.7, 1.4, 2.6))

    def test_gpu_hours_times_gpus(self) -> None:
        assert Prices(gpu_hour=3.0).dollars(self.COST, 2) == pytest.approx((3, 6, 12))

    def test_without_a_price_nothing_is_assumed(self) -> None:
        assert Prices().dollars(self.COST, 8) is None
        assert Prices(gpu_hour=3.0).dollars(self.COST, None) is None
