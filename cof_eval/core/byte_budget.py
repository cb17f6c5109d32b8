"""How many bytes of short-lived data are held at once: those who need more wait, first come first served."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field


@dataclass(eq=False)
class ByteBudget:
    """A bound on bytes, for the tasks of one event loop. What is larger than all of it gets all of it."""

    most: int
    """Bytes held at once."""
    held: int = field(default=0, init=False)
    _waiting: deque[tuple[int, asyncio.Future[None]]] = field(default_factory=deque, init=False)

    async def take(self, count: int) -> int:
        """Wait until so many bytes are free, and hold them; returns how many to `give` back."""
        count = min(count, self.most)
        if not self._waiting and self.held + count <= self.most:
            self.held += count
            return count
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((count, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.give(count)
            else:
                self._admit()
            raise
        return count

    def give(self, count: int) -> None:
        """Free bytes that were taken."""
        self.held -= count
        self._admit()

    def _admit(self) -> None:
        while self._waiting:
            count, turn = self._waiting[0]
            if not turn.cancelled():
                if self.held + count > self.most:
                    return
                self.held += count
                turn.set_result(None)
            self._waiting.popleft()
