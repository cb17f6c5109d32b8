"""Bytes held at once: bounded, first come first served, and never lost by whoever gives up waiting."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from cof_eval.core.byte_budget import ByteBudget


def test_those_who_wait_are_served_in_order_and_the_bound_holds() -> None:
    async def run() -> list[int]:
        budget, order = ByteBudget(10), []

        async def use(number: int, count: int) -> None:
            taken = await budget.take(count)
            assert budget.held <= 10
            order.append(number)
            await asyncio.sleep(0)
            budget.give(taken)

        await asyncio.gather(*(use(number, count) for number, count in enumerate((6, 6, 1, 99, 4, 10))))
        assert budget.held == 0
        return order

    assert asyncio.run(run()) == [0, 1, 2, 3, 4, 5]


def test_whoever_gives_up_waiting_leaves_its_place_to_others() -> None:
    async def run() -> int:
        budget = ByteBudget(10)
        first = await budget.take(10)
        waiting = [asyncio.ensure_future(budget.take(count)) for count in (10, 5, 5)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        await asyncio.sleep(0)
        budget.give(first)
        waiting[1].cancel()  # it was given its bytes in the same moment
        with suppress(asyncio.CancelledError):
            await waiting[1]
        assert await waiting[2] == 5
        return budget.held

    assert asyncio.run(run()) == 5
