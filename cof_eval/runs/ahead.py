"""Images looked at ahead of the rollouts, so that the engine never waits for them: on all cores, within a bound on memory."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence

from ..agent.rollout import Subject
from ..core.byte_budget import ByteBudget
from ..core.records import Trajectory
from .plan import PlannedJob

MOST_BYTES = 2 << 30
"""Of pixels that are being decoded or wait for a rollout."""
_LEAST = 4
_DECODING = 2
"""Copies of the native image at once while it is decoded and turned upright."""

Prepared = Subject | Trajectory
"""What a rollout can begin with; a trajectory where there is nothing to begin with."""


def at_once(concurrency: int) -> int:
    """How many images are looked at at the same time, and how many wait: one a core, but no more than there are rollouts."""
    return max(_LEAST, min(_cores(), concurrency))


def _cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def pixel_bytes(plan: PlannedJob) -> int:
    """Bytes of a plan's images while they are looked at, from above."""
    (width, height), (shown_width, shown_height) = plan.image.size, plan.shown
    return 3 * (_DECODING * width * height + shown_width * shown_height)


class Ahead:
    """The rollouts' beginnings, in the order of the plans as far as they are ready."""

    def __init__(self, prepare: Callable[[PlannedJob], Prepared], concurrency: int, budget: ByteBudget | None = None) -> None:
        """Prepare nothing yet.

        Args:
            prepare: looks at an image; called in threads.
            concurrency: most rollouts at once.
            budget: on the bytes of pixels.
        """
        self._prepare = prepare
        self._at_once = at_once(concurrency)
        self._budget = budget or ByteBudget(MOST_BYTES)
        self._ready: asyncio.Queue[tuple[Prepared, int] | None] = asyncio.Queue(maxsize=self._at_once)

    async def fill(self, pending: Sequence[PlannedJob], workers: int, stopped: Callable[[], bool]) -> None:
        """Look at every image, then tell each worker that no more come.

        Args:
            pending: in this order.
            workers: how many call `take`.
            stopped: whether to begin no more.
        """
        queue = iter(pending)

        async def look() -> None:
            for plan in queue:
                if stopped():
                    return
                held = await self._budget.take(pixel_bytes(plan))
                await self._ready.put((await asyncio.to_thread(self._prepare, plan), held))

        async with asyncio.TaskGroup() as group:
            for _ in range(min(self._at_once, len(pending))):
                group.create_task(look())
        for _ in range(workers):
            await self._ready.put(None)

    async def take(self) -> Prepared | None:
        """The next beginning; None at the end. Its pixels are the rollout's from now on."""
        found = await self._ready.get()
        if found is None:
            return None
        prepared, held = found
        self._budget.give(held)
        return prepared
