"""What a run says on the terminal: its plan before it costs anything, what may go wrong, and its progress."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tqdm import tqdm

from .evaluate import Progress
from .plan import PlannedJob, summarize
from .preflight import Finding, Level


def say_plan(plans: Sequence[PlannedJob], pending: Sequence[PlannedJob], run: Path) -> None:
    """Say what is about to happen: a line per benchmark and resolution, and what is finished already."""
    say = sys.stderr.write
    say(f"\n{'benchmark':<14}{'resolution':>11}{'rows':>7}{'new work':>10}{'cap px':>13}{'visual tokens':>15}\n")
    for p in summarize(plans):
        say(f"{p.benchmark:<14}{p.resolution:>11}{p.rows:>7}{p.distinct:>10}{p.cap:>13,}{p.visual_tokens:>15,.0f}\n")
        if p.unreadable:
            say(
                f"  {p.unreadable} rows have an image that cannot be shown; they stay unscored, see `error` in trajectories.jsonl\n"
            )
    distinct, tokens = len({plan.key for plan in plans}), sum(plan.visual_tokens for plan in pending)
    say(f"{len(plans)} rows are {distinct} distinct rollouts: {distinct - len(pending)} are finished, {len(pending)} to go ")
    say(f"(at least {tokens:,} visual tokens, crops aside). Run folder: {run}\n")


def say_findings(findings: Iterable[Finding]) -> None:
    """Say what may go wrong; what is in order needs no word here."""
    sys.stderr.write("".join(f"{finding}\n" for finding in findings if finding.level is not Level.OK) + "\n")


def say_troubles(troubles: Mapping[str, int]) -> None:
    """Say what had to be sent to servers again; without trouble nothing."""
    if troubles:
        kinds = ", ".join(f"{count} × {kind}" for kind, count in sorted(troubles.items(), key=lambda item: -item[1]))
        sys.stderr.write(f"servers: {sum(troubles.values())} requests were sent again ({kinds})\n")


@dataclass(slots=True)
class Bar:
    """The progress bar: rate and time left from tqdm, beside them what a user wants to know early."""

    total: int
    bar: Any = field(init=False)

    def __enter__(self) -> Bar:
        self.bar = tqdm(total=self.total, desc="rollouts", unit="q", smoothing=0.1, disable=self.total == 0, file=sys.stderr)
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.close()

    def show(self, progress: Progress) -> None:
        """Draw the counts."""
        zooms = progress.zooms / max(1, progress.done)
        self.bar.set_postfix(zooms=f"{zooms:.2f}", errors=progress.errors, unscored=progress.unscored, refresh=False)
        self.bar.update(progress.done - self.bar.n)
