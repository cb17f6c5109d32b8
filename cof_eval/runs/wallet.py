"""The budget: a request is asked only if it fits even at its dearest, together with all that are under way. For one event loop.

If it does not fit, it waits for those to end cheaper than they might. When none is under way and the next one still does not fit, the
budget is reached.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from ..core.errors import BudgetReachedError

JUDGE, BEGUN, NEW = range(3)
"""Ranks: a verdict on what is paid for already, a further turn of a rollout, a rollout's first turn."""


@dataclass(eq=False)
class Wallet:
    """What a run may spend, and has spent. For one event loop."""

    limit: float | None = None
    """Dollars; None for no limit."""
    spent: float = 0.0
    """Of all sessions, judge included."""
    reserved: float = 0.0
    """The dearest end of all requests under way."""
    under_way: int = 0
    reached: str = ""
    """Why nothing is asked any more."""
    _waiting: list[tuple[int, int]] = field(default_factory=list)
    """(rank, number) of each request that waits, a heap."""
    _numbers: Iterator[int] = field(default_factory=itertools.count)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    @asynccontextmanager
    async def pay(self, dearest: float, *, rank: int) -> AsyncIterator[Bill]:
        """One request's place in the budget; the bill is what it really cost.

        Args:
            dearest: most that it can cost, in dollars.
            rank: of several that wait, the lowest goes first.

        Raises:
            BudgetReachedError: if it does not fit, and nothing is under way that could end cheaper than it might.
        """
        await self._enter(dearest, rank)
        bill = Bill()
        try:
            yield bill
        finally:
            self.spent += bill.dollars
            self.reserved -= dearest
            self.under_way -= 1
            self._tell()

    async def _enter(self, dearest: float, rank: int) -> None:
        """Wait for room; no other request comes between finding it and taking it."""
        place = (rank, next(self._numbers))
        heapq.heappush(self._waiting, place)
        try:
            while not self._has_room(place, dearest):
                if self.reached:
                    raise BudgetReachedError(self.reached)
                await self._changed.wait()
        finally:
            self._waiting.remove(place)
            heapq.heapify(self._waiting)
            self._tell()
        self.reserved += dearest
        self.under_way += 1

    def _has_room(self, place: tuple[int, int], dearest: float) -> bool:
        if self.limit is None:
            return True
        if (self.reached and place[0] > JUDGE) or (not self.reached and self._waiting[0] != place):
            return False
        if self.spent + self.reserved + dearest <= self.limit:
            return True
        if not self.under_way or self.reached:
            self.reached = (
                f"the budget of {dollars(self.limit)} is reached: {dollars(self.spent)} is spent, and the next request may cost "
                f"{dollars(dearest)}"
            )
        return False

    def _tell(self) -> None:
        """Let all that wait look again."""
        event, self._changed = self._changed, asyncio.Event()
        event.set()


def dollars(amount: float) -> str:
    """Dollars in words: cents, and four digits of less than a dollar."""
    return f"${amount:,.2f}" if amount >= 1 or not amount else f"${amount:.4g}"


@dataclass(slots=True)
class Bill:
    """What one request cost."""

    dollars: float = 0.0
