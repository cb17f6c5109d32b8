"""Questions that two runs answered, side by side: what is known of each pair, and what unscored answers could make of it."""

from __future__ import annotations

import pandas as pd

from ..core.records import Outcome, Stop
from .rows import UNANSWERABLE

PAIR = ["benchmark", "resolution", "question_id"]
"""What two rows of two runs must agree in to be compared; repeats and option orders are averaged."""
_ORDER = [*PAIR, "rotation"]

PAIR_COLUMNS = (
    *(*PAIR, "category", "cluster", "correct", "correct_other", "difference", "low", "high", "work"),
    "work_other",
)
"""Columns of the table of pairs. `correct` and `correct_other` are means over repeats, NaN if one of them is unscored, and so is
`difference`. `low` and `high` are the least and the most that ours minus theirs can be, whatever unscored answers are worth. `work` and
`work_other` name the trajectories."""


def pair_questions(ours: pd.DataFrame, theirs: pd.DataFrame, *, same_judge: bool = False) -> pd.DataFrame:
    """One row per question that both runs answered, in the option orders that both have (`PAIR_COLUMNS`).

    Args:
        ours: a rows table.
        theirs: another.
        same_judge: whether one card and judge model decide both. Then the same unscored answer is worth the same in both runs.
    """
    sides = [rows[rows["stop"].notna() & (rows["by"] != UNANSWERABLE)] for rows in (ours, theirs)]
    orders = sides[0][_ORDER].drop_duplicates().merge(sides[1][_ORDER].drop_duplicates())
    sides = [side.merge(orders) for side in sides]
    equal = _equal_answers(*sides) if same_judge else sides[0][[*_ORDER, "repeat"]].head(0)
    first, second = (_questions(side, equal) for side in sides)
    pairs = first.merge(second.drop(columns=["cluster", "category"]), on=PAIR, suffixes=("", "_other"))
    pairs["difference"] = pairs["correct"] - pairs["correct_other"]
    pairs["low"], pairs["high"] = pairs["least"] - pairs["most_other"], pairs["most"] - pairs["least_other"]
    return pairs[list(PAIR_COLUMNS)]


def _equal_answers(ours: pd.DataFrame, theirs: pd.DataFrame) -> pd.DataFrame:
    """Keys of the rows that both runs answered alike and that are unscored in both: worth the same, whatever it is."""
    key = [*_ORDER, "repeat"]
    open_ = [
        side[(side["verdict"] == Outcome.UNSCORED.value) & (side["stop"] == Stop.ANSWERED.value)][[*key, "answer"]]
        for side in (ours, theirs)
    ]
    return open_[0].merge(open_[1])[key]


def _questions(rows: pd.DataFrame, equal: pd.DataFrame) -> pd.DataFrame:
    """One row per question: its mean over rows, NaN if one is unscored; the least and the most that it can be; its trajectories."""
    alike = pd.MultiIndex.from_frame(rows[[*_ORDER, "repeat"]]).isin(pd.MultiIndex.from_frame(equal))
    rows = rows.assign(
        unknown=rows["correct"].isna(),
        least=rows["correct"].fillna(0.0),
        most=rows["correct"].fillna(1.0).where(~alike, rows["correct"].fillna(0.0)),
    )
    found = rows.groupby(PAIR, sort=False, as_index=False).agg(
        cluster=("cluster", "first"),
        category=("category", "first"),
        least=("least", "mean"),
        most=("most", "mean"),
        unknown=("unknown", "any"),
        work=("trajectory", "first" if not rows.duplicated(PAIR).any() else "|".join),
    )
    return found.assign(correct=found["least"].where(~found["unknown"])).drop(columns="unknown")
