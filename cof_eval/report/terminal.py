"""The report's core as plain text, for the end of a command."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import pandas as pd

from .names import OVERALL

if TYPE_CHECKING:
    from .state import Reported

_COLUMNS = (
    f"{'benchmark':<14}{'resolution':>10}{'n':>6}{'accuracy [95%]':>20}{'unscored':>10}{'zooms':>7}{'output tok':>12}"
    f"{'visual tok':>12}{'truncated':>11}{'tool err':>10}"
)


def summary_lines(runs: Sequence[Reported]) -> Iterator[str]:
    """The sweep of each run: a heading, then a line per benchmark and resolution."""
    for run in runs:
        overall = run.sweep[run.sweep["category"] == OVERALL]
        yield f"\n{run.label}"
        if overall.empty:
            yield "  nothing answered yet"
            continue
        yield _COLUMNS
        yield from (_line(line) for _, line in overall.iterrows())


def _line(line: pd.Series) -> str:
    accuracy = f"{100 * line.acc:.1f} [{100 * line.acc_low:.1f}, {100 * line.acc_high:.1f}]"
    return (
        f"{line.benchmark:<14}{line.resolution:>10}{line.n:>6}{accuracy:>20}{line.unscored:>10}{line.zooms:>7.2f}"
        f"{line.output_tokens:>12,.0f}{line.visual_tokens:>12,.0f}{line.truncated:>11}{line.tool_errors:>10.2f}"
    )
