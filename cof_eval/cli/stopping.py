"""Signals that end a command: SIGTERM (Slurm, Kubernetes) and SIGHUP (a lost terminal) end it as Ctrl-C does."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType


@dataclass(slots=True)
class Stopped:
    """Which signal has ended the command."""

    by: signal.Signals = signal.SIGINT
    came: bool = False
    """Whether SIGTERM or SIGHUP has come."""

    @property
    def words(self) -> str:
        """How the end is called."""
        return "interrupted" if self.by is signal.SIGINT else f"ended by {self.by.name}"


@contextmanager
def stop_signals() -> Iterator[Stopped]:
    """Turn SIGTERM and SIGHUP into Ctrl-C: the same way out, with its own exit status. One that is ignored (nohup) stays so."""
    stopped = Stopped()

    def stop(number: int, frame: FrameType | None) -> None:
        if stopped.came:  # sent to every process of a job, and sent on by a parent: the end is under way
            return
        stopped.by, stopped.came = signal.Signals(number), True
        interrupt = signal.getsignal(signal.SIGINT)  # asyncio's while its loop runs
        if not callable(interrupt):  # the background of a shell ignores Ctrl-C
            raise KeyboardInterrupt
        interrupt(signal.SIGINT, frame)

    before = {
        number: signal.signal(number, stop)
        for number in (signal.SIGTERM, signal.SIGHUP)
        if signal.getsignal(number) is not signal.SIG_IGN
    }
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)
