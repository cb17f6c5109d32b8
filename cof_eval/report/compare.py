"""Two runs on the questions that both answered: paired tests, who won what, and whether zooming was needed."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd

from ..stats import Clusters, accuracy_interval, compare_paired, holm
from .names import resolution_order

PAIR = ["benchmark", "resolution", "question_id"]
"""What two rows of two runs must agree in to be compared; repeats are averaged."""

PAIRED_COLUMNS = (
    *("benchmark", "resolution", "n", "clusters", "acc", "acc_other", "difference", "difference_low", "difference_high"),
    *("p", "p_holm", "detectable", "wins", "losses", "both", "neither", "unscored"),
)
"""Columns of the paired table. `n` pairs are scored on both sides and `unscored` are not. `difference` is ours minus theirs, with
the interval of the paired cluster bootstrap; `p` is McNemar's exact test (over clusters where rows share them), `p_holm` that
corrected over the benchmark's resolutions; `detectable` is the smallest difference found with a power of 80% at 0.05 shared by the
resolutions. `wins` are questions that only ours got right (more often), `losses` those that only theirs did; `both` and `neither` are
the others, in questions."""

FLIP_COLUMNS = (
    *("run", "other", "benchmark", "category", "resolution", "question_id", "outcome", "reference", "answer", "answer_other"),
    *("correct", "correct_other", "zooms", "zooms_other", "stop", "stop_other", "trajectory", "trajectory_other"),
)
"""Columns of the wins and losses; `outcome` is `win` or `loss` of `run`. Of repeats, the first one's answer is shown."""

NEED_COLUMNS = ("benchmark", "resolution", "baseline", "n", "zoomed", "zoomed_low", "zoomed_high", "acc")
"""Columns of the table of need: of the questions that the baseline got `right` or `wrong`, the fraction that was zoomed into, and how
many of them came out right."""


def paired_table(ours: pd.DataFrame, theirs: pd.DataFrame) -> pd.DataFrame:
    """Two rows tables compared, one line per benchmark and resolution, with the columns `PAIRED_COLUMNS`."""
    pairs = paired_questions(ours, theirs)
    lines: list[dict[str, Any]] = []
    for benchmark, part in pairs.groupby("benchmark", sort=False):
        names = resolution_order(part["resolution"])
        each = [_paired_line(part[part["resolution"] == name], alpha=0.05 / len(names)) for name in names]
        corrected = holm([line["p"] for line in each])
        lines += [
            {"benchmark": benchmark, "resolution": name, **line, "p_holm": p}
            for name, line, p in zip(names, each, corrected, strict=True)
        ]
    return pd.DataFrame(lines, columns=list(PAIRED_COLUMNS))


def paired_questions(ours: pd.DataFrame, theirs: pd.DataFrame) -> pd.DataFrame:
    """One row per question that both runs have, with `correct` and `correct_other` (means over repeats; NaN if unscored)."""
    sides = [
        rows[rows["stop"].notna()].groupby(PAIR, sort=False, as_index=False).agg({"cluster": "first", "correct": "mean"})
        for rows in (ours, theirs)
    ]
    return sides[0].merge(sides[1].drop(columns="cluster"), on=PAIR, suffixes=("", "_other"))


def _paired_line(pairs: pd.DataFrame, *, alpha: float) -> dict[str, Any]:
    scored = pairs.dropna(subset=["correct", "correct_other"])
    ours, theirs = scored["correct"].to_numpy(), scored["correct_other"].to_numpy()
    found = compare_paired(Clusters.of(ours - theirs, scored["cluster"]), alpha=alpha)
    return {
        "n": len(scored),
        "clusters": int(scored["cluster"].nunique()),
        "acc": float(ours.mean()) if len(ours) else math.nan,
        "acc_other": float(theirs.mean()) if len(theirs) else math.nan,
        "difference": found.difference,
        "difference_low": found.interval.low,
        "difference_high": found.interval.high,
        "p": found.p if len(scored) else math.nan,
        "detectable": found.detectable,
        "wins": int((ours > theirs).sum()),
        "losses": int((ours < theirs).sum()),
        "both": float(np.minimum(ours, theirs).sum()),
        "neither": float((1 - np.maximum(ours, theirs)).sum()),
        "unscored": len(pairs) - len(scored),
    }


def flips_table(ours: pd.DataFrame, theirs: pd.DataFrame) -> pd.DataFrame:
    """The questions that one run got right and the other did not, wins first, with the columns `FLIP_COLUMNS`."""
    pairs = paired_questions(ours, theirs)
    pairs = pairs[pairs["correct"] != pairs["correct_other"]].dropna(subset=["correct", "correct_other"])
    shown = ["answer", "zooms", "stop", "trajectory"]
    first = [rows.drop_duplicates(PAIR).set_index(PAIR) for rows in (ours, theirs)]
    table = pairs.drop(columns="cluster").join(first[0][["run", "category", "reference", *shown]], on=PAIR)
    other = first[1][["run", *shown]].rename(columns={"run": "other", **{name: f"{name}_other" for name in shown}})
    table = table.join(other, on=PAIR)
    won = table["correct"] > table["correct_other"]
    table = table.assign(outcome=np.where(won, "win", "loss"))
    return table.sort_values("outcome", ascending=False, kind="stable")[list(FLIP_COLUMNS)].reset_index(drop=True)


def need_table(zooming: pd.DataFrame, baseline: pd.DataFrame) -> pd.DataFrame:
    """How often a run zooms where the baseline, which never does, is right already and where it is not (`NEED_COLUMNS`)."""
    zoomed = zooming[zooming["stop"].notna()].assign(zoomed=(zooming["zooms"] > 0).astype(float))
    zoomed = zoomed.groupby(PAIR, sort=False, as_index=False).agg({"zoomed": "mean"})
    pairs = paired_questions(zooming, baseline).merge(zoomed, on=PAIR).dropna(subset=["correct_other"])
    lines = []
    for benchmark, part in pairs.groupby("benchmark", sort=False):
        for name in resolution_order(part["resolution"]):
            here = part[part["resolution"] == name]
            for state, chosen in (("right", here["correct_other"] > 0.5), ("wrong", here["correct_other"] <= 0.5)):
                lines.append({"benchmark": benchmark, "resolution": name, "baseline": state, **_need(here[chosen])})
    return pd.DataFrame(lines, columns=list(NEED_COLUMNS))


def _need(pairs: pd.DataFrame) -> dict[str, Any]:
    rate = Clusters.of(pairs["zoomed"], pairs["cluster"])
    low, high = accuracy_interval(rate)
    right = pairs["correct"].dropna()
    return {
        "n": len(pairs),
        "zoomed": rate.estimate,
        "zoomed_low": low,
        "zoomed_high": high,
        "acc": float(right.mean()) if len(right) else math.nan,
    }


def never_zooms(rows: pd.DataFrame) -> bool:
    """Whether a run has answers and none of them used a zoom."""
    return bool(rows["stop"].notna().any()) and not (rows["zooms"] > 0).any()
