"""The sweep table: a line per run, benchmark, category and resolution, each number with its interval."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pandas as pd

from ..core.records import Stop
from ..stats import Clusters, accuracy_interval, fieller_interval, mean_interval
from .names import OVERALL, resolution_order
from .rows import UNANSWERABLE, rows_table

if TYPE_CHECKING:
    from ..runs.folder import RunData

COSTS = (
    *("zooms", "tool_errors", "turns", "output_tokens", "visual_tokens"),
    *("prompt_tokens", "cached_tokens", "engine_s", "usd"),
)
"""What is averaged over the rollouts that the engine did not break off."""

WITH_INTERVAL = ("zooms", "output_tokens", "visual_tokens", "engine_s", "usd")
"""Costs whose mean is given with its interval."""

STOPS = tuple(stop for stop in Stop if stop is not Stop.ANSWERED)
"""Failures by kind; `error` is counted as `errors`."""

MAX_VALUES = 12
"""Most values of a further column of the data whose values are categories."""

SWEEP_COLUMNS = (
    *("run", "benchmark", "category", "resolution"),
    *("n", "clusters", "correct", "acc", "acc_low", "acc_high", "acc_upper", "unscored", "pending", "planned", "rows"),
    *("errors", "no_answer", "max_turns", "length", "context_full", "truncated", "zoom_rate", *COSTS),
    *(f"{cost}_{side}" for cost in WITH_INTERVAL for side in ("low", "high")),
    *("tokens_per_correct", "tokens_per_correct_low", "tokens_per_correct_high"),
    *("usd_per_correct", "usd_per_correct_low", "usd_per_correct_high", "shared_with_smaller"),
)
"""Columns of the sweep table. Accuracies and rates are fractions (0–1); costs are means per row.

`n` counts the questions that have a trajectory, `rows` their rows (more where questions are repeated). `planned` counts all
questions, `pending` the rows without a trajectory yet. `acc` is the mean over questions of their mean over repeats.
`acc_low` to `acc_high` is a 95% interval: Wilson's, or clustered Wilson where rows share a cluster. While rows are
unscored, it reaches from the lower end for `acc` to the upper end for `acc_upper`. So it holds for any later verdicts.
Other intervals are Student's t over clusters. `tokens_per_correct` are generated and visual tokens of the rows with a
reference over the right answers, `usd_per_correct` their dollars, with Fieller's interval; NaN where that has no end.
`usd` is known where the run has prices.
"""


def sweep_table(run: RunData, *, label: str | None = None) -> pd.DataFrame:
    """The summary of one run, with the columns `SWEEP_COLUMNS`."""
    return summarize(rows_table(run, label=label))


def summarize(rows: pd.DataFrame) -> pd.DataFrame:
    """One line per run, benchmark, category (`overall` first; every level of "Perception/OCR") and resolution of a rows table.

    Rows whose benchmark gives no reference have costs, and count neither as right nor as wrong.
    """
    lines = [line for part in category_parts(rows) for line in _sweep_lines(part)]
    return pd.DataFrame(lines, columns=list(SWEEP_COLUMNS))


def category_parts(rows: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """The rows of each run and benchmark, whole and then by category."""
    for _, whole in rows.groupby(["run", "benchmark"], sort=False):
        yield whole.assign(category=OVERALL)
        for name in sorted({level for category in whole["category"].dropna().unique() for level in category_levels(category)}):
            yield whole[f"{name}/" == (whole["category"].fillna("") + "/").str.slice(0, len(name) + 1)].assign(category=name)
        yield from _by_further_columns(whole)


def _by_further_columns(whole: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """The rows by each value of each further column of the data, as category "difficulty=hard"; free texts are no categories."""
    if not whole["extra"].notna().any():
        return
    read = {text: json.loads(text) for text in whole["extra"].dropna().unique()}
    columns = whole["extra"].map(lambda text: read.get(text, {}))
    for name in dict.fromkeys(name for values in read.values() for name in values):
        values = columns.map(lambda row, name=name: row.get(name))
        found = sorted(values.dropna().unique())
        if 2 <= len(found) <= MAX_VALUES:
            for value in found:
                yield whole[values == value].assign(category=f"{name}={value}")


def category_levels(category: str) -> list[str]:
    """A category and those that it belongs to: "Perception/OCR" is also "Perception"."""
    parts = category.split("/")
    return ["/".join(parts[: i + 1]) for i in range(len(parts))]


def _sweep_lines(part: pd.DataFrame) -> Iterator[dict[str, Any]]:
    first, smaller = part.iloc[0], None
    for name in resolution_order(part["resolution"]):
        planned = part[part["resolution"] == name]
        rows = planned[planned["stop"].notna()]
        place = {"run": first["run"], "benchmark": first["benchmark"], "category": first["category"], "resolution": name}
        shared = math.nan if smaller is None else int(rows["trajectory"].isin(smaller).sum())
        counts = {"planned": int(planned["question_id"].nunique()), "pending": len(planned) - len(rows)}
        yield {
            **place,
            **counts,
            **_scores(rows[rows["by"] != UNANSWERABLE]),
            "rows": len(rows),
            **failures(rows),
            **_costs(rows),
            "shared_with_smaller": shared,
        }
        smaller = set(planned["trajectory"])


def _scores(rows: pd.DataFrame) -> dict[str, Any]:
    lower, upper = question_means(rows, unscored=0.0), question_means(rows, unscored=1.0)
    return {
        "n": len(lower),
        "clusters": int(rows["cluster"].nunique()),
        "correct": int((rows["correct"] == 1).sum()),
        "acc": _mean(lower["correct"]),
        "acc_low": accuracy_interval(Clusters.of(lower["correct"], lower["cluster"]), answers=len(rows)).low,
        "acc_high": accuracy_interval(Clusters.of(upper["correct"], upper["cluster"]), answers=len(rows)).high,
        "acc_upper": _mean(upper["correct"]),
        "unscored": int(rows["correct"].isna().sum()),
    }


def question_means(rows: pd.DataFrame, *, unscored: float) -> pd.DataFrame:
    """One row per question and resolution, with its `cluster` and the mean of `correct` over repeats and option orders.

    Args:
        rows: of any benchmarks and resolutions.
        unscored: the value of an unscored row.
    """
    key = ["benchmark", "resolution", "question_id"]
    known = rows[[*key, "cluster", "correct"]].fillna({"correct": unscored})
    if not known.duplicated(key).any():
        return known
    return known.groupby(key, sort=False, as_index=False).agg({"cluster": "first", "correct": "mean"})


def failures(rows: pd.DataFrame) -> dict[str, int]:
    """Rows by the stop of those that did not answer."""
    counts = rows["stop"].value_counts()
    found = {("errors" if stop is Stop.ERROR else stop.value): int(counts.get(stop.value, 0)) for stop in STOPS}
    return {**found, "truncated": sum(int(counts.get(stop.value, 0)) for stop in STOPS if stop.truncated)}


def _costs(rows: pd.DataFrame) -> dict[str, float]:
    """Means over the rollouts that ended; one that the engine broke off says nothing about the model."""
    ended = rows[rows["stop"] != Stop.ERROR.value]
    line = {cost: _mean(ended[cost]) for cost in COSTS}
    line["zoom_rate"] = _mean(ended["zooms"] > 0)
    for cost in WITH_INTERVAL:
        known = ended.dropna(subset=[cost])
        line |= _bounds(cost, mean_interval(known[cost].astype(float), known["cluster"]))
    for name, known in spent(ended).items():
        per_correct = Clusters.ratio(known["spent"], known["correct"] == 1, known["cluster"])
        line |= {name: per_correct.estimate, **_bounds(name, fieller_interval(per_correct))}
    return line


def spent(ended: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The rows with a reference whose tokens, or dollars, are known, as `spent`; by the column of the sweep table."""
    scored = ended[ended["by"] != UNANSWERABLE]
    tokens = (scored["output_tokens"] + scored["visual_tokens"]).astype(float)
    costs = {"tokens_per_correct": tokens, "usd_per_correct": scored["usd"].astype(float)}
    return {name: scored.assign(spent=cost).dropna(subset=["spent"]) for name, cost in costs.items()}


def _bounds(name: str, interval: tuple[float, float]) -> dict[str, float]:
    return {f"{name}_low": interval[0], f"{name}_high": interval[1]}


def _mean(values: pd.Series) -> float:
    known = values.dropna()
    return float(known.mean()) if len(known) else math.nan


def chance_level(rows: pd.DataFrame) -> float | None:
    """Expected fraction right when guessing an option, over the distinct questions; None if some have no options."""
    questions = rows.dropna(subset=["options"]).drop_duplicates(["benchmark", "question_id"])
    counts = [int(count) for count in questions["options"]]
    return sum(1 / count for count in counts) / len(counts) if counts and all(counts) else None
