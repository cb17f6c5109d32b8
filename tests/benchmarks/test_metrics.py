"""Metrics of benchmarks: hand-computed cases, and the traps that other harnesses fall into."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from fakes import question, trajectory
from hypothesis import given
from hypothesis import strategies as st

from cof_eval.benchmarks.metrics import ANLS, YES_NO, JudgedAnswer, judged_answer, part, row_anls, strict
from cof_eval.core.records import Outcome, Question, Stop, Verdict

RIGHT, WRONG, UNSCORED = Outcome.CORRECT, Outcome.WRONG, Outcome.UNSCORED


def opened(said: str, *known: str) -> JudgedAnswer:
    """An open question's row."""
    first, *also = known
    return JudgedAnswer(question(options=(), answer=first, also=tuple(also)), said, RIGHT)


@pytest.mark.parametrize(
    ("said", "known", "similarity"),
    [
        ("Paris", ("paris",), 1.0),
        ("  the   Hague ", ("The Hague",), 1.0),
        ("parks", ("paris",), 0.8),
        ("ab", ("ax",), 0.5),
        ("abc", ("axy",), 0.0),
        ("", ("paris",), 0.0),
        ("two", ("2", "two"), 1.0),
        ("twa", ("2", "two"), 2 / 3),
        ("東京都", ("東京部",), 2 / 3),
        ("Núñez", ("NÚÑEZ",), 1.0),
        ("the answer is paris", ("paris",), 0.0),
    ],
)
def test_anls_of_a_row(said: str, known: Sequence[str], similarity: float) -> None:
    assert row_anls(opened(said, *known)) == pytest.approx(similarity)


def test_anls_counts_rows_without_an_answer_as_nothing() -> None:
    rows = [opened("paris", "paris"), opened("", "paris")]
    assert ANLS.of(rows) == 0.5


@given(st.text(), st.text(min_size=1).filter(str.strip), st.text())
def test_anls_is_a_share_and_more_accepted_answers_never_lower_it(said: str, known: str, more: str) -> None:
    one = row_anls(opened(said, known))
    assert one == 0 or 0.5 <= one <= 1
    assert row_anls(opened(said, known, more)) >= one


def yes_no(standard: str, outcome: Outcome, said: str = "said") -> JudgedAnswer:
    return JudgedAnswer(question(options=(), answer=standard), said, outcome)


def figures(rows: Sequence[JudgedAnswer]) -> dict[str, float]:
    return {metric.name: metric.of(rows) for metric in YES_NO}


class TestYesNo:
    def test_counts_by_hand(self) -> None:
        rows = [yes_no("yes", RIGHT)] * 3 + [yes_no("yes", WRONG)] + [yes_no("no", WRONG)] * 2 + [yes_no("no", RIGHT)] * 4
        precision, recall = 3 / 5, 3 / 4
        expected = {
            "precision": precision,
            "recall": recall,
            "f1": 2 * precision * recall / (precision + recall),
            "yes_ratio": 5 / 10,
        }
        assert figures(rows) == pytest.approx(expected)

    def test_yes_ratio_is_of_what_was_said_not_of_the_labels(self) -> None:
        rows = [yes_no("yes", WRONG), yes_no("no", RIGHT)]
        assert figures(rows)["yes_ratio"] == 0

    def test_an_answer_that_is_missing_says_neither(self) -> None:
        rows = [yes_no("no", WRONG, said=""), yes_no("yes", WRONG, said=""), yes_no("yes", RIGHT)]
        assert figures(rows) == pytest.approx({"precision": 1.0, "recall": 1 / 2, "f1": 2 / 3, "yes_ratio": 1 / 3})

    def test_unscored_rows_are_left_out(self) -> None:
        assert figures([yes_no("yes", RIGHT), yes_no("no", UNSCORED)]) == dict.fromkeys(
            ("precision", "recall", "f1", "yes_ratio"), 1.0
        )

    def test_where_nobody_said_yes_there_is_nothing_to_be_precise_about(self) -> None:
        found = figures([yes_no("yes", WRONG), yes_no("no", RIGHT)])
        assert (found["recall"], found["f1"], found["yes_ratio"]) == (0, 0, 0)
        assert math.isnan(found["precision"])

    @pytest.mark.slow
    def test_figures_are_those_of_scikit_learn(self) -> None:
        from sklearn.metrics import precision_recall_fscore_support

        rows = [yes_no(standard, RIGHT if i % 3 else WRONG) for i, standard in enumerate(["yes", "no", "yes", "yes", "no"] * 7)]
        standard = [row.question.answer for row in rows]
        said = [
            row.question.answer if row.outcome is RIGHT else {"yes": "no", "no": "yes"}[row.question.answer] for row in rows
        ]
        expected = precision_recall_fscore_support(standard, said, labels=["yes"])
        assert [figures(rows)[name] for name in ("precision", "recall", "f1")] == pytest.approx([e[0] for e in expected[:3]])

    def test_no_rows_say_nothing(self) -> None:
        assert all(math.isnan(value) for value in figures([]).values())


def turned(outcome: Outcome, turn: int, cluster: str = "image", stem: str = "Which?") -> JudgedAnswer:
    options = ("a", "b", "c", "d")
    shown = options[turn:] + options[:turn]
    lines = "".join(f"\n({letter}) {text}" for letter, text in zip("ABCD", shown, strict=True))
    return JudgedAnswer(question(cluster=cluster, text=stem + lines, options=shown, answer="A"), "x", outcome)


class TestStrict:
    def test_a_question_is_right_only_in_all_rotations(self) -> None:
        rows = [turned(RIGHT, turn, "a") for turn in range(4)] + [
            turned(RIGHT if turn else WRONG, turn, "b") for turn in range(4)
        ]
        assert strict(4).of(rows) == 1 / 2

    def test_unscored_is_not_right(self) -> None:
        assert strict(4).of([turned(RIGHT if turn else UNSCORED, turn) for turn in range(4)]) == 0

    def test_two_questions_about_one_image_are_two(self) -> None:
        rows = [turned(RIGHT, turn, stem="One?") for turn in range(4)] + [turned(WRONG, turn, stem="Two?") for turn in range(4)]
        assert strict(4).of(rows) == 1 / 2

    def test_a_question_with_missing_rows_is_not_counted(self) -> None:
        rows = [turned(WRONG, turn, "a") for turn in range(4)] + [turned(RIGHT, 0, "b")]
        assert strict(4).of(rows) == 0
        assert math.isnan(strict(4).of(rows[4:]))


def test_a_part_is_its_category_and_what_lies_below_it() -> None:
    rows = [
        JudgedAnswer(question(category=category), "x", outcome)
        for category, outcome in (
            ("Perception/OCR", RIGHT),
            ("Perception", WRONG),
            ("Perceptions/OCR", RIGHT),
            ("Reasoning/X", WRONG),
        )
    ]
    assert part("perception", "Perception").of(rows) == 1 / 2
    assert math.isnan(part("other", "Other").of(rows))


@pytest.mark.parametrize(("stop", "said"), [(Stop.ANSWERED, "B"), (Stop.NO_ANSWER, ""), (Stop.ERROR, "")])
def test_a_row_says_what_its_trajectory_answered(stop: Stop, said: str) -> None:
    verdict = Verdict("k", "card", "", WRONG, "rule:letter")
    row = judged_answer(question(), trajectory(stop=stop, answer="B"), verdict)
    assert (row.answer, row.outcome, str(row)) == (said, WRONG, "wrong")


def test_a_row_of_which_nothing_is_known_is_unscored() -> None:
    asked: Question = question()
    assert judged_answer(asked, None, None) == JudgedAnswer(asked, "", UNSCORED)
