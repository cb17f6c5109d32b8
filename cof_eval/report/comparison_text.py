"""Two runs side by side, in words: what else they differ in, the paired tests, who won what, and whether zooming was needed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from .compare import need_table, never_zooms
from .differences import differences
from .headline import difference
from .names import MEAN
from .report_run import ReportRun
from .sweep_means import with_means
from .text import count, escape, percent, points, probability, table

SAMPLE = 6
"""Wins and losses that the report lists of each; flips.csv has all."""
ANSWER_CHARS = 40


def differences_text(runs: Sequence[ReportRun]) -> Iterator[str]:
    """What the runs differ in: a sentence where it is one thing, a table where it is more."""
    if len(runs) < 2:
        return
    if len(runs) > 2:
        yield f"p values are not corrected for comparing {escape(runs[0].label)} with {len(runs) - 1} other runs."
    found = differences([run.run for run in runs])
    if not found:
        yield "The runs differ in no recorded setting."
    elif len(found) == 1:
        yield f"The runs differ in one thing: {escape(found[0].name)} ({' · '.join(escape(_cut(v, 80)) for v in found[0].values)})."
    else:
        yield f"**The runs differ in {len(found)} things, so no difference below is due to one of them alone:**"
        lines = [[escape(each.name), *(escape(_cut(value, 160)) for value in each.values)] for each in found]
        yield table(["differs", *(escape(run.label) for run in runs)], lines)


def comparison(benchmark: str, ours: ReportRun, theirs: ReportRun) -> Iterator[str]:
    """Everything that two runs say about each other on one benchmark; nothing if they share no question."""
    rows, others = (run.rows[run.rows["benchmark"] == benchmark] for run in (ours, theirs))
    pairs = ours.pairs_with(theirs, benchmark)
    if not len(pairs):
        return
    first, second = escape(ours.label), escape(theirs.label)
    yield f"### {first} minus {second}, on the questions that both have"
    columns = ["resolution", "pairs", "images", first, second, "difference, points [95%]", "worst … best", "p", "p (max-T)"]
    lines = with_means(pairs, ours.primary_with(theirs, benchmark)).to_dict("records")
    yield table([*columns, "p (Holm)", "detectable", "wins", "losses", "pairs unscored"], [_pair_cells(line) for line in lines])
    yield _pairs_note(lines)
    yield from _flips(ours.flips_with(theirs, benchmark), first, second)
    if never_zooms(others) and not never_zooms(rows):
        yield from _need(need_table(rows, others), first, second)
    elif never_zooms(rows) and not never_zooms(others):
        yield from _need(need_table(others, rows), second, first)


def _pair_cells(line: Mapping[str, Any]) -> list[str]:
    range_ = f"{points(line['difference_worst'])} … {points(line['difference_best'])}" if line["unscored"] else "–"
    cells = [line["resolution"], count(line["n"]), count(line["clusters"]), percent(line["acc"]), percent(line["acc_other"])]
    cells += [difference(line), range_, probability(line["p"]) + ("\\*" if line["undecided"] else "")]
    cells += [*(probability(line[name]) for name in ("p_max_t", "p_holm")), percent(line["detectable"])]
    return [*cells, count(line["wins"]), count(line["losses"]), count(line["unscored"])]


def _pairs_note(lines: Sequence[Mapping[str, Any]]) -> str:
    """Which rows the table of pairs is of, and how p was found."""
    tests = ", ".join(dict.fromkeys(line["test"] for line in lines if line["test"]))
    said = (
        f"Rows: questions that are scored in both runs; worst … best and the intervals are over all pairs, whatever unscored answers "
        f"are worth. p: {tests or 'none'}."
    )
    if lines[-1]["resolution"] == MEAN:
        said += f" That of the mean is of the {lines[-1]['p_clusters']:,} images scored whole at every resolution."
    open_ = " \\* of scored pairs: undecided while others are unscored." if any(line["undecided"] for line in lines) else ""
    return said + open_


def _flips(flips: pd.DataFrame, ours: str, theirs: str) -> Iterator[str]:
    """Some wins and losses, spread over the list, by id."""
    chosen = []
    for _, part in flips.groupby("outcome", sort=False):
        chosen += part.iloc[:: max(1, math.ceil(len(part) / SAMPLE))].to_dict("records")
    if chosen:
        columns = ["some wins and losses", "resolution", "question", "category", "right answer", ours, theirs]
        shown = ("resolution", "question_id", "category", "reference", "answer", "answer_other")
        lines = [[line["outcome"], *(escape(_cut(line[name], ANSWER_CHARS)) or "–" for name in shown)] for line in chosen]
        yield table(columns, lines)
        yield f"Rows: questions that are scored in both runs, differently. All {len(flips):,} wins and losses are in [flips.csv](flips.csv)."


def _need(need: pd.DataFrame, zooming: str, baseline: str) -> Iterator[str]:
    columns = ["resolution", f"{baseline} is", "questions", f"{zooming} zooms [95%]", f"{zooming} is right"]
    lines = []
    for line in need.to_dict("records"):
        rate = (
            "–"
            if not line["n"]
            else f"{percent(line['zoomed'])} [{percent(line['zoomed_low'])}, {percent(line['zoomed_high'])}]"
        )
        lines.append([line["resolution"], line["baseline"], count(line["n"]), rate, percent(line["acc"])])
    yield table(columns, lines)
    yield f"Rows: questions that {baseline} has scored; mixed: right in some of its samples."


def _cut(value: object, chars: int) -> str:
    text = "" if pd.isna(value) else str(value)
    return text if len(text) <= chars else f"{text[: chars - 1]}…"
