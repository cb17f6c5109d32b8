"""Two runs side by side, in words: what else they differ in, the paired tests, who won what, and whether zooming was needed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from .compare import need_table, never_zooms
from .differences import differences
from .report_run import ReportRun
from .text import count, escape, percent, points, probability, table

SAMPLE = 6
"""Wins and losses that the report lists of each; flips.csv has all."""
ANSWER_CHARS = 40


def differences_text(runs: Sequence[ReportRun]) -> Iterator[str]:
    """What the runs differ in: a sentence where it is one thing, a table where it is more."""
    if len(runs) < 2:
        return
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
    columns = [
        "resolution",
        "pairs",
        "images",
        first,
        second,
        "difference, points [95%]",
        "p",
        "p (Holm)",
        "detectable",
        "wins",
    ]
    yield table([*columns, "losses", "pairs unscored"], [_pair_cells(line) for line in pairs.to_dict("records")])
    yield from _flips(ours.flips_with(theirs, benchmark), first, second)
    if never_zooms(others) and not never_zooms(rows):
        yield _need(need_table(rows, others), first, second)
    elif never_zooms(rows) and not never_zooms(others):
        yield _need(need_table(others, rows), second, first)


def _pair_cells(line: Mapping[str, Any]) -> list[str]:
    bounds = (
        "" if math.isnan(line["difference_low"]) else f" [{points(line['difference_low'])}, {points(line['difference_high'])}]"
    )
    cells = [line["resolution"], count(line["n"]), count(line["clusters"]), percent(line["acc"]), percent(line["acc_other"])]
    cells += [
        points(line["difference"]) + bounds,
        probability(line["p"]),
        probability(line["p_holm"]),
        percent(line["detectable"]),
    ]
    return [*cells, count(line["wins"]), count(line["losses"]), count(line["unscored"])]


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
        yield f"All {len(flips):,} wins and losses are in [flips.csv](flips.csv)."


def _need(need: pd.DataFrame, zooming: str, baseline: str) -> str:
    columns = ["resolution", f"{baseline} is", "questions", f"{zooming} zooms [95%]", f"{zooming} is right"]
    lines = []
    for line in need.to_dict("records"):
        rate = (
            "–"
            if not line["n"]
            else f"{percent(line['zoomed'])} [{percent(line['zoomed_low'])}, {percent(line['zoomed_high'])}]"
        )
        lines.append([line["resolution"], line["baseline"], count(line["n"]), rate, percent(line["acc"])])
    return table(columns, lines)


def _cut(value: object, chars: int) -> str:
    text = "" if pd.isna(value) else str(value)
    return text if len(text) <= chars else f"{text[: chars - 1]}…"
