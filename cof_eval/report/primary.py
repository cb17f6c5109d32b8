"""The primary result of a comparison: the difference of two runs' means over resolutions, with its interval and one p value.

It is tested once, at 0.05 without a correction; differences at single resolutions are secondary.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from ..stats import Interval, detectable_difference, flip_test_name, sign_flip_test
from .benchmark_units import Unit, benchmark_units, difference_interval, joined, mean_value
from .compare import PAIRED_COLUMNS, outcome_counts, unscored_effect
from .names import MACRO, MEAN
from .pairs import PAIR
from .rows import UNANSWERABLE


def primary_table(ours: pd.DataFrame, theirs: pd.DataFrame, pairs: pd.DataFrame) -> pd.DataFrame:
    """A line per benchmark, then their mean, with the columns `compare.PAIRED_COLUMNS`.

    `n` counts pairs at all resolutions. `p` is of the images whose every question is scored in both runs at every resolution.

    Args:
        ours: a rows table.
        theirs: another.
        pairs: of these two, see `pairs.pair_questions`.
    """
    pairs = pairs.assign(whole=_whole(pairs, ours, theirs))
    lines = [
        {"benchmark": benchmark, **_line(part, [Unit(part, 1.0)])} for benchmark, part in pairs.groupby("benchmark", sort=False)
    ]
    if len(lines) > 1:
        lines.append({"benchmark": MACRO, **_line(pairs, benchmark_units(pairs))})
    return pd.DataFrame([{"resolution": MEAN, **line} for line in lines], columns=list(PAIRED_COLUMNS))


def _line(pairs: pd.DataFrame, units: Sequence[Unit]) -> dict[str, Any]:
    counts = outcome_counts(pairs)
    scored = [unit.where(pairs["difference"].notna()) for unit in units]
    interval = Interval(difference_interval(units, "low").low, difference_interval(units, "high").high)
    worst, best = mean_value(units, "low"), mean_value(units, "high")
    complete = joined([unit.where(pairs["whole"]) for unit in units], "difference")
    p, own = sign_flip_test(complete.sums) if len(complete) else math.nan, difference_interval(scored, "difference")
    return {
        **counts,
        "acc": mean_value(scored, "correct"),
        "acc_other": mean_value(scored, "correct_other"),
        "difference": mean_value(scored, "difference"),
        "difference_low": interval.low,
        "difference_high": interval.high,
        "difference_worst": worst,
        "difference_best": best,
        "p": p,
        "p_clusters": len(complete),
        "test": flip_test_name(complete).value if len(complete) else "",
        **unscored_effect(counts["unscored"], interval, best - worst, own, p),
        "detectable": detectable_difference(joined(scored, "difference")),
    }


def _whole(pairs: pd.DataFrame, ours: pd.DataFrame, theirs: pd.DataFrame) -> pd.Series:
    """Whether a pair is of an image that is scored whole: each of its questions, at every resolution that both runs have."""
    image = ["benchmark", "cluster"]
    asked = pd.concat([ours, theirs])
    asked = asked[asked["by"] != UNANSWERABLE]
    cells = ours[PAIR[:2]].drop_duplicates().merge(theirs[PAIR[:2]].drop_duplicates()).groupby("benchmark").size()
    questions = asked.dropna(subset=["cluster"]).drop_duplicates(["benchmark", "question_id"])[[*image, "question_id"]]
    wanted = questions.groupby(image).size().rename("wanted").reset_index()
    wanted["wanted"] *= wanted["benchmark"].map(cells).fillna(0)
    found = pairs[image].merge(wanted, on=image, how="left")["wanted"].to_numpy()
    return pairs.groupby(image)["difference"].transform("count") == found
