from __future__ import annotations

import math

import pytest

from cof_eval.core.records import Outcome
from cof_eval.report.compare import flips_table, need_table, never_zooms, paired_table
from cof_eval.report.differences import Difference, differences
from cof_eval.report.headline import p_text
from cof_eval.report.rows import rows_table
from cof_eval.report.summary import summarize
from cof_eval.stats import Clusters, detectable_difference, paired_interval

RIGHT, WRONG, UNSCORED = Outcome.CORRECT, Outcome.WRONG, Outcome.UNSCORED
SWEEP = ("224", "336", "448", "672", "1024", "1920", "2560", "4k")


@pytest.fixture
def rows(make_run, asked):
    """The rows of a run with these outcomes at one resolution."""

    def build(outcomes, resolution: str = "448", **each):
        return rows_table(make_run(*(asked(name, resolution, outcome, **each) for name, outcome in outcomes)))

    return build


@pytest.mark.slow
def test_pairs_are_counted_as_wins_and_losses_on_common_scored_questions(rows) -> None:
    ours = rows([("a", RIGHT), ("b", RIGHT), ("c", WRONG), ("d", RIGHT), ("e", UNSCORED), ("only ours", RIGHT)])
    theirs = rows([("a", RIGHT), ("b", WRONG), ("c", RIGHT), ("d", WRONG), ("e", RIGHT), ("only theirs", RIGHT)])
    (line,) = paired_table(ours, theirs).to_dict("records")
    expected = {"benchmark": "vstar", "resolution": "448", "n": 4, "clusters": 4, "acc": 0.75, "acc_other": 0.5}
    expected |= {"difference": 0.25, "wins": 2, "losses": 1, "both": 1, "neither": 0, "unscored": 1, "p": 1.0, "p_holm": 1.0}
    expected |= {"difference_worst": 0.0, "difference_best": 0.2, "p_max_t": 1.0, "undecided": True, "test": "McNemar exact"}
    assert {name: line[name] for name in expected} == expected
    assert line["difference_low"] <= 0.25 <= line["difference_high"]


def test_p_is_corrected_over_the_resolutions_of_a_benchmark(make_run, asked) -> None:
    def run(right: dict[str, int]):
        return rows_table(
            make_run(*(asked(f"q{i}", r, RIGHT if i < k else WRONG) for r, k in right.items() for i in range(12)))
        )

    table = paired_table(run({"224": 12, "448": 9, "4k": 2}), run({"224": 2, "448": 2, "4k": 2})).set_index("resolution")
    assert list(table["p"]) == pytest.approx([2 / 2**10, 2 / 2**7, 1.0])
    assert list(table["p_holm"]) == pytest.approx([6 / 2**10, 4 / 2**7, 1.0])


def test_resolutions_with_the_same_trajectories_are_one_hypothesis(make_run, asked) -> None:
    def run(right: int, name: str):
        outcomes = [RIGHT if i < right else WRONG for i in range(12)]
        return rows_table(
            make_run(*(asked(f"q{i}", r, o, key=f"{name}{i}{r == '224'}") for r in SWEEP for i, o in enumerate(outcomes)))
        )

    table = paired_table(run(9, "ours"), run(1, "theirs")).set_index("resolution")
    alone = 2 / 2**8
    assert list(table["p_holm"]) == pytest.approx([2 * alone] * 8)  # 224, and the seven others as one
    assert list(table["p_max_t"]) == pytest.approx([alone] * 8)
    assert list(table["detectable"]) == pytest.approx([detectable_difference(Clusters.of([1] * 8 + [0] * 4), alpha=0.025)] * 8)


def test_a_resolution_without_scored_pairs_takes_no_part_of_the_error(make_run, asked) -> None:
    def run(outcome: Outcome, other: Outcome):
        return rows_table(make_run(*(asked(f"q{i}", r, o) for r, o in (("224", outcome), ("4k", other)) for i in range(8))))

    table = paired_table(run(RIGHT, UNSCORED), run(WRONG, WRONG)).set_index("resolution")
    assert table["p_holm"]["224"] == table["p"]["224"] == 2 / 2**8
    assert math.isnan(table["p_holm"]["4k"])


def audit_rows(rows) -> tuple:
    """100 pairs: 12 wins, 5 losses, 75 ties; ours unscored in 5 (theirs right in 3), theirs unscored in 3 (ours right in 2)."""
    pairs = [(RIGHT, WRONG)] * 12 + [(WRONG, RIGHT)] * 5 + [(RIGHT, RIGHT)] * 75
    pairs += [(UNSCORED, RIGHT)] * 3 + [(UNSCORED, WRONG)] * 2 + [(RIGHT, UNSCORED)] * 2 + [(WRONG, UNSCORED)]
    return tuple(rows([(f"q{i}", pair[side]) for i, pair in enumerate(pairs)]) for side in (0, 1))


def test_unscored_pairs_bound_the_difference(rows) -> None:
    (line,) = paired_table(*audit_rows(rows)).to_dict("records")
    assert line["difference"] == pytest.approx(7 / 92)
    assert (line["difference_worst"], line["difference_best"]) == pytest.approx((0.03, 0.11))
    low = paired_interval(Clusters.of([1.0] * 12 + [-1.0] * 9 + [0.0] * 79))
    high = paired_interval(Clusters.of([1.0] * 16 + [-1.0] * 5 + [0.0] * 79))
    assert (line["difference_low"], line["difference_high"]) == pytest.approx((low.low, high.high))
    assert (line["n"], line["unscored"], line["undecided"], line["unscored_matter"]) == (92, 8, True, False)
    assert p_text(line) == "p = 0.14 (McNemar exact; of scored pairs, undecided with 8 unscored)"


def test_an_unscored_repeat_leaves_its_pair_unscored(make_run, asked) -> None:
    repeats = [RIGHT, *[UNSCORED] * 7]
    ours = rows_table(make_run(*(asked("a", "448", outcome, repeat=i) for i, outcome in enumerate(repeats))))
    theirs = rows_table(make_run(*(asked("a", "448", WRONG, repeat=i) for i in range(8))))
    (line,) = paired_table(ours, theirs).to_dict("records")
    assert (line["n"], line["unscored"]) == (0, 1)
    assert (line["difference_worst"], line["difference_best"]) == (0.125, 1.0)


@pytest.mark.parametrize(("same_judge", "answers", "range_"), [(True, "aa", 0), (True, "ab", 1), (False, "aa", 1)])
def test_the_same_unscored_answer_is_worth_the_same_to_one_judge(rows, same_judge, answers, range_) -> None:
    ours, theirs = (rows([("q", UNSCORED)], answer=said) for said in answers)
    (line,) = paired_table(ours, theirs, same_judge=same_judge).to_dict("records")
    assert (line["difference_worst"], line["difference_best"]) == (-range_, range_)


def test_rotations_of_a_question_are_averaged_and_paired_with_the_same_order(make_run, asked) -> None:
    rotated = make_run(
        asked("a", "448", RIGHT), asked("a~1", "448", WRONG), asked("b", "448", RIGHT), asked("b~1", "448", RIGHT),
        asked("b~2", "448", WRONG), option_order="rotated",
    )  # fmt: skip
    rows_ = rows_table(rotated)
    assert list(rows_["question_id"]) == ["a", "a", "b", "b", "b"]
    assert list(rows_["rotation"]) == [0, 1, 0, 1, 2]
    (line,) = summarize(rows_)[lambda t: t["category"] == "overall"].to_dict("records")
    assert (line["n"], line["rows"], line["acc"]) == (2, 5, pytest.approx((1 / 2 + 2 / 3) / 2))
    plain = rows_table(make_run(asked("a", "448", RIGHT), asked("b", "448", WRONG)))
    (pair,) = paired_table(rows_, plain).to_dict("records")
    assert (pair["n"], pair["acc"], pair["acc_other"], pair["difference"]) == (2, 1.0, 0.5, 0.5)


def test_a_tilde_of_the_benchmark_is_part_of_its_id(make_run, asked) -> None:
    assert list(rows_table(make_run(asked("a~1", "448", RIGHT)))["question_id"]) == ["a~1"]


def test_rows_of_one_image_are_one_coin(rows) -> None:
    names = [f"q{i}" for i in range(8)]
    ours, theirs = (rows([(name, outcome) for name in names], cluster="one") for outcome in (RIGHT, WRONG))
    (line,) = paired_table(ours, theirs).to_dict("records")
    assert (line["n"], line["clusters"], line["p"]) == (8, 1, 1.0)


def test_repeats_are_averaged_before_they_are_compared(make_run, asked) -> None:
    outcomes = {"a": [RIGHT, RIGHT, WRONG, RIGHT], "b": [WRONG, WRONG, WRONG, WRONG]}
    ours = rows_table(make_run(*(asked(q, "448", o, repeat=i) for q, each in outcomes.items() for i, o in enumerate(each))))
    theirs = rows_table(make_run(asked("a", "448", WRONG), asked("b", "448", RIGHT)))
    (line,) = paired_table(ours, theirs).to_dict("records")
    assert (line["n"], line["acc"], line["acc_other"], line["wins"], line["losses"]) == (2, 0.375, 0.5, 1, 1)
    assert line["both"] + line["neither"] == pytest.approx(0.25)


def test_runs_without_a_common_question_have_no_pairs(rows) -> None:
    assert paired_table(rows([("a", RIGHT)]), rows([])).empty
    assert paired_table(rows([("a", RIGHT)]), rows([("a", RIGHT)], resolution="4k")).empty
    assert flips_table(rows([("a", RIGHT)]), rows([])).empty


def test_pairs_that_are_all_unscored_have_no_p(rows) -> None:
    (line,) = paired_table(rows([("a", UNSCORED)]), rows([("a", RIGHT)])).to_dict("records")
    assert (line["n"], line["unscored"]) == (0, 1)
    assert all(math.isnan(line[name]) for name in ("p", "p_holm", "difference", "acc", "detectable"))


def test_every_win_and_loss_is_listed_with_both_sides(rows) -> None:
    ours, theirs = (
        rows([("a", RIGHT), ("b", WRONG), ("c", RIGHT)], answer="X", zooms=2),
        rows([("a", WRONG), ("b", RIGHT), ("c", RIGHT)]),
    )
    lines = flips_table(ours, theirs).to_dict("records")
    assert [(line["outcome"], line["question_id"]) for line in lines] == [("win", "a"), ("loss", "b")]
    assert (lines[0]["answer"], lines[0]["answer_other"], lines[0]["reference"]) == ("X", "A", "A")
    assert (lines[0]["zooms"], lines[0]["zooms_other"]) == (2, 0)
    assert lines[0]["trajectory"] == "vstar/a/448/0"


def test_zooming_is_told_apart_by_what_the_baseline_gets_right_already(make_run, asked) -> None:
    ours = rows_table(make_run(*(asked(f"q{i}", "448", RIGHT, zooms=int(i in (0, 5, 6, 7))) for i in range(8))))
    base = rows_table(make_run(*(asked(f"q{i}", "448", RIGHT if i < 4 else WRONG) for i in range(8))))
    assert not never_zooms(ours)
    assert never_zooms(base)
    right, wrong = need_table(ours, base).to_dict("records")
    assert (right["baseline"], right["n"], right["zoomed"]) == ("right", 4, 0.25)
    assert (wrong["baseline"], wrong["n"], wrong["zoomed"], wrong["acc"]) == ("wrong", 4, 0.75, 1.0)
    assert right["zoomed_low"] < 0.25 < right["zoomed_high"]


def test_a_baseline_that_is_right_in_a_part_of_its_samples_is_neither_right_nor_wrong(make_run, asked) -> None:
    ours = rows_table(make_run(asked("a", "448", RIGHT, zooms=1), asked("b", "448", RIGHT)))
    samples = {"a": [RIGHT, WRONG], "b": [RIGHT, RIGHT]}
    base = rows_table(make_run(*(asked(q, "448", o, repeat=i) for q, each in samples.items() for i, o in enumerate(each))))
    lines = need_table(ours, base).to_dict("records")
    assert [(line["baseline"], line["n"]) for line in lines] == [("right", 1), ("wrong", 0), ("mixed", 1)]


def test_an_empty_run_is_no_baseline(rows) -> None:
    assert not never_zooms(rows([]))


@pytest.mark.parametrize(
    ("one", "other", "names"),
    [
        ({}, {}, []),
        ({"protocol": {"name": "cof", "a": 1, "b": 1}}, {"protocol": {"name": "direct", "a": 2, "b": 2}}, ["protocol"]),
        (
            {"protocol": {"name": "cof", "a": 1, "b": 1}},
            {"protocol": {"name": "cof+a=2+b=2", "a": 2, "b": 2}},
            ["protocol: a", "protocol: b"],
        ),
        ({"seed": 0, "commit": "x"}, {"seed": 1, "commit": "y"}, ["seed", "commit"]),
        ({"engine": {"engine_args": {"max_num_seqs": 1}}}, {"engine": {"engine_args": {"max_num_seqs": 9}}}, []),
        (
            {"protocol": {"name": "cof", "max_images": 6}, "engine": {"max_images": 6}},
            {"protocol": {"name": "direct", "max_images": 1}, "engine": {"max_images": 1}},
            ["protocol"],
        ),
        (
            {"protocol": {"name": "cof", "max_images": 6}, "engine": {"max_images": 6}},
            {"protocol": {"name": "cof", "max_images": 6}, "engine": {"max_images": 2}},
            ["engine"],
        ),
        ({"versions": {"a": 1, "b": 2}}, {"versions": {"a": 2, "b": 3}}, ["versions"]),
        ({"judge": {"model": "x"}}, {"judge": None}, ["judge"]),
        (
            {"option_order": "dataset", "repeats": 1},
            {"option_order": "correct_first", "repeats": 8},
            ["option_order", "repeats"],
        ),
    ],
)
def test_what_runs_differ_in_is_counted_in_things(make_run, one, other, names) -> None:
    assert [each.name for each in differences([make_run(**one), make_run(**other)])] == names


def test_a_difference_tells_each_runs_value(make_run) -> None:
    runs = [make_run(versions={"vllm": "1", "torch": "2"}), make_run(versions={"vllm": "3", "torch": "2"})]
    assert differences(runs) == [Difference("versions", ("vllm=1", "vllm=3"))]
