"""The headline against computations of their own: plain Python over questions, no table of the package."""

from __future__ import annotations

import itertools
import math
from statistics import fmean

import pytest

from cof_eval.core.records import Outcome
from cof_eval.report import report_runs
from cof_eval.report.headline import headline_lines
from cof_eval.report.names import MACRO, MEAN, OVERALL
from cof_eval.report.text import percent

RIGHT, WRONG, UNSCORED = Outcome.CORRECT, Outcome.WRONG, Outcome.UNSCORED
NAMES = ("224", "448", "4k")
OURS = ["111", "011", "001", "111", "000", "101", "011", "110"]
THEIRS = ["110", "001", "001", "011", "000", "101", "010", "110"]


def student_0975(m: int) -> float:
    return {8: 2.364624, 4: 3.182446}[m]


@pytest.fixture
def sweep(make_run, asked):
    """A run whose digits say whether a question is right at each of three resolutions; `?` is unscored, `.` pending."""

    def build(digits: list[str], label: str = "ours", cluster=lambda i: f"image{i}", benchmark: str = "vstar"):
        worth = {"1": RIGHT, "0": WRONG, "?": UNSCORED, ".": None}
        rows = [
            asked(
                f"q{i}", name, worth[digit], zooms=i % 3, cluster=cluster(i), benchmark=benchmark,
                **({"stop": None} if digit == "." else {}),
            )
            for i, one in enumerate(digits)
            for name, digit in zip(NAMES, one, strict=True)
        ]  # fmt: skip
        return make_run(*rows, label=label)

    return build


def the_mean(run, benchmark: str = "vstar") -> dict:
    means = run.means
    (line,) = means[(means["benchmark"] == benchmark) & (means["category"] == OVERALL)].to_dict("records")
    assert line["resolution"] == MEAN
    return line


def values(digits: list[str]) -> list[float]:
    """By question: its mean over resolutions."""
    return [fmean(map(int, one)) for one in digits]


def test_the_mean_of_a_run_is_over_resolutions_and_its_interval_over_images(sweep) -> None:
    (run,) = report_runs([sweep(OURS)])
    line, each = the_mean(run), values(OURS)
    m, p = len(each), fmean(values(OURS))
    variance = sum((value - p) ** 2 for value in each) / (m - 1) / m
    n = min(3 * m, p * (1 - p) / variance)
    t = student_0975(m)
    centre, half = p + t * t / (2 * n), t * math.sqrt(p * (1 - p) / n + (t / (2 * n)) ** 2)
    bounds = [(centre + side * half) / (1 + t * t / n) for side in (-1, 1)]
    assert (line["acc"], line["acc_low"], line["acc_high"]) == pytest.approx((p, *bounds), abs=1e-5)
    assert (line["n"], line["clusters"], line["rows"]) == (8, 8, 24)
    assert line["zooms"] == pytest.approx(fmean(i % 3 for i in range(8)))


def test_each_resolution_counts_once_however_much_of_it_is_answered(sweep) -> None:
    (run,) = report_runs([sweep(["11.", "10.", "01.", "110"])])
    line = the_mean(run)
    assert line["acc"] == pytest.approx(fmean([3 / 4, 3 / 4, 0]))
    assert (line["pending"], line["rows"]) == (3, 9)


def test_unscored_answers_widen_the_mean_to_both_sides(sweep) -> None:
    runs = report_runs([sweep(["11?", *OURS[1:]]), sweep(["110", *OURS[1:]]), sweep(["111", *OURS[1:]])])
    line, low, high = map(the_mean, runs)
    assert (line["acc"], line["acc_low"]) == (low["acc"], low["acc_low"])
    assert (line["acc_upper"], line["acc_high"]) == (high["acc"], high["acc_high"])


def test_the_difference_of_two_means_is_that_of_images_and_its_p_of_their_sign_flips(sweep) -> None:
    ours, theirs = report_runs([sweep(OURS), sweep(THEIRS, "theirs")])
    (line,) = ours.primary_with(theirs).to_dict("records")
    each = [a - b for a, b in zip(values(OURS), values(THEIRS), strict=True)]
    m, nonzero = len(each), [value for value in each if value]
    c = math.sqrt(fmean(value**2 for value in nonzero))
    wide = [*each, c, -c]
    centre, spread = fmean(wide), sum((value - fmean(wide)) ** 2 for value in wide)
    half = student_0975(m) * math.sqrt(len(wide) / (len(wide) - 1) * spread) / len(wide)
    flips = [
        abs(sum(s * value for s, value in zip(signs, each, strict=True))) for signs in itertools.product((-1, 1), repeat=m)
    ]
    p = fmean(flip >= abs(sum(each)) - 1e-9 for flip in flips)
    assert (line["difference"], line["p"]) == pytest.approx((fmean(each), p))
    assert (line["difference_low"], line["difference_high"]) == pytest.approx((centre - half, centre + half), abs=1e-5)
    assert (line["benchmark"], line["resolution"], line["n"], line["clusters"], line["p_clusters"]) == ("vstar", MEAN, 24, 8, 8)


@pytest.mark.slow
def test_p_of_the_mean_is_of_images_that_both_runs_have_whole(sweep) -> None:
    ours, theirs = report_runs([sweep(["11?", *OURS[1:]]), sweep([*THEIRS[:-1], "11."], "theirs")])
    (line,) = ours.primary_with(theirs).to_dict("records")
    assert (line["n"], line["unscored"], line["p_clusters"], line["clusters"]) == (22, 1, 6, 8)
    whole, others = report_runs([sweep(OURS[1:-1]), sweep(THEIRS[1:-1])])
    assert line["p"] == whole.primary_with(others)["p"].item()


def test_rows_of_an_image_are_one_coin_at_all_resolutions_together(sweep) -> None:
    ours, theirs = report_runs([sweep(["111"] * 8, cluster=lambda i: f"{i // 2}"), sweep(["000"] * 8, "theirs")])
    assert ours.primary_with(theirs)["p"].item() == 2 / 2**4


def two_benchmarks(sweep, first: list[str], second: list[str], names=("vstar", "treebench"), **each):
    runs = [sweep(digits, benchmark=name, **each) for digits, name in zip((first, second), names, strict=True)]
    run = runs[0]
    for other in runs[1:]:
        run.trajectories.update(other.trajectories)
        run.verdicts.update(other.verdicts)
    object.__setattr__(run, "rows", tuple(row for one in runs for row in one.rows))
    return run


def test_several_benchmarks_have_a_mean_in_which_each_counts_once(sweep) -> None:
    (run,) = report_runs([two_benchmarks(sweep, OURS, ["111", "000", "100", "101"])])
    line, (first, second) = the_mean(run, MACRO), (values(OURS), values(["111", "000", "100", "101"]))
    assert line["acc"] == pytest.approx((fmean(first) + fmean(second)) / 2)
    assert line["n"] == 12
    errors = [sum((v - fmean(each)) ** 2 for v in each) / (len(each) - 1) / len(each) / 4 for each in (first, second)]
    degrees = sum(errors) ** 2 / sum(e * e / (len(each) - 1) for e, each in zip(errors, (first, second), strict=True))
    assert 3 < degrees < 10
    assert line["acc_high"] - line["acc_low"] == pytest.approx(2 * math.sqrt(sum(errors)) * _student(degrees), abs=1e-6)


def _student(degrees: float) -> float:
    from scipy.stats import t

    return float(t.ppf(0.975, degrees))


@pytest.mark.slow
def test_the_same_questions_about_two_sizes_of_images_are_no_independent_benchmarks(sweep) -> None:
    apart, same = (two_benchmarks(sweep, OURS, OURS, names) for names in (("a", "b"), ("hrbench4k", "hrbench8k")))
    apart, same = (the_mean(run, MACRO) for run in report_runs([apart, same]))
    assert apart["acc"] == pytest.approx(same["acc"])
    ratio = (same["acc_high"] - same["acc_low"]) / (apart["acc_high"] - apart["acc_low"])
    assert ratio == pytest.approx(math.sqrt(2) * _student(7) / _student(14), rel=1e-6)


@pytest.mark.slow
def test_two_runs_on_several_benchmarks_have_one_primary_result(sweep) -> None:
    ours, theirs = report_runs(
        [two_benchmarks(sweep, OURS, OURS[:4]), two_benchmarks(sweep, THEIRS, THEIRS[:4], label="theirs")]
    )
    lines = ours.primary_with(theirs).set_index("benchmark")
    assert list(lines.index) == ["vstar", "treebench", MACRO]
    assert lines["difference"][MACRO] == pytest.approx((lines["difference"]["vstar"] + lines["difference"]["treebench"]) / 2)
    assert 0 < lines["p"][MACRO] < 1
    said = headline_lines([ours, theirs])
    assert said[2].startswith("ours minus theirs on 2 benchmarks (vstar, treebench): ")
    assert " points over 3 resolutions, p = " in said[2]
    assert [line.split(":")[0] for line in said[3:]] == ["ours minus theirs on vstar", "ours minus theirs on treebench"]


def test_the_headline_is_one_line(sweep) -> None:
    runs = report_runs([sweep(OURS[:4]), sweep(["?11", *OURS[1:4]], "theirs")])
    bounds = [f"[{percent(line['acc_low'])}, {percent(line['acc_high'])}]" for line in map(the_mean, runs)]
    costs = "0.75 zooms, 18 text and 64 visual tokens a question"
    assert headline_lines(runs)[:2] == [
        f"ours on vstar: 75.0% {bounds[0]} correct over 3 resolutions, n = 4; {costs}.",
        f"theirs on vstar: 66.7% {bounds[1]} correct over 3 resolutions, n = 4; {costs}; 1 answer unscored (75.0% if correct).",
    ]


def test_every_category_of_the_sweep_has_a_mean(make_run, asked) -> None:
    rows = [asked(f"{c}{n}", n, RIGHT, category=c) for c in ("Perception/OCR", "Perception/Size") for n in NAMES]
    (run,) = report_runs([make_run(*rows)])
    assert list(run.means["category"]) == list(dict.fromkeys(run.sweep["category"]))
