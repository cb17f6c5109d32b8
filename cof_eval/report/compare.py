"""Two runs on the questions that both answered: paired tests at each resolution, who won what, and whether zooming was needed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from ..stats import Clusters, Interval, accuracy_interval, bounds_interval, compare_paired, holm, max_t
from .names import resolution_order
from .pairs import PAIR, pair_questions

PAIRED_COLUMNS = (
    *("benchmark", "resolution", "n", "clusters", "acc", "acc_other", "difference", "difference_low", "difference_high"),
    *("difference_worst", "difference_best", "p", "p_clusters", "p_max_t", "p_holm", "test", "undecided", "unscored_matter"),
    "detectable",
    *("wins", "losses", "both", "neither", "unscored"),
)
"""Columns of the paired table. `n` pairs are scored on both sides and `unscored` are not (a pair with an unscored repeat is not).
`difference` is ours minus theirs on the scored pairs. `difference_worst` and `difference_best` are what it could become over all
pairs, whatever unscored answers are worth. `difference_low` to `difference_high` is a 95% interval (t + 2) that holds for all of
that. `p` is of the scored pairs (`test` says how, `p_clusters` of how many images); `undecided` says that the interval holds 0 and
that pairs are unscored, `unscored_matter` that they can move the difference by more than half its own interval, or turn a
significant one into none.
`p_max_t` and `p_holm` are corrected over the benchmark's resolutions, those with the same pairs of trajectories counted once.
`detectable` is the smallest difference found with a power of 80% at 0.05 divided by their number. `wins` are questions that only
ours got right (more often), `losses` those that only theirs did; `both` and `neither` are the others, in questions."""

FLIP_COLUMNS = (
    *("run", "other", "benchmark", "category", "resolution", "question_id", "outcome", "reference", "answer", "answer_other"),
    *("correct", "correct_other", "zooms", "zooms_other", "stop", "stop_other", "trajectory", "trajectory_other"),
)
"""Columns of the wins and losses; `outcome` is `win` or `loss` of `run`. Of repeats, the first one's answer is shown."""

NEED_COLUMNS = ("benchmark", "resolution", "baseline", "n", "zoomed", "zoomed_low", "zoomed_high", "acc")
"""Columns of the table of need: of the questions that the baseline got `right`, `wrong`, or right in a part of its samples (`mixed`),
the fraction that was zoomed into, and how many of them came out right."""

_ALPHA = 0.05


def paired_table(ours: pd.DataFrame, theirs: pd.DataFrame, *, same_judge: bool = False) -> pd.DataFrame:
    """Two rows tables compared, one line per benchmark and resolution, with the columns `PAIRED_COLUMNS`."""
    return compare_resolutions(pair_questions(ours, theirs, same_judge=same_judge))


def compare_resolutions(pairs: pd.DataFrame) -> pd.DataFrame:
    """A table of pairs (`pairs.pair_questions`) summed up by benchmark and resolution, with the columns `PAIRED_COLUMNS`."""
    lines = [line for _, part in pairs.groupby("benchmark", sort=False) for line in _benchmark_lines(part)]
    return pd.DataFrame(lines, columns=list(PAIRED_COLUMNS))


def _benchmark_lines(part: pd.DataFrame) -> list[dict[str, Any]]:
    """The lines of one benchmark, with p values corrected over its distinct hypotheses."""
    names = resolution_order(part["resolution"])
    each = {name: part[part["resolution"] == name] for name in names}
    same = _distinct(each)
    tested = [name for name in names if same[name] == name and each[name]["difference"].notna().any()]
    lines = {name: pair_line(each[name], alpha=_ALPHA / max(1, len(tested))) for name in names}
    by_holm = dict(zip(tested, holm([lines[name]["p"] for name in tested]), strict=True))
    by_flips = dict(zip(tested, max_t(_sums(part, tested)), strict=True)) if tested else {}
    place = {"benchmark": part["benchmark"].iloc[0]}
    return [
        {**place, "resolution": name, **lines[name], "p_holm": by_holm.get(same[name], math.nan),
         "p_max_t": by_flips.get(same[name], math.nan)}
        for name in names
    ]  # fmt: skip


def _distinct(each: dict[str, pd.DataFrame]) -> dict[str, str]:
    """Each resolution's first resolution with the very same pairs of trajectories: they are one hypothesis."""
    first: dict[tuple[Any, ...], str] = {}
    pairs = {name: part[["question_id", "work", "work_other"]] for name, part in each.items()}
    return {
        name: first.setdefault(tuple(sorted(part.itertuples(index=False, name=None))), name) for name, part in pairs.items()
    }


def _sums(part: pd.DataFrame, names: Sequence[str]) -> Any:
    """Sums of the differences by image and resolution, 0 where an image has none; shape (images, resolutions)."""
    known = part[part["resolution"].isin(names)].dropna(subset=["difference"])
    table = known.pivot_table(index="cluster", columns="resolution", values="difference", aggfunc="sum", fill_value=0.0)
    return table[list(names)].to_numpy(dtype=float)


def pair_line(pairs: pd.DataFrame, *, alpha: float = _ALPHA) -> dict[str, Any]:
    """What pairs of one resolution say, without the corrected p values."""
    scored = pairs.dropna(subset=["difference"])
    found = compare_paired(Clusters.of(scored["difference"], scored["cluster"]), alpha=alpha)
    worst, best = (Clusters.of(pairs[side], pairs["cluster"]) for side in ("low", "high"))
    interval = bounds_interval(worst, best)
    return {
        **outcome_counts(pairs),
        "acc": mean_of(scored["correct"]),
        "acc_other": mean_of(scored["correct_other"]),
        "difference": found.difference,
        "difference_low": interval.low,
        "difference_high": interval.high,
        "difference_worst": worst.estimate,
        "difference_best": best.estimate,
        "p": found.p if len(scored) else math.nan,
        "p_clusters": int(scored["cluster"].nunique()),
        "test": found.test.value if len(scored) else "",
        **unscored_effect(len(pairs) - len(scored), interval, best.estimate - worst.estimate, found.interval, found.p),
        "detectable": found.detectable,
    }


def unscored_effect(unscored: int, interval: Interval, moved: float, own: Interval, p: float) -> dict[str, bool]:
    """Whether unscored pairs leave open which run is better, and whether they matter at all.

    Args:
        unscored: pairs.
        interval: of the difference, whatever they are worth.
        moved: by how much they can move it.
        own: its interval on the scored pairs alone.
        p: of the scored pairs.
    """
    undecided = unscored > 0 and not (interval.low > 0 or interval.high < 0)
    moves_far = unscored > 0 and not moved <= (own.high - own.low) / 2
    return {"undecided": undecided, "unscored_matter": moves_far or (undecided and p < _ALPHA)}


def outcome_counts(pairs: pd.DataFrame) -> dict[str, Any]:
    """How many pairs there are of each kind."""
    scored = pairs.dropna(subset=["difference"])
    ours, theirs = scored["correct"].to_numpy(), scored["correct_other"].to_numpy()
    return {
        "n": len(scored),
        "clusters": int(scored["cluster"].nunique()),
        "wins": int((ours > theirs).sum()),
        "losses": int((ours < theirs).sum()),
        "both": float(np.minimum(ours, theirs).sum()),
        "neither": float((1 - np.maximum(ours, theirs)).sum()),
        "unscored": len(pairs) - len(scored),
    }


def mean_of(values: pd.Series) -> float:
    """The mean; NaN without values."""
    return float(values.mean()) if len(values) else math.nan


def flips_table(ours: pd.DataFrame, theirs: pd.DataFrame, pairs: pd.DataFrame | None = None) -> pd.DataFrame:
    """The questions that one run got right and the other did not, wins first, with the columns `FLIP_COLUMNS`.

    Args:
        ours: a rows table.
        theirs: another.
        pairs: of these two, see `pairs.pair_questions`; None to make them.
    """
    pairs = pair_questions(ours, theirs) if pairs is None else pairs
    pairs = pairs[pairs["difference"].notna() & (pairs["difference"] != 0)]
    shown = ["answer", "zooms", "stop", "trajectory"]
    first = [rows.drop_duplicates(PAIR).set_index(PAIR) for rows in (ours, theirs)]
    table = pairs[[*PAIR, "correct", "correct_other"]].join(first[0][["run", "category", "reference", *shown]], on=PAIR)
    other = first[1][["run", *shown]].rename(columns={"run": "other", **{name: f"{name}_other" for name in shown}})
    table = table.join(other, on=PAIR)
    won = table["correct"] > table["correct_other"]
    table = table.assign(outcome=np.where(won, "win", "loss"))
    return table.sort_values("outcome", ascending=False, kind="stable")[list(FLIP_COLUMNS)].reset_index(drop=True)


def need_table(zooming: pd.DataFrame, baseline: pd.DataFrame) -> pd.DataFrame:
    """How often a run zooms where the baseline, which never does, is right already and where it is not (`NEED_COLUMNS`)."""
    zoomed = zooming[zooming["stop"].notna()].assign(zoomed=(zooming["zooms"] > 0).astype(float))
    zoomed = zoomed.groupby(PAIR, sort=False, as_index=False).agg({"zoomed": "mean"})
    pairs = pair_questions(zooming, baseline).merge(zoomed, on=PAIR).dropna(subset=["correct_other"])
    states = np.select([pairs["correct_other"] == 1, pairs["correct_other"] == 0], ["right", "wrong"], "mixed")
    lines = []
    for benchmark, part in pairs.assign(state=states).groupby("benchmark", sort=False):
        for name in resolution_order(part["resolution"]):
            here = part[part["resolution"] == name]
            for state in ("right", "wrong", *(["mixed"] if (part["state"] == "mixed").any() else [])):
                lines.append(
                    {"benchmark": benchmark, "resolution": name, "baseline": state, **_need(here[here["state"] == state])}
                )
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
