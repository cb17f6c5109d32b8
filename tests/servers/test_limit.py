"""How many requests a server takes at once is learnt from its refusals."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from cof_eval.servers.limit import AdaptiveLimit


def test_a_refusal_halves_and_each_full_round_adds_one() -> None:
    limit = AdaptiveLimit(16)
    limit.record_refusal()
    assert limit.limit == 8
    for _ in range(9):
        limit.record_success()
    assert 9 <= limit.limit < 9.1


def test_a_burst_of_refusals_counts_once() -> None:
    async def burst() -> float:
        limit = AdaptiveLimit(16)

        async def one() -> None:
            async with limit.place():
                await asyncio.sleep(0)
                limit.record_refusal()

        await asyncio.gather(*(one() for _ in range(16)))
        return limit.limit

    assert asyncio.run(burst()) == 8


def test_never_more_run_at_once_than_the_limit_says() -> None:
    async def most() -> list[int]:
        limit, running, seen = AdaptiveLimit(8), 0, []

        async def one(number: int) -> None:
            nonlocal running
            async with limit.place():
                running += 1
                seen.append(running)
                await asyncio.sleep(0)
                if number == 20:
                    limit.record_refusal()
                running -= 1

        await asyncio.gather(*(one(number) for number in range(40)))
        return seen

    seen = asyncio.run(most())
    assert max(seen) == 8
    assert max(seen[30:]) <= 5


@given(st.lists(st.booleans(), max_size=200), st.integers(1, 128))
def test_the_limit_stays_between_one_and_the_bound(events: list[bool], bound: int) -> None:
    limit = AdaptiveLimit(bound)
    for took in events:
        limit.record_success() if took else limit.record_refusal()
        assert 1 <= limit.limit <= bound
