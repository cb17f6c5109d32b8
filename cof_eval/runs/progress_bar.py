"""How far a run, or another long step, is: one line that is drawn again on a terminal, and a line now and then elsewhere."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Self

from rich.console import Console, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from .evaluate import Progress

_REMEMBERED = 256
"""Ends of rollouts that make the rate."""
_PLAIN_S = 300.0
"""Seconds between two plain lines, at most; in addition, there is one at each half."""
_NARROWEST, _WIDEST = 5, 40
"""Columns of a bar: where there is less room, there is none."""


_ECHO = 3
"""Columns that stay empty: a terminal writes ^C there, and must not break the line."""


class CountBar:
    """How many of a number of equal things are done. Call `reach` whenever there are more."""

    def __init__(
        self,
        console: Console,
        *,
        total: int,
        finished: int = 0,
        name: str = "run",
        live: bool = False,
        on: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """A bar of `total` things.

        Args:
            console: where.
            total: how many there are.
            finished: of these, those that earlier sessions did.
            name: stands first.
            live: draw one line again and again; else lines.
            on: whether anything is shown.
            clock: seconds.
        """
        self._console, self._total, self._finished, self._name = console, total, finished, name
        self._on, self._clock = on and total > finished, clock
        self._ends = deque([(clock(), 0)], maxlen=_REMEMBERED)
        self._said_s, self._halves = clock(), 0
        self._live = (
            Live(get_renderable=self._line, console=console, redirect_stdout=False, redirect_stderr=False)
            if live and self._on
            else None
        )

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._live:
            self._live.stop()
        elif self._on:
            self._say()

    @property
    def done(self) -> int:
        """How many are done, those of earlier sessions included."""
        return self._finished + self._ends[-1][1]

    def reach(self, done: int) -> None:
        """This session has done so many."""
        if done > self._ends[-1][1]:
            self._ends.append((self._clock(), done))
        if self._on and self._live is None and self._due():
            self._say()

    def advance(self) -> None:
        """One more is done."""
        self.reach(self._ends[-1][1] + 1)

    def text(self) -> str:
        """The counts in words: rate, time left."""
        return " · ".join([f"{self.done:,}/{self._total:,}", *self._failures(), *self._speed(), *self._found()])

    def _failures(self) -> list[str]:
        """What went wrong so far."""
        return []

    def _found(self) -> list[str]:
        """What was found so far."""
        return []

    def _speed(self) -> list[str]:
        """How many a second over the last ones, and the time that the others need."""
        now, left = self._clock(), self._total - self.done
        (since, before), (_, done) = self._ends[0], self._ends[-1]
        if done == before or now <= since:
            return []
        rate = (done - before) / (now - since)
        said = f"{rate:.1f}/s" if rate >= 1 else f"{60 * rate:.1f}/min"
        return [said, f"{_duration(left / rate)} left"] if left else [said]

    def _line(self) -> Table:
        """Name, bar and counts; on a narrow terminal the counts alone, without a break."""
        text = self.text()
        room = self._console.width - len(text) - 2 - _ECHO
        bar = ProgressBar(self._total, self.done, width=max(1, min(_WIDEST, room - len(self._name))))
        cells: tuple[RenderableType, ...] = (
            (self._name, bar, text) if room - len(self._name) >= _NARROWEST else (self._name, text)
        )
        line = Table.grid(padding=(0, 1))
        for _ in cells:
            line.add_column(no_wrap=True, overflow="ellipsis")
        line.add_row(*cells)
        return line

    def _due(self) -> bool:
        halves = 2 * self.done // max(1, self._total)
        return (halves > self._halves and self.done < self._total) or self._clock() - self._said_s >= _PLAIN_S

    def _say(self) -> None:
        self._said_s, self._halves = self._clock(), 2 * self.done // max(1, self._total)
        self._console.print(f"{self._name}: {self.text()}", soft_wrap=True)


class Bar(CountBar):
    """The progress of one run, in rollouts. Call `show` whenever the counts have changed."""

    _progress: Progress | None = None

    def show(self, progress: Progress) -> None:
        """Show these counts from now on."""
        self._progress = progress
        self.reach(progress.done)

    def _failures(self) -> list[str]:
        if self._progress is None:
            return []
        failures = {
            "error" if self._progress.errors == 1 else "errors": self._progress.errors,
            "unscored": self._progress.unscored,
        }
        return [f"{count:,} {what}" for what, count in failures.items() if count]

    def _found(self) -> list[str]:
        """Accuracy so far, and zooms a rollout."""
        if self._progress is None:
            return []
        progress, parts = self._progress, []
        if accuracy := progress.accuracy():
            estimate, (low, high) = accuracy
            parts.append(f"accuracy {100 * estimate:.1f} [{100 * low:.1f}, {100 * high:.1f}]")
        return [*parts, f"{progress.zooms / max(1, progress.kept + progress.done):.2f} zooms"]


def _duration(seconds: float) -> str:
    """Hours, minutes and seconds: `1:02:03`, `2:03`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
