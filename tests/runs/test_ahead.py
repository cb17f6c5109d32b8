"""Images are looked at on all cores, within a bound on memory, and never ahead of what the rollouts can take."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from fakes import job, planner, stored, trajectory

from cof_eval.core.byte_budget import ByteBudget
from cof_eval.runs.ahead import Ahead, at_once, pixel_bytes
from cof_eval.runs.plan import PlannedJob


@pytest.mark.parametrize(
    ("cores", "concurrency", "expected"), [(1, 64, 4), (16, 64, 16), (128, 64, 64), (16, 2, 4), (128, 1, 4)]
)
def test_as_many_as_there_are_cores_and_rollouts(
    monkeypatch: pytest.MonkeyPatch, cores: int, concurrency: int, expected: int
) -> None:
    monkeypatch.setattr("cof_eval.runs.ahead._cores", lambda: cores)
    assert at_once(concurrency) == expected


def plans(count: int, side: int = 112) -> list[PlannedJob]:
    return [planner().plan(job(i, "224", stored(side, side, seed=i))) for i in range(count)]


def test_all_are_looked_at_at_once_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cof_eval.runs.ahead._cores", lambda: 6)
    together = threading.Barrier(6, timeout=30)

    def look(plan: PlannedJob) -> Any:
        together.wait()  # raises if fewer than six ever meet
        return trajectory(key=plan.key)

    async def run() -> list[str]:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(32))
        ahead, found = Ahead(look, 64), []
        filling = asyncio.ensure_future(ahead.fill(pending, 1, lambda: False))
        while (prepared := await ahead.take()) is not None:
            found.append(prepared.key)  # type: ignore[union-attr]
        await filling
        return found

    pending = plans(12)
    assert sorted(asyncio.run(run())) == sorted(plan.key for plan in pending)


@pytest.mark.parametrize("room", [0.5, 1, 2.5])
def test_pixels_never_exceed_the_budget(room: float) -> None:
    pending = plans(9)
    one = pixel_bytes(pending[0])
    budget = ByteBudget(int(room * one))
    most = 0

    async def run() -> int:
        nonlocal most
        ahead, count = Ahead(lambda plan: trajectory(key=plan.key), 64, budget), 0
        filling = asyncio.ensure_future(ahead.fill(pending, 1, lambda: False))
        while await ahead.take() is not None:
            count += 1
            most = max(most, budget.held)
        await filling
        return count

    assert asyncio.run(run()) == 9
    assert 0 < most <= budget.most
    assert budget.held == 0


def test_a_stop_begins_no_more() -> None:
    async def run() -> object:
        ahead = Ahead(lambda plan: trajectory(), 4)
        await ahead.fill(plans(50), 1, lambda: True)
        return await ahead.take()

    assert asyncio.run(run()) is None
