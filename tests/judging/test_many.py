"""Many judgements at once: bounded, in order, and stopped by the first failure."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cof_eval.core.errors import RunError
from cof_eval.judging import judge_many


class Gate:
    """Judges a number once others had their turn, and counts how many are under way."""

    def __init__(self, waits: list[int]) -> None:
        self.waits = waits
        self.running = self.most = self.cancelled = 0

    async def judge(self, number: int) -> int:
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            for _ in range(self.waits[number % len(self.waits)]):
                await asyncio.sleep(0)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.running -= 1
        return number * 10


@given(st.integers(0, 40), st.integers(1, 12), st.lists(st.integers(0, 5), min_size=1, max_size=7))
def test_results_keep_the_order_and_no_more_run_than_allowed(count: int, concurrency: int, waits: list[int]) -> None:
    gate = Gate([wait + 1 for wait in waits])
    results = asyncio.run(judge_many(range(count), gate.judge, concurrency=concurrency))
    assert results == [number * 10 for number in range(count)]
    assert gate.most == min(count, concurrency)


def test_an_item_is_taken_only_when_a_place_is_free() -> None:
    gate, taken = Gate([3]), 0

    def items() -> Iterator[int]:
        nonlocal taken
        for number in range(50):
            taken += 1
            assert gate.running < 4
            yield number

    asyncio.run(judge_many(items(), gate.judge, concurrency=4))
    assert taken == 50


def test_the_first_failure_is_raised_as_it_is_and_the_others_stop() -> None:
    gate = Gate([1_000_000])

    async def judge(number: int) -> int:
        if number == 2:
            raise RunError("the disk is full")
        return await gate.judge(number)

    with pytest.raises(RunError, match="the disk is full"):
        asyncio.run(judge_many(range(100), judge, concurrency=5))
    assert (gate.running, gate.cancelled) == (0, 4)
