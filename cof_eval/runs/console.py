"""What a run says: what it is, what it waits for, its plan, what may go wrong, and how far it is.

All of it goes to stderr; results go to stdout. On a terminal there is one bar, and a line that tells of a wait gives way to the next line.
Elsewhere (a pipe, a file, TERM=dumb) there are plain lines without a control code.
"""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from enum import IntEnum
from pathlib import Path
from typing import Any, TextIO, TypeVar

from rich.console import Console, RenderableType
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from ..core.secrets import safe_urls
from ..core.settings import ModelSettings
from ..core.text import one_line, printable, say
from .finding import Finding, Level
from .log_capture import LogCapture
from .plan import PlannedJob, Point, summarize
from .progress_bar import Bar, CountBar
from .served_notes import all_served_notes

_REDRAW_S = 0.2
_PLAIN_WIDTH = 200
"""Of lines that no terminal shows: none is broken."""

_Item = TypeVar("_Item")


class Detail(IntEnum):
    """How much is said."""

    QUIET = 0
    """Results, caveats and errors."""
    BAR = 1
    """In addition, how far the run is: for a command of several runs."""
    NORMAL = 2
    VERBOSE = 3
    """In addition, all that libraries and engine processes write."""


class Screen:
    """Where a command speaks."""

    def __init__(
        self, detail: Detail = Detail.NORMAL, *, log: LogCapture | None = None, name: str = "run", shared: bool = False
    ) -> None:
        """Speak on the streams of a capture, or on Python's own.

        Args:
            detail: how much.
            log: takes what others write; None leaves it on the terminal.
            name: of the bar.
            shared: whether the terminal is another program's, as lmms-eval's: waits are not told then.
        """
        self.detail, self.log, self.name, self._shared = detail, log, name, shared
        self._err = _console(log.err if log else None, stderr=True)
        self._out = _console(log.out if log else None, stderr=False)
        self._waits = False
        self.kept: Callable[[], str] = lambda: "everything finished is kept"
        """What a run that ends now has kept, in words; asked once its folder is closed."""

    @property
    def live(self) -> bool:
        """Whether lines can be drawn again: on a terminal that no other program writes to meanwhile."""
        return self._err.is_terminal and not self._err.is_dumb_terminal and self.detail < Detail.VERBOSE

    @property
    def narrow(self) -> bool:
        """Whether results are shown on a terminal, where wide cells have to wrap."""
        return self._out.is_terminal

    def say(self, line: RenderableType = "", *, at: Detail = Detail.NORMAL) -> None:
        """One thing for stderr, if that much is to be said."""
        if self.detail >= at:
            self.clear()
            _print(self._err, line)

    def show(self, result: RenderableType = "") -> None:
        """One thing for stdout, always."""
        self.clear()
        _print(self._out, result)

    def wait(self, what: str, *, step: bool = True) -> None:
        """Say what the command waits for now; on a terminal the line goes when the wait is over.

        Args:
            what: as `loading the model`.
            step: whether it is a step of its own: if it fails, the log is shown from here on.
        """
        if self.log and step:
            self.log.mark()
        if self._shared or self.detail < Detail.BAR or (self.detail is Detail.BAR and not self.live):
            return
        text = f"{self.name}: {what} …" if self.detail is Detail.BAR else f"{what} …"
        if not self.live:
            self._err.print(one_line(text), soft_wrap=True)
            return
        self.clear()
        self._err.print(one_line(text), style="dim", overflow="ellipsis", no_wrap=True, end="")
        self._waits = True

    def clear(self) -> None:
        """Take the line of a wait away."""
        if self._waits:
            self._err.file.write("\r\x1b[2K")
            self._err.file.flush()
            self._waits = False

    def track(self, items: Sequence[_Item], what: str) -> Iterator[_Item]:
        """The items, while the line of their wait counts them."""
        self.wait(f"{what}: {len(items):,}")
        said = time.monotonic()
        for number, item in enumerate(items):
            yield item
            if self.live and time.monotonic() - said > _REDRAW_S:
                said = time.monotonic()
                self.wait(f"{what}: {number + 1:,} of {len(items):,}")

    def bar(self, total: int, finished: int) -> Bar:
        """The progress bar of `total` rollouts, of which `finished` were done by earlier sessions."""
        self.clear()
        on = self.detail >= Detail.BAR
        return Bar(self._err, total=total, finished=finished, name=self.name, live=self.live, on=on)

    def count(self, total: int, what: str) -> CountBar:
        """The progress bar of a step of its own, as `judging`."""
        self.clear()
        return CountBar(self._err, total=total, name=what, live=self.live, on=self.detail >= Detail.BAR)

    def log_to(self, run: Path) -> None:
        """The run folder is there: keep the log in it."""
        if self.log:
            self.log.write_to(run / "log.txt", _heading())


def _heading() -> str:
    return f"=== {datetime.now(UTC).isoformat(timespec='seconds')} {safe_urls(shlex.join(sys.argv))}"


def _console(file: TextIO | None, *, stderr: bool) -> Console:
    """A console that adds no colour, link or emoji to outside text; as wide as its terminal."""
    console = Console(file=file, stderr=stderr, markup=False, highlight=False, emoji=False)
    if not console.is_terminal:
        console.width = _PLAIN_WIDTH
    return console


def _print(console: Console, content: RenderableType) -> None:
    """Print; a terminal breaks lines between words, and cuts no number off a table that is wider than it."""
    if isinstance(content, Table):
        content.width = Measurement.get(console, console.options.update(width=_PLAIN_WIDTH), content).maximum
        console.print(content, crop=False)
    else:
        console.print(printable(content) if isinstance(content, str) else content, soft_wrap=not console.is_terminal)


def table(*columns: str, words: int = 1) -> Table:
    """A table without lines, of which the first columns hold words and the others numbers."""
    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for index, column in enumerate(columns):
        made.add_column(column, justify="left" if index < words else "right", no_wrap=True)
    return made


def say_header(screen: Screen, settings: ModelSettings, run: Path) -> None:
    """Say what is run, how, and where its results are."""
    what = " · ".join(map(one_line, filter(None, (settings.pretrained, settings.lora, settings.protocol, settings.engine))))
    screen.say(Text.assemble(("cof-eval", "bold"), f"  {what}"))
    screen.say(f"folder    {one_line(run)}{', its log: log.txt' if screen.log else ''}")


def say_plan(
    screen: Screen, plans: Sequence[PlannedJob], pending: Sequence[PlannedJob], sessions: Sequence[Mapping[str, Any]] = ()
) -> None:
    """Say what is about to happen: a line per benchmark and resolution, and what an earlier session has finished.

    Args:
        screen: where.
        plans: all rows.
        pending: those that will be generated, equal work once.
        sessions: of run.yaml, this one last.
    """
    rows = table("benchmark", "resolution", "rows", "new work", "cap px²", "visual tokens", words=1)
    points = summarize(plans)
    for p in points:
        rows.add_row(one_line(p.benchmark), p.resolution, f"{p.rows:,}", f"{p.distinct:,}", f"{p.cap:,}", _tokens(p))
    screen.say(rows)
    for p in points:
        if p.unreadable:
            screen.say(
                f"{p.benchmark} {p.resolution}: {p.unreadable} rows have an image that cannot be shown; they stay unscored, see `error` "
                "in trajectories.jsonl"
            )
    distinct, tokens = len({plan.key for plan in plans}), sum(plan.visual_tokens for plan in pending)
    screen.say(_work(len(plans), distinct, len(pending), tokens))
    if distinct > len(pending) and len(sessions) > 1:
        screen.say(_resuming(distinct, len(pending), sessions), at=Detail.BAR)


def _tokens(point: Point) -> str:
    """Its visual tokens; an image that can be shown has some, so 0 means that nobody predicts them."""
    unknown = not point.visual_tokens and point.unreadable < point.rows
    return "counted" if unknown else f"{point.visual_tokens:,.0f}"


def _work(rows: int, distinct: int, pending: int, tokens: int) -> str:
    costs = f" (at least {tokens:,} visual tokens, without crops)" if tokens else ""
    return f"{rows:,} rows are {distinct:,} distinct rollouts: {pending:,} to go{costs}"


def _resuming(distinct: int, pending: int, sessions: Sequence[Mapping[str, Any]]) -> str:
    started = str(sessions[-2].get("started", "earlier")).replace("T", " ").removesuffix("+00:00")
    kept = distinct - pending
    return f"resuming: {kept:,} of {distinct:,} rollouts are finished (run of {one_line(started)} UTC), {pending:,} to go"


def say_findings(screen: Screen, findings: Iterable[Finding]) -> None:
    """Say what may go wrong; findings that are OK are not printed."""
    for finding in findings:
        if finding.level is not Level.OK:
            screen.say(Text(one_line(finding.level.value).ljust(9), style="bold yellow") + _says(finding))


def _says(finding: Finding) -> str:
    return f"{finding.what:<24}{one_line(finding.says)}"


def say_troubles(screen: Screen, troubles: Mapping[str, int]) -> None:
    """Say what had to be sent to servers again; without trouble nothing."""
    if troubles:
        kinds = ", ".join(f"{count} × {kind}" for kind, count in sorted(troubles.items(), key=lambda item: -item[1]))
        screen.say(f"servers: {sum(troubles.values())} requests were sent again ({kinds})", at=Detail.BAR)


def say_served(screen: Screen, servers: Mapping[str, Mapping[str, Any]]) -> None:
    """Say what the servers did otherwise than they were asked; without anything of the kind nothing."""
    for note in all_served_notes(servers):
        screen.say(f"servers: {one_line(str(note))}", at=Detail.BAR)


def say_failure(screen: Screen) -> None:
    """After a failure that is no mistake of the user's: what others wrote last, and where all of it is."""
    if screen.log is None or screen.detail is Detail.VERBOSE:
        return
    screen.clear()
    lines = [line for line in screen.log.tail() if line.strip()]
    where = f", all of it is in {one_line(screen.log.path)}" if screen.log.path else ""
    if lines:
        say("\n".join([f"the log's last lines{where}:", *(f"  {line}" for line in lines)]), err=True)
    elif where:
        say(f"the log is {one_line(screen.log.path)}", err=True)
