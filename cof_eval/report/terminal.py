"""The report's core for the end of a command: tables and lines of text for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from ..core.text import one_line
from ..runs.console import table
from .caveats import caveats, state_line
from .deciders import deciders_lines
from .dollars import dollars_lines, money
from .headline import difference, headline_lines
from .names import MEAN, OVERALL, resolution_order
from .sweep_means import overall_lines, with_means
from .text import accuracy, count, mean, percent, probability
from .worth_text import worth_lines

if TYPE_CHECKING:
    import pandas as pd

    from .report_run import ReportRun

_FAILURES = (("unscored", "unscored"), ("truncated", "truncated"), ("tool_errors", "tool errors"))
"""Columns that stand only where they are not all 0."""


def summary(runs: Sequence[ReportRun]) -> Iterator[RenderableType]:
    """The headlines; what is missing; each run's sweep, a line per benchmark and resolution; the first run against each other."""
    yield from (Text(one_line(line), style="bold") for line in headline_lines(runs))
    yield from (Text(one_line(line)) for line in worth_lines(runs))
    yield Text(state_line(runs))
    yield from (Text(one_line(line)) for line in (*deciders_lines(runs), *dollars_lines(runs)))
    for run in runs:
        names = list(dict.fromkeys(run.sweep["benchmark"]))
        overall = run.sweep[run.sweep["category"] == OVERALL].to_dict("records")  # their mean is the headline
        yield ""
        title = f"{run.label}, {names[0]}" if len(names) == 1 else run.label
        yield Text.assemble((one_line(title), "bold"), ": all answered questions, unscored ones as wrong")
        yield _sweep(overall, several=len(names) > 1) if overall else "  nothing answered yet"
    for other in runs[1:]:
        pairs = runs[0].pairs_with(other)
        if len(pairs):
            yield ""
            title = one_line(f"{runs[0].label} minus {other.label}")
            yield Text.assemble((title, "bold"), ": questions that are scored in both; intervals hold for unscored ones too")
            yield _paired(with_means(pairs, runs[0].primary_with(other)).to_dict("records"))


def caveat_lines(runs: Sequence[ReportRun]) -> Iterator[RenderableType]:
    """What the reader of the numbers must know, a line each."""
    for caveat in caveats(runs):
        yield Text.assemble(("caveat", "bold yellow"), f"  {one_line(caveat)}")


def side_by_side(runs: Mapping[str, ReportRun]) -> Table:
    """Several runs on one benchmark in one table: a line per resolution and one for their mean, accuracy and zooms of each run.

    Args:
        runs: by the name of their columns. One that never zooms has no column for zooms.
    """
    zooming = {name for name, run in runs.items() if (run.rows["zooms"].fillna(0) > 0).any()}
    made = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    made.add_column("shown at", no_wrap=True)
    for name in runs:
        for column in (f"{one_line(name)}, % [95%]", *(["zooms"] if name in zooming else [])):
            made.add_column(column, justify="right", no_wrap=True)
    lines = {name: by_resolution(overall_lines(run)) for name, run in runs.items()}
    names = {each for by in lines.values() for each in by}
    for resolution in [*resolution_order(names - {MEAN}), *sorted(names & {MEAN})]:
        cells = []
        for name, by in lines.items():
            line = by.get(resolution)
            cells.append(accuracy(line) if line else "–")
            cells += [mean(float(line["zooms"])) if line else "–"] if name in zooming else []
        made.add_row(resolution, *cells)
    return made


def by_resolution(sweep: pd.DataFrame) -> dict[str, dict[Any, Any]]:
    """The lines of one benchmark's sweep that count all categories, by resolution."""
    overall = sweep[sweep["category"] == OVERALL]
    return {line["resolution"]: line for line in overall.to_dict("records")}


def _sweep(lines: Sequence[Mapping[Any, Any]], *, several: bool) -> Table:
    failures = [(key, title) for key, title in _FAILURES if any(line[key] > 0 for line in lines)]
    bounded = any(line["unscored"] > 0 for line in lines)
    priced = any(line["usd"] == line["usd"] for line in lines)
    columns = [
        "resolution",
        "n",
        "accuracy [95%]",
        *(["upper bound"] if bounded else []),
        "zooms",
        "text tokens",
        "visual tokens",
        *(["$"] if priced else []),
    ]
    made = table(*(["benchmark"] if several else []), *columns, *(title for _, title in failures), words=1 + several)
    for line in lines:
        cells = [line["benchmark"]] if several else []
        cells += [line["resolution"], count(line["n"]), accuracy(line), *([percent(line["acc_upper"])] if bounded else [])]
        cells += [mean(line["zooms"]), count(line["output_tokens"]), count(line["visual_tokens"])]
        cells += [money(line["usd"])] if priced else []
        made.add_row(*cells, *(mean(line[key]) if key == "tool_errors" else count(line[key]) for key, _ in failures))
    return made


def _paired(lines: Sequence[Mapping[Any, Any]]) -> Table:
    several = len({line["benchmark"] for line in lines}) > 1
    columns = ("resolution", "n", "difference [95%]", "p", "p (max-T)", "detectable", "wins", "losses")
    made = table(*(["benchmark"] if several else []), *columns, words=1 + several)
    for line in lines:
        cells = [*([line["benchmark"]] if several else []), line["resolution"], count(line["n"]), difference(line)]
        cells += [probability(line["p"]), probability(line["p_max_t"]), percent(line["detectable"])]
        made.add_row(*cells, count(line["wins"]), count(line["losses"]))
    return made
