"""One id is one question: in a run whose data repeat ids, and between runs on other data."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from fakes import ScriptedEngine, answer, answer_all, job, planner, question, stored

from cof_eval.core.distinct import distinct_ids
from cof_eval.core.option_order import OptionOrder, OrderKind, apply_orders
from cof_eval.core.records import Outcome
from cof_eval.report.report_run import report_runs
from cof_eval.runs.folder import load_run

RIGHT, WRONG = Outcome.CORRECT, Outcome.WRONG


@pytest.mark.parametrize(
    ("ids", "distinct"),
    [
        (["a", "a", "a"], ["a", "a#2", "a#3"]),
        (["a", "a", "a#2"], ["a", "a#3", "a#2"]),
        (["a#2", "a", "a", "a#2"], ["a#2", "a", "a#3", "a#2#2"]),
        ([], []),
    ],
)
def test_no_id_that_is_made_equals_one_that_was_given(ids: list[str], distinct: list[str]) -> None:
    assert distinct_ids(ids) == distinct


def test_rotations_of_two_questions_never_share_an_id() -> None:
    rows = apply_orders([question(id="1"), question(id="1~2")], OptionOrder(OrderKind.ROTATED))
    assert len({each.id for _, each in rows}) == len(rows) == 8
    assert [place for place, _ in rows] == [0] * 4 + [1] * 4


def test_a_run_of_earlier_versions_with_repeated_ids_counts_every_question(tmp_path: Path) -> None:
    """Two of three rows have the id 0, as in a V* folder whose ids restart per category."""
    plans = [planner().plan(replace(job(i, source=stored(seed=i)), question=question(id=name, text=f"{i}?\n(A) red\n(B) blue"
        "\n(C) green\n(D) white", answer=right))) for i, (name, right) in enumerate([("0", "B"), ("1", "B"), ("0", "A")])]  # fmt: skip
    answer_all(tmp_path / "run", plans, ScriptedEngine([answer("B")]))
    run = load_run(tmp_path / "run")
    assert [row.question_id for row in run.rows] == ["0", "1", "0#2"]
    (made,) = report_runs([run])
    line = made.sweep[made.sweep["category"] == "overall"].iloc[0]
    assert (line["n"], line["planned"], round(line["acc"], 3)) == (3, 3, 0.667)
    assert any("1 rows have the id of another row" in note for note in run.settings["notes"])


class TestTwoRuns:
    def pairs(self, ours, theirs):
        first, second = report_runs([ours, theirs])
        return first.pairs_with(second), second

    def other(self, run, **changes):
        """The run on other data: its questions changed, its ids not."""
        ended = {key: replace(t, question=replace(t.question, **changes)) for key, t in run.trajectories.items()}
        return replace(run, trajectories=ended, settings={**run.settings, "label": "other"})

    def test_equal_questions_are_compared(self, make_run, asked) -> None:
        run = make_run(asked("a", "448", RIGHT), asked("b", "448", RIGHT))
        table, _ = self.pairs(run, self.other(run, category="renamed"))
        assert list(table["n"]) == [2]

    @pytest.mark.parametrize("changes", [{"text": "How?"}, {"answer": "B"}, {"options": ("x", "y", "z", "w")}])
    def test_other_questions_under_equal_ids_are_not(self, make_run, asked, changes) -> None:
        run = make_run(asked("a", "448", RIGHT), asked("a", "224", RIGHT))
        table, second = self.pairs(run, self.other(run, **changes))
        assert table.empty
        assert set(second.rows["question_id"]) == {"a#2"}
        assert "1 questions have the id of another question in model · cof" in second.run.settings["notes"][-1]

    def test_other_images_are_other_questions(self, make_run, asked) -> None:
        run = make_run(asked("a", "448", RIGHT))
        ended = {k: replace(t, image=replace(t.image, hash="another")) for k, t in run.trajectories.items()}
        assert self.pairs(run, replace(run, trajectories=ended))[0].empty

    def test_options_in_another_order_are_the_same_question(self, make_run, asked) -> None:
        run = make_run(asked("a", "448", RIGHT))
        shown = [
            ("What?\n(A) a\n(B) b\n(C) c\n(D) d", tuple("abcd"), "A"),
            ("What?\n(A) b\n(B) a\n(C) c\n(D) d", tuple("bacd"), "B"),
        ]
        runs = [self.other(run, text=text, options=options, answer=right) for text, options, right in shown]
        assert list(self.pairs(*runs)[0]["n"]) == [1]

    def test_an_id_that_is_made_is_taken_by_nobody(self, make_run, asked) -> None:
        run = make_run(asked("a", "448", RIGHT), asked("a#2", "448", WRONG))
        _, second = self.pairs(run, self.other(run, text="How?"))
        assert set(second.rows["question_id"]) == {"a#3", "a#2#2"}
