"""How far a run is: one line that is drawn again on a terminal, and a line now and then elsewhere."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from types import TracebackType

from rich.console import Console, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from .evaluate import Progress

_REMEMBERED = 256
"""Ends of rollouts that make the rate."""
_PLAIN_S = 300.0
"""Seconds between two plain lines, at most; besides, there is one at each half."""
_NARROWEST, _WIDEST = 5, 40
"""Columns of a bar: where there is less room, there is none."""


_ECHO = 3
"""Columns that stay empty: a terminal writes ^C there, and must not break the line."""


class Bar:
    """The progress of one run. Call `show` whenever the counts have changed."""

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
        """A bar of `total` rollouts.

        Args:
            console: where.
            total: distinct rollouts of the run.
            finished: of these, those that earlier sessions did.
            name: stands first.
            live: draw one line again and again; else lines.
            on: whether anything is shown.
            clock: seconds.
        """
        self._console, self._total, self._finished, self._name = console, total, finished, name
        self._on, self._clock = on and total > finished, clock
        self._progress = Progress(total - finished)
        self._ends = deque([(clock(), 0)], maxlen=_REMEMBERED)
        self._said_s, self._halves = clock(), 0
        self._live = (
            Live(get_renderable=self._line, console=console, redirect_stdout=False, redirect_stderr=False)
            if live and self._on
            else None
        )

    def __enter__(self) -> Bar:
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
        """Finished rollouts, those of earlier sessions included."""
        return self._finished + self._progress.done

    def show(self, progress: Progress) -> None:
        """Show these counts from now on."""
        if progress.done > self._ends[-1][1]:
            self._ends.append((self._clock(), progress.done))
        self._progress = progress
        if self._on and self._live is None and self._due():
            self._say()

    def text(self) -> str:
        """The counts in words: rate, time left, accuracy so far, zooms, errors."""
        progress = self._progress
        parts = [f"{self.done:,}/{self._total:,}"]
        failures = {"error" if progress.errors == 1 else "errors": progress.errors, "unscored": progress.unscored}
        parts += [f"{count:,} {what}" for what, count in failures.items() if count]
        parts += self._speed()
        if accuracy := progress.accuracy():
            estimate, (low, high) = accuracy
            parts.append(f"accuracy {100 * estimate:.1f} [{100 * low:.1f}, {100 * high:.1f}]")
        parts.append(f"{progress.zooms / max(1, progress.kept + progress.done):.2f} zooms")
        return " · ".join(parts)

    def _speed(self) -> list[str]:
        """Rollouts a second over the last ones, and the time that the others need."""
        now, left = self._clock(), self._total - self.done
        since, before = self._ends[0]
        if self._progress.done == before or now <= since:
            return []
        rate = (self._progress.done - before) / (now - since)
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


def _duration(seconds: float) -> str:
    """Hours, minutes and seconds: `1:02:03`, `2:03`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
