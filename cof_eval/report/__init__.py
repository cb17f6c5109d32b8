"""What a run found: tables, the sweep figure and a written report, made from run folders alone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from ..errors import RunError, UsageError
from .markdown import Reported, caveats, report_text
from .plots import sweep_plot
from .tables import chance_level, comparable, load_published, rows_table, run_labels, summarize
from .terminal import summary_lines
from .viewer import write_viewer

if TYPE_CHECKING:
    from ..run import RunData

__all__ = ["summary_lines", "write_report"]


def write_report(runs: Sequence[RunData], out: Path, published: Path | None = None) -> list[Path]:
    """Writes the report of one run, or of several side by side, and returns the files' paths.

    `index.html`, with `viewer/` beside it, shows every trajectory in a browser. The other files hold the tables and figures:
    `report.md`, `rows.csv` (a row per question, task and repeat), `sweep.csv` (a line per benchmark, category and
    resolution) and the figure `sweep.png` and `sweep.svg`; of a second benchmark `sweep_<benchmark>.png` and so on.
    Unfinished, partly unscored and empty runs are reported as they are.

    Args:
        runs: the runs; the first is the one that the others are compared with.
        out: folder for the files, made if needed.
        published: folder with the figures of others; None leaves them out.

    Raises:
        UsageError: if there is no run.
        DataError: if a published file lacks a column.
        RunError: if a file cannot be written.
    """
    if not runs:
        raise UsageError("no run to report; pass at least one run folder")
    reported = [_reported(run, label) for run, label in zip(runs, run_labels(runs), strict=True)]
    others = comparable(load_published(published), pd.concat([run.sweep for run in reported], ignore_index=True))
    try:
        out.mkdir(parents=True, exist_ok=True)
        figures = _write_figures(reported, others, out)
        tables = _write_tables(reported, out)
        text = out / "report.md"
        names = {benchmark: paths[0].name for benchmark, paths in figures.items()}
        text.write_text(report_text(reported, others, names), encoding="utf-8")
        files = [text, *(path for paths in figures.values() for path in paths), *tables]
        sweep = pd.concat([run.sweep for run in reported], ignore_index=True)
        page = write_viewer(runs, out, labels=[run.label for run in reported], sweep=sweep, files=files)
    except OSError as error:
        raise RunError(f"cannot write the report to {out}: {error.strerror}; free space, or choose another folder") from error
    return [page, *files]


def _reported(run: RunData, label: str) -> Reported:
    rows = rows_table(run, label=label)
    return Reported(label, run, rows, summarize(rows))


def _write_figures(runs: Sequence[Reported], published: pd.DataFrame, out: Path) -> dict[str, list[Path]]:
    """One figure per benchmark; one without curves if nothing was run yet."""
    rows = pd.concat([run.rows for run in runs], ignore_index=True)
    sweep = pd.concat([run.sweep for run in runs], ignore_index=True)
    figures = {}
    for i, benchmark in enumerate(dict.fromkeys(sweep["benchmark"]) or [""]):
        name = f"sweep_{re.sub(r'[^A-Za-z0-9-]+', '_', benchmark)}.png" if i else "sweep.png"
        chance = chance_level(rows[rows["benchmark"] == benchmark])
        notes = caveats(runs, benchmark)
        figures[benchmark] = sweep_plot(sweep, published, out / name, benchmark=benchmark, chance=chance, caveats=notes)
    return figures


def _write_tables(runs: Sequence[Reported], out: Path) -> list[Path]:
    tables = {
        out / "sweep.csv": pd.concat([run.sweep for run in runs], ignore_index=True),
        out / "rows.csv": pd.concat([run.rows for run in runs], ignore_index=True),
    }
    for path, frame in tables.items():
        frame.to_csv(path, index=False, float_format="%.6g", encoding="utf-8")
    return list(tables)
