"""What a run found: tables, figures and a written report, made from run folders alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from ..core.errors import RunError, UsageError, system_says
from ..core.image_view import ImageView
from .figures import write_figures
from .headline import headline_lines
from .markdown import report_text
from .model_card import card_text
from .published import comparable, load_published
from .report_run import ReportRun, report_runs
from .table_files import write_csv, write_table
from .target_summary import target_summary
from .terminal import caveat_lines, side_by_side, summary
from .viewer import write_viewer
from .worth_text import worth_lines
from .zoom_worth import worth_of

__all__ = ["ReportRun", "caveat_lines", "report_runs", "side_by_side", "summary", "write_report"]


def write_report(runs: Sequence[ReportRun], out: Path, published: Path | None = None) -> list[Path]:
    """Writes the report of one run, or of several side by side, and returns the files' paths.

    `index.html`, with `viewer/` next to it, shows every trajectory in a browser. Next to it stand `summary.md` (the model
    card) and `report.md`; the tidy tables `rows` and `calls` as CSV and Parquet; `sweep.csv` (a line per benchmark,
    category and resolution); `metrics.csv` and `looking.csv` where benchmarks have metrics of their own or boxes;
    `pairs.csv` and `flips.csv` where runs are compared, `worth.csv` where one zooms next to a direct one; and the figures of `figures.write_figures`. Unfinished, partly
    unscored and empty runs are reported as they are.

    Args:
        runs: as of `report_runs`; the first is the one that the others are compared with.
        out: folder for the files, made if needed.
        published: folder with the figures of others; None leaves them out.

    Raises:
        UsageError: if there is no run.
        DataError: if a published file lacks a column.
        RunError: if a file cannot be written.
    """
    if not runs:
        raise UsageError("no run to report; pass at least one run folder")
    whole = [run.sweep for run in runs if run.run.settings.get("view", ImageView.FULL) == ImageView.FULL]
    others = comparable(load_published(published), pd.concat(whole or [runs[0].sweep[:0]], ignore_index=True))
    try:
        out.mkdir(parents=True, exist_ok=True)
        figures = write_figures(runs, others, out)
        tables = _write_tables(runs, out)
        names = {benchmark: {kind: paths[0].name for kind, paths in kinds.items()} for benchmark, kinds in figures.items()}
        texts = {out / "summary.md": card_text(runs), out / "report.md": report_text(runs, others, names)}
        for path, text in texts.items():
            path.write_text(text, encoding="utf-8")
        files = [*texts, *(path for kinds in figures.values() for paths in kinds.values() for path in paths), *tables]
        sweep = pd.concat([run.sweep for run in runs], ignore_index=True)
        page = write_viewer(
            [run.run for run in runs],
            out,
            labels=[run.label for run in runs],
            sweep=sweep,
            claims=[*headline_lines(runs), *worth_lines(runs)],
            files=files,
        )
    except OSError as error:
        raise RunError(
            f"cannot write the report to {out}: {system_says(error, 'free space, or choose another folder')}"
        ) from error
    return [page, *files]


def _write_tables(runs: Sequence[ReportRun], out: Path) -> list[Path]:
    rows = _priced(pd.concat([run.rows for run in runs], ignore_index=True))
    paths = write_table(rows, out / "rows") + write_table(
        pd.concat([run.calls for run in runs], ignore_index=True), out / "calls"
    )
    tables = {"sweep": _priced(pd.concat([table for run in runs for table in (run.means, run.sweep)], ignore_index=True))}
    if len(looking := target_summary(rows)):
        tables["looking"] = looking
    if len(runs) > 1:
        tables["pairs"] = pd.concat([table for other in runs[1:] for table in _pairs(runs[0], other)], ignore_index=True)
        tables["flips"] = pd.concat([runs[0].flips_with(other) for other in runs[1:]], ignore_index=True)
    if worth := worth_of(runs):
        tables["worth"] = pd.concat(worth, ignore_index=True)
    if len(own := pd.concat([run.own_metrics for run in runs], ignore_index=True)):
        tables["metrics"] = own
    return [*paths, *(write_csv(table, out / f"{name}.csv") for name, table in tables.items())]


def _pairs(ours: ReportRun, theirs: ReportRun) -> list[pd.DataFrame]:
    """The primary result, then the resolutions."""
    return [table.assign(run=ours.label, other=theirs.label) for table in (ours.primary_with(theirs), ours.pairs_with(theirs))]


def _priced(table: pd.DataFrame) -> pd.DataFrame:
    """A table without its columns of dollars where no run has prices, and of further columns where the data have none."""
    if "extra" in table and not table["extra"].notna().any():
        table = table.drop(columns="extra")
    if table["usd"].notna().any():
        return table
    return table[[name for name in table.columns if not name.startswith("usd")]]
