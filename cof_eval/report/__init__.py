"""What a run found: tables, figures and a written report, made from run folders alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from ..core.errors import RunError, UsageError
from ..core.image_view import ImageView
from .figures import write_figures
from .markdown import report_text
from .model_card import card_text
from .published import comparable, load_published
from .report_run import ReportRun, report_runs
from .rows import write_table
from .target_summary import target_summary
from .terminal import caveat_lines, side_by_side, summary
from .viewer import write_viewer

__all__ = ["ReportRun", "caveat_lines", "report_runs", "side_by_side", "summary", "write_report"]


def write_report(runs: Sequence[ReportRun], out: Path, published: Path | None = None) -> list[Path]:
    """Writes the report of one run, or of several side by side, and returns the files' paths.

    `index.html`, with `viewer/` next to it, shows every trajectory in a browser. Next to it stand `summary.md` (the model
    card) and `report.md`; the tidy tables `rows` and `calls` as CSV and Parquet; `sweep.csv` (a line per benchmark,
    category and resolution); `metrics.csv` and `looking.csv` where benchmarks have metrics of their own or boxes;
    `pairs.csv` and `flips.csv` where runs are compared; and the figures of `figures.write_figures`. Unfinished, partly
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
        page = write_viewer([run.run for run in runs], out, labels=[run.label for run in runs], sweep=sweep, files=files)
    except OSError as error:
        raise RunError(f"cannot write the report to {out}: {error.strerror}; free space, or choose another folder") from error
    return [page, *files]


def _write_tables(runs: Sequence[ReportRun], out: Path) -> list[Path]:
    rows = pd.concat([run.rows for run in runs], ignore_index=True)
    paths = write_table(rows, out / "rows") + write_table(
        pd.concat([run.calls for run in runs], ignore_index=True), out / "calls"
    )
    tables = {"sweep": pd.concat([run.sweep for run in runs], ignore_index=True)}
    if len(looking := target_summary(rows)):
        tables["looking"] = looking
    if len(runs) > 1:
        pairs = [runs[0].pairs_with(other).assign(run=runs[0].label, other=other.label) for other in runs[1:]]
        tables["pairs"] = pd.concat(pairs, ignore_index=True)
        tables["flips"] = pd.concat([runs[0].flips_with(other) for other in runs[1:]], ignore_index=True)
    if len(own := pd.concat([run.own_metrics for run in runs], ignore_index=True)):
        tables["metrics"] = own
    for name, table in tables.items():
        table.to_csv(out / f"{name}.csv", index=False, float_format="%.6g", encoding="utf-8")
    return [*paths, *(out / f"{name}.csv" for name in tables)]
