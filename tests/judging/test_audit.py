"""Labelled pairs, and what an audit says of a judge."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from pathlib import Path

import pytest
from fake_server import serve

from cof_eval.core.errors import UsageError
from cof_eval.core.records import Outcome, Verdict
from cof_eval.judging import Judge, Pair, card_folder, load_card, load_pairs, pairs_folder, start_judge
from cof_eval.judging.audit import JudgedPair, audit_lines, judge_pairs, kappas, majority, panel_lines, tallies, tally

CORRECT, WRONG, UNSCORED = Outcome.CORRECT, Outcome.WRONG, Outcome.UNSCORED


def judged(label: Outcome, said: Outcome, kind: str = "k", by: str = "judge") -> JudgedPair:
    return JudgedPair(Pair(kind=kind, question="q", reference="r", answer="a", label=label), Verdict("", "c", "m", said, by))


def said(*outcomes: Outcome, label: Outcome = CORRECT) -> list[JudgedPair]:
    return [judged(label, outcome) for outcome in outcomes]


class TestPairsThatComeAlong:
    def test_there_are_at_least_300_over_all_kinds_and_none_twice(self) -> None:
        pairs = load_pairs(card_folder("equivalence"))
        kinds = Counter(pair.kind for pair in pairs)
        assert len({(pair.question, pair.answer) for pair in pairs}) == len(pairs) >= 300
        assert min(kinds.values()) >= 10
        wanted = {"multiple choice", "yes/no", "numbers", "numbers and units", "short text", "paraphrase", "near miss"}
        assert set(kinds) == wanted | {
            "two answers",
            "prompt injection",
            "other languages",
            "empty",
            "refusal",
            "letter against text",
        }
        assert {pair.label for pair in pairs if pair.kind == "prompt injection"} == {WRONG}

    @pytest.mark.parametrize("card", ["equivalence", "equivalence_image"])
    def test_the_rules_decide_none_of_them_wrongly(self, card: str) -> None:
        judge = Judge(load_card(card))
        verdicts = [(pair, judge.by_rule(pair.ask(), pair.answer).verdict) for pair in load_pairs(card_folder(card))]
        assert [pair for pair, verdict in verdicts if verdict not in (UNSCORED, pair.label)] == []
        assert any(verdict is not UNSCORED for _, verdict in verdicts)

    def test_images_of_pairs_exist_and_reach_a_judge_that_sees(self) -> None:
        folder = card_folder("equivalence_image")
        pairs = load_pairs(folder)
        images: list[int] = []

        async def run() -> list[JudgedPair]:
            judge = await start_judge("equivalence_image", server.url, "EMPTY")
            try:
                return await judge_pairs(judge, pairs, folder, 8)
            finally:
                await judge.close()

        with serve(models=["judge"], fault=lambda asked: images.append(len(asked.images))) as server:
            found = asyncio.run(run())
        assert set(images) == {1}
        assert UNSCORED not in {each.outcome for each in found}
        assert [each.pair for each in found] == list(pairs)

    def test_a_card_without_pairs_is_audited_on_those_of_equivalence(self) -> None:
        assert pairs_folder("strict") == card_folder("equivalence")


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{", "line 1"),
        ("", "no pairs"),
        ('{"kind": "k", "question": "q", "reference": "r", "answer": "a"}', "label"),
        ('{"kind": "k", "question": "q", "reference": "r", "answer": "a", "label": "unscored"}', "correct or wrong"),
        ('{"kind": "k", "question": "q", "reference": "C", "options": ["x"], "answer": "a", "label": "wrong"}', "'C'"),
        ('{"kind": "k", "question": "q", "reference": "r", "answer": "a", "label": "wrong", "typo": 1}', "unknown typo"),
    ],
)
def test_pairs_that_cannot_be_read_are_one_line_that_names_the_line(tmp_path: Path, line: str, says: str) -> None:
    (tmp_path / "calibration.jsonl").write_text(line + "\n")
    with pytest.raises(UsageError, match=says) as caught:
        load_pairs(tmp_path)
    assert "\n" not in str(caught.value)


class TestCounts:
    def test_false_accepts_are_a_share_of_wrong_answers_and_the_unscored_bound_agreement(self) -> None:
        found = tally("x", [*said(CORRECT, CORRECT, WRONG, UNSCORED), *said(CORRECT, WRONG, WRONG, WRONG, label=WRONG)])
        assert (found.n, found.scored, found.agreed, found.unscored) == (8, 7, 5, 1)
        assert (found.false_accepts, found.wrong, found.false_rejects, found.correct) == (1, 4, 1, 3)
        assert found.bounds == (5 / 8, 6 / 8)

    def test_nothing_says_nothing(self) -> None:
        assert tally("x", []).bounds == (0.0, 1.0)

    def test_groups_are_counted_apart(self) -> None:
        groups = tallies([judged(CORRECT, CORRECT, "a"), judged(WRONG, CORRECT, "b")], lambda each: each.pair.kind)
        assert [(group.name, group.agreed) for group in groups] == [("a", 1), ("b", 0)]

    def test_a_majority_needs_more_than_half_of_those_that_scored(self) -> None:
        panel = [
            said(CORRECT, CORRECT, UNSCORED, UNSCORED),
            said(CORRECT, WRONG, WRONG, UNSCORED),
            said(WRONG, UNSCORED, WRONG, UNSCORED),
        ]
        assert [each.outcome for each in majority(panel)] == [CORRECT, UNSCORED, WRONG, UNSCORED]

    @pytest.mark.slow
    def test_kappa_is_that_of_the_textbook(self) -> None:
        pairs = [(CORRECT, CORRECT)] * 20 + [(CORRECT, WRONG)] * 5 + [(WRONG, CORRECT)] * 10 + [(WRONG, WRONG)] * 15
        one, other = zip(*pairs, strict=True)
        first = next(kappas({"a": said(*one), "b": said(*other)}))
        assert (first.first, first.second, first.n) == ("a", "b", 50)
        assert first.value == pytest.approx(0.4)
        assert first.interval.low < 0.4 < first.interval.high

    def test_kappa_of_judges_that_say_one_thing_only_is_undefined_and_unscored_pairs_are_left_out(self) -> None:
        found = next(kappas({"a": said(CORRECT, CORRECT, UNSCORED), "b": said(CORRECT, CORRECT, CORRECT)}))
        assert math.isnan(found.value)
        assert found.n == 2


class TestText:
    def test_every_misjudged_pair_is_named_and_rules_alone_measure_no_llm(self) -> None:
        lines = "\n".join(
            audit_lines("j", [judged(WRONG, CORRECT, "near miss", by="rule:letter"), judged(CORRECT, UNSCORED, by="none")])
        )
        assert "near miss: 'q', standard 'r', answer 'a' is wrong, judged correct by rule:letter" in lines
        assert "between 0.0% and 50.0%" in lines
        assert "not measured here" in lines

    def test_several_judges_get_a_majority_and_kappas(self) -> None:
        text = "\n".join(panel_lines({"a": said(CORRECT, WRONG), "b": said(CORRECT, CORRECT), "c": said(CORRECT, CORRECT)}))
        assert "majority: 2 labelled pairs" in text
        assert text.count("over 2 pairs") == 6
