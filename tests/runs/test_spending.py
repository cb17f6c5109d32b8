"""Budgets: a run stops before it would cost more, with all turns under way counted, and resumes with a higher one."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from fakes import CARD, ScriptedEngine, ScriptedJudgeClient, answer, sample, wander

from cof_eval.agent.engine import Request
from cof_eval.agent.protocols import COF
from cof_eval.core.errors import BudgetReachedError, JudgeError
from cof_eval.core.journal import Journal, read_journal
from cof_eval.core.records import Stop, Trajectory, Verdict
from cof_eval.core.settings import KeepImages
from cof_eval.judging import Judge
from cof_eval.runs.evaluate import Evaluation
from cof_eval.runs.folder import RunFolder
from cof_eval.runs.prices import ModelPrices, Use, use_of
from cof_eval.runs.spending import FILE, Paid, PricedEngine, PricedJudge, judge_use, spent_before
from cof_eval.runs.wallet import NEW, Wallet

PRICES = ModelPrices(input=100.0, output=100.0)
JUDGE = ModelPrices(input=10.0, output=10.0)
PROTOCOL = replace(COF, max_new_tokens=64)
PLANS = sample(images=5, resolutions=("224", "448"))


class Metered(ScriptedEngine):
    """Counts what its turns cost, apart from the code under test."""

    dollars = 0.0

    def _respond(self, request: Request, text: str):  # type: ignore[no-untyped-def]
        response = super()._respond(request, text)
        self.dollars += (response.prompt_tokens + response.output_tokens) * 100 / 1e6
        return response


def run(
    path: Path, limit: float | None, engine: ScriptedEngine, client: ScriptedJudgeClient | None = None, concurrency: int = 4
) -> str:
    """One session under a budget; why it stopped, or ""."""

    async def session() -> None:
        judge = Judge(CARD, client)
        tasks = dict(Counter(plan.job.task for plan in PLANS))
        with (
            RunFolder(path, {"model": "tiny", "tasks": tasks}, keep_images=KeepImages.NONE) as folder,
            Journal(path / FILE, Paid) as journal,
        ):
            wallet = Wallet(limit, sum(spent_before(path, PRICES, JUDGE, judge.model)))
            paid = PricedJudge(judge, JUDGE, wallet) if client else judge
            work = Evaluation(
                engine=PricedEngine(engine, PRICES, wallet, journal),
                protocol=PROTOCOL,
                run=folder,
                judge=paid,
                concurrency=concurrency,
            )
            await work.answer(PLANS)

    try:
        asyncio.run(session())
    except BudgetReachedError as error:
        return str(error)
    return ""


def ended(path: Path) -> set[str]:
    return {t.key for t in read_journal(path / "trajectories.jsonl", Trajectory) if t.stop is not Stop.ERROR}


WHOLE = {plan.key for plan in PLANS}


@pytest.mark.parametrize("concurrency", [1, 8])
def test_a_run_stops_before_its_budget_and_resumes_with_a_higher_one_until_it_is_whole(
    tmp_path: Path, concurrency: int
) -> None:
    everything = Metered(wander)
    assert run(tmp_path / "free", None, everything) == ""
    spent, sessions, limit = 0.0, 0, 0.0
    while ended(tmp_path / "run") != WHOLE if (tmp_path / "run").exists() else True:
        engine, sessions, limit = Metered(wander), sessions + 1, limit + everything.dollars / 3
        stopped = run(tmp_path / "run", limit, engine, concurrency=concurrency)
        spent += engine.dollars
        assert spent <= limit
        assert spent_before(tmp_path / "run", PRICES, None)[0] == pytest.approx(spent)
        assert stopped.startswith("the budget of $") == (ended(tmp_path / "run") != WHOLE)
        assert sessions < 20
    assert sessions > 2


def test_nothing_is_asked_beyond_a_budget_that_is_spent(tmp_path: Path) -> None:
    run(tmp_path, 0.05, Metered(wander))
    engine = Metered(wander)
    assert "is reached" in run(tmp_path, 0.05, engine)
    assert engine.dollars == 0


def test_a_finished_run_is_resumed_under_any_budget(tmp_path: Path) -> None:
    assert run(tmp_path, None, Metered(wander)) == ""
    assert run(tmp_path, 1e-9, Metered(wander)) == ""


def test_what_sessions_without_prices_spent_counts(tmp_path: Path) -> None:
    run(tmp_path, None, Metered(wander))
    (tmp_path / FILE).unlink()
    uses = sum((use_of(t) for t in read_journal(tmp_path / "trajectories.jsonl", Trajectory)), Use())
    assert spent_before(tmp_path, PRICES, None)[0] == pytest.approx(PRICES.dollars(uses))


def test_a_failed_turn_frees_its_place(tmp_path: Path) -> None:
    engine = Metered(wander, fail=lambda request: len(request.images) > 1)
    assert run(tmp_path, 5.0, engine) == ""
    assert spent_before(tmp_path, PRICES, None)[0] == pytest.approx(engine.dollars)


def test_the_judge_pays_too_and_what_it_is_not_asked_stays_unscored_until_there_is_more(tmp_path: Path) -> None:
    client = ScriptedJudgeClient()
    assert run(tmp_path, None, Metered(lambda request, turn: answer("bluish")), client) == ""
    verdicts = list(read_journal(tmp_path / "verdicts.jsonl", Verdict))
    asked = len(client.prompts)
    assert judge_use(verdicts) == Use(prompt_tokens=100 * asked, output_tokens=asked)
    assert spent_before(tmp_path, None, JUDGE, client.model)[1] == pytest.approx(asked * 101 * 10 / 1e6)
    assert spent_before(tmp_path, None, JUDGE, "another judge")[1] == 0
    judge = PricedJudge(Judge(CARD, client), JUDGE, Wallet(1e-9))
    with pytest.raises(JudgeError, match="not asked: the budget"):
        asyncio.run(judge.ask("p", None))
    assert len(client.prompts) == asked


def test_requests_wait_for_those_under_way_and_begun_rollouts_go_first() -> None:
    order: list[str] = []
    free = asyncio.Event()

    async def pay(wallet: Wallet, name: str, rank: int, cost: float) -> None:
        async with wallet.pay(6.0, rank=rank) as bill:
            order.append(name)
            await free.wait()
            bill.dollars = cost

    async def both() -> Wallet:
        wallet = Wallet(10.0)
        first = asyncio.create_task(pay(wallet, "first", NEW, 1.0))
        while not order:
            await asyncio.sleep(0)
        later = [asyncio.create_task(pay(wallet, "new", NEW, 1.0)), asyncio.create_task(pay(wallet, "begun", 1, 1.0))]
        while len(wallet._waiting) < 2:
            await asyncio.sleep(0)
        free.set()
        await asyncio.gather(first, *later)
        return wallet

    wallet = asyncio.run(both())
    assert order == ["first", "begun", "new"]
    assert (wallet.spent, wallet.reserved, wallet.under_way) == (3.0, 0.0, 0)


def test_a_request_that_is_cancelled_while_it_waits_holds_up_nobody() -> None:
    async def waits() -> float:
        wallet = Wallet(10.0)
        async with wallet.pay(8.0, rank=NEW):
            waiting = asyncio.create_task(wallet._enter(5.0, NEW))
            await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
            async with wallet.pay(1.0, rank=NEW) as bill:
                bill.dollars = 1.0
        return wallet.spent

    assert asyncio.run(waits()) == 1.0


def test_a_server_that_counts_more_tokens_than_expected_is_expected_to_do_so_again(tmp_path: Path) -> None:
    engine = Metered(wander)
    engine.text_tokens = lambda text: 0  # type: ignore[method-assign]
    with Journal(tmp_path / FILE, Paid) as journal:
        priced = PricedEngine(engine, PRICES, Wallet(), journal)
        priced._more = 2.5
        request = Request(conversation="c", messages=(), max_tokens=10)
        assert priced._dearest(request, 100) == pytest.approx((250 + 10) * 100 / 1e6)
