"""How commands that end with a report end: its table, its caveats, its place, and an exit status that tells whether all is scored."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..runs.console import Screen
    from ..runs.folder import RunData


def finish(runs: list[RunData], out: Path, screen: Screen | None = None) -> int:
    """Write the report, show its table, and say with the exit status whether everything is scored."""
    from ..core.paths import data_dir
    from ..report import caveat_lines, report_runs, summary, write_report
    from ..runs.console import Detail, Screen

    screen = screen or Screen()
    if screen.live or screen.log:
        screen.wait("writing the report")
    try:
        ready = report_runs(runs)
        files = write_report(ready, out, data_dir("published"))
    finally:
        screen.clear()
    for line in summary(ready):
        screen.show(line)
    screen.show()
    for line in caveat_lines(ready):
        screen.show(line)
    if screen.detail >= Detail.NORMAL:
        screen.show(f"report in {out}: open index.html in a browser, or read report.md")
    if screen.detail is Detail.VERBOSE:
        screen.show("\n".join(f"  {file}" for file in files))
    return 1 if any(map(incomplete, runs)) else 0


def incomplete(run: RunData) -> bool:
    """Whether a row is missing, failed, or has a standard answer and no verdict."""
    return sum(map(run.settled, run.rows)) < run.expected_rows
