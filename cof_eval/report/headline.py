"""The claim in one line: each run's mean over its resolutions, and its difference to the others, the primary result. Plain text."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from .names import MACRO, OVERALL, resolution_order
from .report_run import ReportRun
from .text import count, mean, percent, points, probability

Say = Callable[[object], str]
"""Makes outside text fit for a medium: `str` for plain text, `text.escape` for Markdown."""


def headline_lines(runs: Sequence[ReportRun], say: Say = str) -> list[str]:
    """A line for each run, then one for each comparison of the first run with another."""
    own = [run_headline(run, say) for run in runs]
    return [*own, *(line for other in runs[1:] for line in pair_headlines(runs[0], other, say))]


def run_headline(run: ReportRun, say: Say = str) -> str:
    """Mean accuracy over the resolutions with its interval, zooms and tokens; what the mean is of."""
    overall = run.means[run.means["category"] == OVERALL]
    if not (overall["rows"] > 0).any():
        return f"{say(run.label)}: nothing answered yet."
    line = overall.iloc[-1].to_dict()
    zooms = f"{mean(line['zooms'])} zooms, {count(line['output_tokens'])} text and {count(line['visual_tokens'])} visual tokens a question"
    sweep = run.sweep[(run.sweep["category"] == OVERALL) & (run.sweep["rows"] > 0)]
    where, over = _place(line["benchmark"], sweep, say)
    return f"{say(run.label)} {where}: {_accuracy(line, over)}; {'; '.join([zooms, *_missing(run, line)])}."


def pair_headlines(ours: ReportRun, theirs: ReportRun, say: Say = str) -> Iterator[str]:
    """The difference of two runs' means with its interval and p; over several benchmarks, their mean first."""
    lines, pairs = ours.primary_with(theirs).to_dict("records"), ours.pairs_with(theirs)
    for line in (lines[-1:] + lines[:-1]) if len(lines) > 1 else lines:
        if line["n"]:
            own = pairs[(pairs["n"] > 0) & ((pairs["benchmark"] == line["benchmark"]) | (line["benchmark"] == MACRO))]
            where, over = _place(line["benchmark"], own, say)
            yield f"{say(ours.label)} minus {say(theirs.label)} {where}: {difference(line)} points {over}, {p_text(line)}."


def difference(line: Mapping[str, Any]) -> str:
    """A paired difference with its interval, in percentage points: `+8.6 [-2.9, +22.9]`."""
    known = line["difference_low"] == line["difference_low"]
    bounds = f" [{points(line['difference_low'])}, {points(line['difference_high'])}]" if known else ""
    return f"{points(line['difference'])}{bounds}"


def p_text(line: Mapping[str, Any], column: str = "p") -> str:
    """A p value with its test; where unscored pairs could decide otherwise, it says so."""
    said = probability(line[column])
    said = f"p {said}" if said.startswith("<") else f"p = {said}"
    part = (
        ""
        if line["p_clusters"] == line["clusters"]
        else f", {line['p_clusters']:,} of {line['clusters']:,} images: those scored whole"
    )
    open_ = f"; of scored pairs, undecided with {line['unscored']:,} unscored" if line["undecided"] else ""
    return f"{said} ({line['test'] or 'no pairs'}{part}{open_})"


def _accuracy(line: Mapping[str, Any], over: str) -> str:
    if not line["n"]:
        return "no question has a reference"
    return (
        f"{percent(line['acc'])}% [{percent(line['acc_low'])}, {percent(line['acc_high'])}] correct {over}, n = {line['n']:,}"
    )


def _missing(run: ReportRun, line: Mapping[str, Any]) -> Iterator[str]:
    """What is still to come."""
    answered, expected = int(run.rows["stop"].notna().sum()), max(run.run.expected_rows, len(run.rows))
    if answered < expected:
        yield f"so far {answered:,} of {expected:,} rows"
    if line["unscored"]:
        yield f"{many(line['unscored'], 'answer')} unscored ({percent(line['acc_upper'])}% if correct)"


def many(number: int, noun: str) -> str:
    """`1 question`, `2 questions`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _place(benchmark: str, sweep: pd.DataFrame, say: Say) -> tuple[str, str]:
    """What a mean is of: the benchmark or benchmarks, and the resolutions."""
    names, several = resolution_order(sweep["resolution"]), [say(name) for name in dict.fromkeys(sweep["benchmark"])]
    over = f"over {len(names)} resolutions" if len(names) > 1 else f"at {names[0]}"
    named = say(benchmark) if benchmark != MACRO else f"{len(several)} benchmarks ({', '.join(several)})"
    return f"on {named}", over
