"""A finished run judged again: nothing asked twice, nothing lost whatever the judge does, earlier verdicts kept."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import hypothesis
import pytest
from fake_server import ChatRequest, Fault, serve
from hypothesis import given
from hypothesis import strategies as st
from rejudging import ANSWERS, HASTY, again, made

from cof_eval.core.errors import RunError, UsageError
from cof_eval.core.journal import read_journal
from cof_eval.core.records import Outcome, Stop, Verdict
from cof_eval.judging import Card, Judge, load_card
from cof_eval.judging.identity import same_name, who
from cof_eval.judging.judge import JudgeReply
from cof_eval.runs.folder import RunFolder, load_run
from cof_eval.runs.rejudge import rejudge

pytestmark = pytest.mark.slow


def by_meaning(prompt: str) -> str:
    """A judge that looks at the answer alone."""
    said = prompt.rpartition("BEGIN ANSWER\n")[2].partition("\nEND ANSWER")[0]
    return "1" if said[-1:] in "02468" else "0"


def outcomes(path: Path) -> dict[str, Outcome]:
    return {key: verdict.verdict for key, verdict in load_run(path).verdicts.items()}


@pytest.fixture
def whole(tmp_path: Path) -> dict[str, Outcome]:
    with serve(models=["judge"], label=by_meaning) as server:
        again(made(tmp_path / "whole"), server)
    return outcomes(tmp_path / "whole")


def test_rules_and_judge_together_score_all_and_a_stop_needs_nobody(tmp_path: Path, whole: dict[str, Outcome]) -> None:
    verdicts = load_run(tmp_path / "whole").verdicts
    assert len(whole) == len(ANSWERS) + 1
    assert Counter(verdict.by.partition(":")[0] for verdict in verdicts.values()) == {"rule": 2, "judge": 21, "stop": 1}


def test_nothing_is_asked_twice_and_the_earlier_verdicts_stay(tmp_path: Path) -> None:
    run = made(tmp_path / "run")
    with serve(models=["judge"], label=by_meaning) as server:
        assert again(run, server).total == len(ANSWERS)
        first = (run / "verdicts.jsonl").read_bytes()
        assert again(run, server).total == 0
        assert len(server.judged) == 21
        again(run, card="strict")
    assert (run / "verdicts.jsonl").read_bytes().startswith(first)
    strict = load_run(run, "strict")
    assert sum(verdict.verdict is Outcome.UNSCORED for verdict in strict.verdicts.values()) == 21
    for name in (None, "equivalence", "equivalence:judge"):
        used = load_run(run, name)
        assert used.settings["judge"]["model"] == "judge"
        assert Outcome.UNSCORED not in {verdict.verdict for verdict in used.verdicts.values()}
    with pytest.raises(RunError, match=r"no verdicts of judge 'nonesuch'; it has old, strict, equivalence:judge\. Make"):
        load_run(run, "nonesuch")
    with pytest.raises(RunError, match="no verdicts of judge 'equivalence:other'"):
        load_run(run, "equivalence:other")


def test_rules_alone_never_replace_scored_rows_by_unscored_ones(tmp_path: Path) -> None:
    run = made(tmp_path / "run")
    assert again(run, card="strict").kept == 0  # nothing was scored before
    assert load_run(run).settings["judge"]["card"].startswith("strict@")
    with serve(models=["judge"]) as server:
        again(run, server)
    before = outcomes(run)
    assert again(run, card="equivalence").kept == 0  # the same card: its verdicts stay in use
    assert again(run, card="strict").kept == 21
    assert again(run, card="equivalence_image").kept == 21
    assert outcomes(run) == before


def test_rules_alone_come_into_use_where_they_take_no_score_away(tmp_path: Path) -> None:
    run = made(tmp_path / "run", ["B", "A. red"])
    with serve(models=["judge"]) as server:
        again(run, server)
    assert again(run, card="strict").kept == 0
    assert load_run(run).settings["judge"]["card"].startswith("strict@")


ROOTS = ("Qwen/Qwen2.5-VL-7B-Instruct", "Qwen/Qwen2.5-VL-72B-Instruct")


def test_another_model_under_the_same_served_name_judges_anew_and_both_can_be_chosen(tmp_path: Path) -> None:
    run = made(tmp_path / "run")
    for root, label in zip(ROOTS, "01", strict=True):
        with serve(models=["judge"], root=root, version="0.32.0", label=lambda prompt, label=label: label) as server:
            assert again(run, server).total == len(ANSWERS)
            assert again(run, server).total == 0
    for root, outcome in zip(ROOTS, (Outcome.WRONG, Outcome.CORRECT), strict=True):
        for model in (root, root.rpartition("/")[2]):
            data = load_run(run, f"equivalence:{model}")
            assert data.settings["judge"]["served"]["root"] == root
            assert {verdict.verdict for verdict in data.verdicts.values() if verdict.by == "judge"} == {outcome}
    assert load_run(run).settings["judge"]["model"].startswith(ROOTS[1])


@pytest.mark.parametrize(
    "told", [{"root": "a"}, {"version": "0.32.0"}, {"root": "a", "context": 4096}, {"root": "a", "version": "0.31.0"}]
)
def test_whatever_else_a_server_tells_makes_another_judge(tmp_path: Path, told: dict[str, str]) -> None:
    run = made(tmp_path / "run")
    with serve(models=["judge"], root="a", version="0.32.0") as server:
        again(run, server)
    with serve(models=["judge"], **told) as server:
        assert again(run, server).total == len(ANSWERS)


def test_servers_with_different_models_under_one_name_are_refused(tmp_path: Path) -> None:
    run = made(tmp_path / "run")
    with (
        serve(models=["judge"], root="a") as one,
        serve(models=["judge"], root="b") as other,
        pytest.raises(UsageError, match="different models under one name"),
    ):
        again(run, one, other)


def test_a_verdict_set_of_an_earlier_version_is_found_by_its_served_name(tmp_path: Path) -> None:
    run = made(tmp_path / "run")
    with serve(models=["judge"]) as server:
        again(run, server)
    used = load_run(run).settings["judge"]
    assert set(used) == {"card", "model"}
    assert who(used) == "'judge' (served name only)"
    with serve(models=["judge"], root=ROOTS[0]) as server:
        again(run, server)
    assert same_name(load_run(run).settings["judge"], [used]) == used
    assert load_run(run, "equivalence:judge").settings["judge"]["served"]["root"] == ROOTS[0]  # the latest that fits
    old = load_run(run, f"{used['card']}:judge")
    assert old.settings["judge"]["model"]


@pytest.mark.parametrize("concurrency", [1, 3, 64])
@pytest.mark.parametrize("several", [False, True])
def test_verdicts_depend_neither_on_order_nor_concurrency_nor_servers(
    tmp_path: Path, whole: dict[str, Outcome], concurrency: int, several: bool
) -> None:
    with serve(models=["judge"], label=by_meaning) as one, serve(models=["judge"], label=by_meaning) as other:
        again(made(tmp_path / "run"), *([one, other] if several else [one]), concurrency=concurrency)
    assert outcomes(tmp_path / "run") == whole
    assert bool(other.judged) is several


class Stopped(Exception):
    """What ends a re-judging half-way."""


class Reader:
    """A judge that looks at the answer alone, takes its time, and may end everything after some answers."""

    model = "reader"

    def __init__(self, chance: random.Random, stop_after: int | None) -> None:
        self.chance, self.stop_after = chance, stop_after
        self.asked: list[str] = []

    async def ask(self, prompt: str, card: Card, image: bytes | None = None) -> JudgeReply:
        for _ in range(self.chance.randrange(4)):
            await asyncio.sleep(0)
        if len(self.asked) == self.stop_after:
            raise Stopped
        self.asked.append(prompt)
        return JudgeReply(by_meaning(prompt))

    async def close(self) -> None:
        """Nothing to close."""


def verdicts_by_answer(path: Path) -> dict[str, tuple[Outcome, str, str]]:
    data = load_run(path)
    found = [(t, data.verdicts[key]) for key, t in data.trajectories.items() if t.stop is Stop.ANSWERED]
    return {t.answer: (verdict.verdict, verdict.by, verdict.label) for t, verdict in found}


@hypothesis.settings(max_examples=15, deadline=None)
@given(
    st.permutations(ANSWERS), st.integers(1, 30), st.lists(st.integers(0, 12), max_size=3), st.randoms(use_true_random=False)
)
def test_a_verdict_depends_on_no_order_concurrency_or_restart(
    answers: list[str], concurrency: int, stops: list[int], chance: random.Random
) -> None:
    expected = {said: (Outcome.WRONG, "judge", "0") for said in ANSWERS}
    expected |= {said: (Outcome.CORRECT, "judge", "1") for said in ANSWERS if said[-1] in "02468"}
    expected |= {"B": (Outcome.CORRECT, "rule:letter", "B"), "A. red": (Outcome.WRONG, "rule:letter_text", "A")}
    with TemporaryDirectory() as folder:
        run = made(Path(folder) / "run", answers)
        for stop in [*stops, None]:
            judge = Judge(load_card("equivalence"), Reader(chance, stop))
            with contextlib.suppress(Stopped):
                asyncio.run(rejudge(run, judge, concurrency))
        assert verdicts_by_answer(run) == expected
        keys = [verdict.key for verdict in read_journal(run / "verdicts.jsonl", Verdict)]
        assert len(keys) == len(set(keys)) == len(ANSWERS)


FAULTS = [Fault.BUSY, Fault.BROKEN, Fault.OVERLOADED, Fault.HANG, Fault.WEB_PAGE, Fault.BAD_JSON, Fault.TRUNCATED, Fault.RESET,
          Fault.DROP, Fault.DRIP, Fault.NO_CHOICE, Fault.FILTERED]  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_whatever_a_judge_suffers_no_verdict_is_lost_or_invented_and_another_pass_completes_them(
    tmp_path: Path, whole: dict[str, Outcome], fault: Fault
) -> None:
    chance, run = random.Random(fault.value), made(tmp_path / "run")

    def sometimes(asked: ChatRequest) -> Fault | None:
        return fault if chance.random() < 0.4 else None

    with serve(models=["judge"], label=by_meaning, fault=sometimes) as server:
        counts = again(run, server, retry_policy=HASTY)
    assert sum(counts.outcomes.values()) == counts.total == len(ANSWERS)
    after = outcomes(run)
    assert {key: outcome for key, outcome in after.items() if outcome is not Outcome.UNSCORED}.items() <= whole.items()
    assert all(v.reason for v in load_run(run).verdicts.values() if v.verdict is Outcome.UNSCORED)
    with serve(models=["judge"], label=by_meaning) as server:
        again(run, server)
        assert len(server.judged) == sum(outcome is Outcome.UNSCORED for outcome in after.values())
    assert outcomes(run) == whole


@pytest.mark.parametrize("label", ["2", "", "correct", "1 0", "Judgement: 1 or 0", "\x00"])
def test_what_is_no_label_is_unscored_and_completed_later(tmp_path: Path, whole: dict[str, Outcome], label: str) -> None:
    run = made(tmp_path / "run")
    with serve(models=["judge"], label=lambda prompt: label) as server:
        assert again(run, server).outcomes[Outcome.UNSCORED] == 21
    with serve(models=["judge"], label=by_meaning) as server:
        again(run, server)
    assert outcomes(run) == whole


def test_replies_that_were_cut_are_unscored_and_completed_later(tmp_path: Path, whole: dict[str, Outcome]) -> None:
    run = made(tmp_path / "run")
    with serve(models=["judge"], label=by_meaning, finish="length") as server:
        assert again(run, server).outcomes[Outcome.UNSCORED] == 21
    assert {v.reason for v in load_run(run).verdicts.values() if v.verdict is Outcome.UNSCORED} == {
        "the judge's reply was cut (finish reason 'length')"
    }
    with serve(models=["judge"], label=by_meaning) as server:
        again(run, server)
        assert len(server.judged) == 21
    assert outcomes(run) == whole


def test_a_judge_that_dies_for_good_leaves_the_rest_unscored(tmp_path: Path, whole: dict[str, Outcome]) -> None:
    run = made(tmp_path / "run")
    with serve(models=["judge"]) as server:

        def dying(prompt: str) -> str:
            if len(server.judged) > 6:
                server.stopping.set()
            return by_meaning(prompt)

        server.label = dying
        again(run, server, concurrency=2)
    left = sum(outcome is Outcome.UNSCORED for outcome in outcomes(run).values())
    assert 0 < left < 21
    with serve(models=["judge"], label=by_meaning) as server:
        again(run, server)
        assert len(server.judged) == left
    assert outcomes(run) == whole


def test_a_server_without_structured_output_is_asked_without_and_its_dressed_label_read(
    tmp_path: Path, whole: dict[str, Outcome]
) -> None:
    run = made(tmp_path / "run")

    def refuses(asked: ChatRequest) -> Fault | None:
        return Fault.CONTEXT if "structured_outputs" in asked.body else None

    with serve(models=["judge"], fault=refuses, reply=lambda asked: f"**Judgement: {by_meaning(asked.text)}**") as server:
        again(run, server, concurrency=1)
    assert outcomes(run) == whole
    assert len(server.judged) == 1  # refused once, never tried again


def test_a_card_that_sees_the_image_leaves_unscored_what_was_not_kept_and_asks_for_each_image(tmp_path: Path) -> None:
    run = made(tmp_path / "run", [ANSWERS[3]] * 3)
    with serve(models=["judge"]) as server:
        assert again(run, server, card="equivalence_image").outcomes == {Outcome.UNSCORED: 3}
    assert server.judged == []
    assert all("--keep-images" in v.reason for v in load_run(run).verdicts.values() if v.by == "judge")


def test_a_folder_that_cannot_be_written_is_one_error_and_the_next_pass_goes_on(
    tmp_path: Path, whole: dict[str, Outcome]
) -> None:
    run = made(tmp_path / "run")
    with serve(models=["judge"], label=by_meaning) as server:
        with RunFolder(run, load_run(run).settings), pytest.raises(RunError, match="in use"):
            again(run, server)
        again(run, server)
    assert outcomes(run) == whole
    keys = [verdict.key for verdict in read_journal(run / "verdicts.jsonl", Verdict)]
    assert len(keys) == len(set(keys)) == len(ANSWERS)
