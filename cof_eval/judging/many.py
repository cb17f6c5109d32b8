"""Many judgements at once, never more than a server is to be asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

from ..core.settings import JUDGE_CONCURRENCY

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


async def judge_many(
    items: Iterable[_Item], judge_one: Callable[[_Item], Awaitable[_Result]], *, concurrency: int = JUDGE_CONCURRENCY
) -> list[_Result]:
    """Judge every item; an item is taken only when a place is free, so that memory does not grow with their number.

    Args:
        items: what to judge.
        judge_one: judges one of them.
        concurrency: most of them under way at once.

    Returns:
        The results, in the order of the items.

    Raises:
        Exception: the first failure of `judge_one`, as it was raised; what else is under way is cancelled.
    """
    results: dict[int, _Result] = {}
    waiting = iter(enumerate(items))

    async def work() -> None:
        for place, item in waiting:
            results[place] = await judge_one(item)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(max(1, concurrency)):
                group.create_task(work())
    except BaseExceptionGroup as failures:
        raise first_failure(failures) from None
    return [results[place] for place in sorted(results)]


def first_failure(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first failure of a group, itself no group."""
    first = failures.exceptions[0]
    return first_failure(first) if isinstance(first, BaseExceptionGroup) else first
