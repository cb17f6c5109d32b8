"""The report's core as plain text, for the end of a command."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import pandas as pd

from .caveats import state_line
from .names import OVERALL
from .text import percent, points, probability

if TYPE_CHECKING:
    from .report_run import ReportRun

_COLUMNS = (
    f"{'benchmark':<14}{'resolution':>10}{'n':>6}{'accuracy [95%]':>20}{'unscored':>10}{'zooms':>7}{'output tok':>12}"
    f"{'visual tok':>12}{'truncated':>11}{'tool err':>10}"
)
_PAIRED_COLUMNS = f"{'benchmark':<14}{'resolution':>10}{'n':>6}{'difference [95%]':>24}{'p (Holm)':>10}{'detectable':>12}{'wins':>6}{'losses':>8}"


def summary_lines(runs: Sequence[ReportRun]) -> Iterator[str]:
    """What is missing; the sweep of each run, a line per benchmark and resolution; the first run against each other one."""
    yield state_line(runs)
    for run in runs:
        overall = run.sweep[run.sweep["category"] == OVERALL]
        yield f"\n{run.label}"
        if overall.empty:
            yield "  nothing answered yet"
            continue
        yield _COLUMNS
        yield from (_line(line) for _, line in overall.iterrows())
    for other in runs[1:]:
        pairs = runs[0].pairs_with(other)
        if len(pairs):
            yield f"\n{runs[0].label} less {other.label}, paired by question"
            yield _PAIRED_COLUMNS
            yield from (_paired_line(line) for _, line in pairs.iterrows())


def _paired_line(line: pd.Series) -> str:
    known = line.difference_low == line.difference_low
    bounds = f" [{points(line.difference_low)}, {points(line.difference_high)}]" if known else ""
    difference = f"{points(line.difference)}{bounds}"
    return (
        f"{line.benchmark:<14}{line.resolution:>10}{line.n:>6}{difference:>24}{probability(line.p_holm):>10}"
        f"{percent(line.detectable):>12}{line.wins:>6}{line.losses:>8}"
    )


def _line(line: pd.Series) -> str:
    accuracy = f"{100 * line.acc:.1f} [{100 * line.acc_low:.1f}, {100 * line.acc_high:.1f}]"
    return (
        f"{line.benchmark:<14}{line.resolution:>10}{line.n:>6}{accuracy:>20}{line.unscored:>10}{line.zooms:>7.2f}"
        f"{line.output_tokens:>12,.0f}{line.visual_tokens:>12,.0f}{line.truncated:>11}{line.tool_errors:>10.2f}"
    )
