"""How commands that end with a report end: its table, its files, and an exit status that tells whether all is scored."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from ..runs.folder import RunData


def finish(runs: list[RunData], out: Path) -> int:
    """Write the report, print its table, and say with the exit status whether everything is scored."""
    from ..core.paths import data_dir
    from ..report import report_runs, summary_lines, write_report

    ready = report_runs(runs)
    files = write_report(ready, out, data_dir("published"))
    typer.echo("\n".join([*summary_lines(ready), "", *(f"wrote {file}" for file in files)]))
    return 1 if any(_incomplete(run) for run in runs) else 0


def _incomplete(run: RunData) -> bool:
    """Whether a row is missing, failed, or has a standard answer and no verdict."""
    return sum(map(run.settled, run.rows)) < run.expected_rows
