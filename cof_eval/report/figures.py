"""Which figures a report has, and their files."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from .caveats import caveats
from .names import OVERALL
from .plots.counts import counts_figure
from .plots.flow import flow_figure
from .plots.frontier import frontier_figure
from .plots.size import size_figure
from .plots.style import save
from .plots.sweep import sweep_figure
from .plots.worth import worth_figure
from .report_run import ReportRun
from .summary import chance_level
from .zoom_worth import worth_of


def write_figures(runs: Sequence[ReportRun], published: pd.DataFrame, out: Path) -> Mapping[str, Mapping[str, list[Path]]]:
    """Every figure of every benchmark as PNG and SVG; returns the paths by benchmark and kind.

    `sweep`, `frontier` and `zooms` always, `size` where questions have boxes, `worth` where a run zooms next to a direct one, `flow` between the first run and each other. The first
    benchmark's files carry the kind's name alone, the others' also the benchmark's.
    """
    rows = pd.concat([run.rows for run in runs], ignore_index=True)
    sweep = pd.concat([run.sweep for run in runs], ignore_index=True)
    written: dict[str, dict[str, list[Path]]] = {}
    for i, benchmark in enumerate(dict.fromkeys(sweep["benchmark"]) or [""]):
        suffix = f"_{re.sub(r'[^A-Za-z0-9-]+', '_', benchmark)}" if i else ""
        notes = caveats(runs, benchmark)
        chance = chance_level(rows[rows["benchmark"] == benchmark])
        whole = sweep_figure(sweep, published, benchmark=benchmark, chance=chance, caveats=notes)
        figures = {"sweep": whole, **dict(_others(runs, rows, sweep, benchmark, notes))}
        written[benchmark] = {kind: save(figure, out / f"{kind}{suffix}.png") for kind, figure in figures.items()}
    return written


def _others(
    runs: Sequence[ReportRun], rows: pd.DataFrame, sweep: pd.DataFrame, benchmark: str, notes: Sequence[str]
) -> Iterator[tuple[str, Figure]]:
    answered = (sweep["benchmark"] == benchmark) & (sweep["category"] == OVERALL) & (sweep["n"] > 0)
    if not answered.any():
        return
    yield "frontier", frontier_figure(sweep, benchmark=benchmark, caveats=notes)
    yield "zooms", counts_figure(rows, benchmark=benchmark, caveats=notes)
    if (figure := size_figure(rows, benchmark=benchmark, caveats=notes)) is not None:
        yield "size", figure
    worths = worth_of(runs)
    for number, worth in enumerate(worths, 1):
        if (figure := worth_figure(worth, benchmark=benchmark, caveats=notes)) is not None:
            yield ("worth" if len(worths) == 1 else f"worth_{number}"), figure
    for number, other in enumerate(runs[1:], 2):
        pairs = runs[0].pairs_with(other, benchmark)
        if len(pairs):
            kind = "flow" if len(runs) == 2 else f"flow_{number}"
            yield kind, flow_figure(pairs, runs[0].label, other.label, benchmark=benchmark, caveats=notes)
