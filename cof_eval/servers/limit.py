"""How many requests a server takes at once, learnt from its refusals."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class AdaptiveLimit:
    """Requests at once: halved when a server says "too many", raised by one for each full round that it takes.

    Additive increase, multiplicative decrease (Chiu and Jain, 1989), never beyond the user's bound.
    """

    def __init__(self, bound: int) -> None:
        self.bound = bound
        self.limit = float(bound)
        self._running = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._in_flight_at_backoff = 0
        """Requests that were under way at the last refusal: what they hear is the same news."""

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Wait for a place, first come first served, and hold it."""
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        self._admit()
        try:
            await turn
            yield
        finally:
            if turn.done() and not turn.cancelled():
                self._running -= 1
                self._in_flight_at_backoff = max(0, self._in_flight_at_backoff - 1)
            self._admit()

    def _admit(self) -> None:
        """Give free places to those who wait."""
        while self._waiting and self._running < int(self.limit):
            turn = self._waiting.popleft()
            if not turn.cancelled():
                self._running += 1
                turn.set_result(None)

    def record_success(self) -> None:
        """The server answered."""
        self.limit = min(float(self.bound), self.limit + 1 / self.limit)

    def record_refusal(self) -> None:
        """The server said "too many requests"; a burst of them counts once."""
        if self._in_flight_at_backoff == 0:
            self.limit = max(1.0, self.limit / 2)
            self._in_flight_at_backoff = self._running
