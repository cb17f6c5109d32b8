"""Tables of a run: one tidy row per question, task and repeat, and its summaries per benchmark, category and resolution.

Everything is computed from the run folder's records alone. Unfinished and partly unscored runs are tables too: a row
without a trajectory is pending and not counted yet; one with a trajectory but no verdict counts as unscored, so that `acc`
is a lower bound and `acc_upper` an upper one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from ..errors import DataError
from ..records import Outcome, Question, Row, Stop, Trajectory, Verdict
from ..resolution import RESOLUTIONS
from ..stats import mean_interval, wilson

if TYPE_CHECKING:
    from ..run import RunData

OVERALL = "overall"
"""The category of a summary over all categories."""

ROW_COLUMNS = {
    "run": "object",
    "task": "object",
    "benchmark": "object",
    "category": "object",
    "resolution": "object",
    "question_id": "object",
    "cluster": "object",
    "repeat": "Int64",
    "trajectory": "object",
    "verdict": "object",
    "by": "object",
    "stop": "object",
    "answer": "object",
    "correct": "float64",
    "zooms": "Int64",
    "tool_errors": "Int64",
    "turns": "Int64",
    "output_tokens": "Int64",
    "visual_tokens": "Int64",
    "prompt_tokens": "Int64",
    "cached_tokens": "Int64",
    "shown_width": "Int64",
    "shown_height": "Int64",
    "cap": "Int64",
    "engine_s": "float64",
    "wall_s": "float64",
    "verified": "boolean",
    "options": "Int64",
}
"""Columns of the rows table. Prompt and cached tokens are summed over turns: an image in a prompt counts in each."""

COSTS = ("zooms", "tool_errors", "turns", "output_tokens", "visual_tokens")
"""What is averaged over the rollouts that the engine did not break off."""

WITH_INTERVAL = ("zooms", "output_tokens", "visual_tokens")
"""Costs whose mean is given with its t interval."""

SWEEP_COLUMNS = (
    *("run", "benchmark", "category", "resolution"),
    *("n", "clusters", "correct", "acc", "acc_low", "acc_high", "acc_upper", "unscored", "pending", "errors"),
    *("truncated", "no_answer", "zoom_rate", *COSTS),
    *(f"{cost}_{side}" for cost in WITH_INTERVAL for side in ("low", "high")),
    "shared_with_smaller",
)
"""Columns of the sweep table. Accuracies and rates are shares (0–1); costs are means per row.

`n` counts the rows that have a trajectory, `pending` the others. `acc_low` to `acc_high` is Wilson's 95% interval; while
rows are unscored, it reaches from the lower end for `acc` to the upper end for `acc_upper`, so that it holds either way.
"""

PUBLISHED_COLUMNS = ("benchmark", "category", "resolution", "model", "metric", "value", "n", "source", "note")
"""Columns of the files in `results/published/`."""

PAIR = ["benchmark", "resolution", "question_id", "repeat"]
"""What two rows of two runs must agree in to be compared."""


def run_labels(runs: Sequence[RunData]) -> list[str]:
    """One distinct label per run: its own, with the folder's name or a number where two would be equal."""
    own = [str(run.settings.get("label") or run.path.name) for run in runs]
    longer = [f"{label} ({run.path.name})" if own.count(label) > 1 else label for label, run in zip(own, runs, strict=True)]
    return [f"{label} ({i + 1})" if longer.count(label) > 1 else label for i, label in enumerate(longer)]


def resolution_order(names: Sequence[str]) -> list[str]:
    """The distinct resolutions among `names` in sweep order, `native` last."""
    rank = {name: i for i, name in enumerate(RESOLUTIONS)}
    return sorted(set(names), key=lambda name: (rank.get(name, len(rank)), name))


def rows_table(run: RunData, *, label: str | None = None) -> pd.DataFrame:
    """One row per question, task and repeat, with the columns `ROW_COLUMNS`.

    A row without a trajectory yet has no verdict, stop or counts; its category and cluster come from the same question
    at another resolution if that one is done.
    """
    name = label or run_labels([run])[0]
    questions = {(t.question.benchmark, t.question.id): t.question for t in run.trajectories.values()}
    facts = {key: _trajectory_facts(trajectory) for key, trajectory in run.trajectories.items()}
    records = [
        {
            "run": name,
            **_row_facts(row),
            **_question_facts(run.question(row) or questions.get((row.benchmark, row.question_id))),
            **facts.get(row.trajectory, {}),
            **(_verdict_facts(run.verdict(row)) if row.trajectory in facts else {}),
        }
        for row in run.rows
    ]
    return pd.DataFrame(records, columns=list(ROW_COLUMNS)).astype(ROW_COLUMNS)


def _row_facts(row: Row) -> dict[str, Any]:
    return {
        "task": row.task,
        "benchmark": row.benchmark,
        "resolution": row.resolution,
        "question_id": row.question_id,
        "repeat": row.repeat,
        "trajectory": row.trajectory,
        "cap": row.cap,
    }


def _question_facts(question: Question | None) -> dict[str, Any]:
    if question is None:
        return {}
    return {"category": question.category, "cluster": question.cluster, "options": len(question.options)}


def _trajectory_facts(trajectory: Trajectory) -> dict[str, Any]:
    width, height = trajectory.shown.size
    return {
        "stop": trajectory.stop.value,
        "answer": trajectory.answer,
        "zooms": trajectory.zooms,
        "tool_errors": trajectory.tool_errors,
        "turns": len(trajectory.turns),
        "output_tokens": trajectory.output_tokens,
        "visual_tokens": trajectory.visual_tokens,
        "prompt_tokens": sum(turn.prompt_tokens for turn in trajectory.turns),
        "cached_tokens": sum(turn.cached_tokens for turn in trajectory.turns),
        "shown_width": width,
        "shown_height": height,
        "engine_s": sum(turn.engine_s for turn in trajectory.turns),
        "wall_s": trajectory.wall_s,
        "verified": trajectory.verified,
    }


def _verdict_facts(verdict: Verdict | None) -> dict[str, Any]:
    if verdict is None:
        return {"verdict": Outcome.UNSCORED.value, "by": "pending", "correct": math.nan}
    worth = {Outcome.CORRECT: 1.0, Outcome.WRONG: 0.0, Outcome.UNSCORED: math.nan}
    return {"verdict": verdict.verdict.value, "by": verdict.by, "correct": worth[verdict.verdict]}


def sweep_table(run: RunData, *, label: str | None = None) -> pd.DataFrame:
    """The summary of one run, with the columns `SWEEP_COLUMNS`."""
    return summarize(rows_table(run, label=label))


def summarize(rows: pd.DataFrame) -> pd.DataFrame:
    """One line per run, benchmark, category (`overall` first) and resolution of a rows table."""
    lines = [line for part in _parts(rows) for line in _sweep_lines(part)]
    return pd.DataFrame(lines, columns=list(SWEEP_COLUMNS))


def _parts(rows: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """The rows of each run and benchmark, whole and then by category."""
    for _, whole in rows.groupby(["run", "benchmark"], sort=False):
        yield whole.assign(category=OVERALL)
        for _, part in whole.groupby("category"):
            yield part


def _sweep_lines(part: pd.DataFrame) -> Iterator[dict[str, Any]]:
    first, smaller = part.iloc[0], None
    for name in resolution_order(part["resolution"]):
        planned = part[part["resolution"] == name]
        rows = planned[planned["stop"].notna()]
        place = {"run": first["run"], "benchmark": first["benchmark"], "category": first["category"], "resolution": name}
        shared = math.nan if smaller is None else int(rows["trajectory"].isin(smaller).sum())
        yield {**place, "pending": len(planned) - len(rows), **_scores(rows), **_costs(rows), "shared_with_smaller": shared}
        smaller = set(planned["trajectory"])


def _scores(rows: pd.DataFrame) -> dict[str, Any]:
    n, correct = len(rows), int((rows["correct"] == 1).sum())
    unscored = int(rows["correct"].isna().sum())
    return {
        "n": n,
        "clusters": int(rows["cluster"].nunique()),
        "correct": correct,
        "acc": correct / n if n else math.nan,
        "acc_low": wilson(correct, n).low,
        "acc_high": wilson(correct + unscored, n).high,
        "acc_upper": (correct + unscored) / n if n else math.nan,
        "unscored": unscored,
        "errors": int((rows["stop"] == Stop.ERROR.value).sum()),
        "truncated": int(rows["stop"].isin([stop.value for stop in Stop if stop.truncated]).sum()),
        "no_answer": int((rows["stop"] == Stop.NO_ANSWER.value).sum()),
    }


def _costs(rows: pd.DataFrame) -> dict[str, float]:
    """Means over the rollouts that ended; one that the engine broke off says nothing about the model."""
    ended = rows[rows["stop"] != Stop.ERROR.value]
    values = {cost: [float(value) for value in ended[cost]] for cost in COSTS}
    line = {cost: _mean(values[cost]) for cost in COSTS}
    line["zoom_rate"] = _mean([float(zooms > 0) for zooms in values["zooms"]])
    for cost in WITH_INTERVAL:
        interval = mean_interval(values[cost])
        line |= {f"{cost}_low": interval.low, f"{cost}_high": interval.high}
    return line


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan


def paired_table(ours: pd.DataFrame, theirs: pd.DataFrame) -> pd.DataFrame:
    """Two rows tables compared on the questions that both have, one line per benchmark and resolution.

    `n` pairs are scored on both sides and `unscored` are not; `wins` are those that only `ours` got right, `losses` those
    that only `theirs` did. `acc` and `acc_other` are shares of the `n` pairs, and `difference` is the first less the other.
    """
    keep = [*PAIR, "correct"]
    pairs = ours[keep].drop_duplicates(PAIR).merge(theirs[keep].drop_duplicates(PAIR), on=PAIR, suffixes=("", "_other"))
    lines = []
    for benchmark, part in pairs.groupby("benchmark", sort=False):
        for name in resolution_order(part["resolution"]):
            lines.append({"benchmark": benchmark, "resolution": name, **_pair_counts(part[part["resolution"] == name])})
    columns = ("benchmark", "resolution", "n", "acc", "acc_other", "difference", "wins", "losses", "unscored")
    return pd.DataFrame(lines, columns=list(columns))


def _pair_counts(pairs: pd.DataFrame) -> dict[str, Any]:
    scored = pairs.dropna(subset=["correct", "correct_other"])
    ours, theirs = list(scored["correct"]), list(scored["correct_other"])
    wins = sum(a > b for a, b in zip(ours, theirs, strict=True))
    losses = sum(a < b for a, b in zip(ours, theirs, strict=True))
    return {
        "n": len(scored),
        "acc": _mean(ours),
        "acc_other": _mean(theirs),
        "difference": (wins - losses) / len(scored) if len(scored) else math.nan,
        "wins": wins,
        "losses": losses,
        "unscored": len(pairs) - len(scored),
    }


def chance_level(rows: pd.DataFrame) -> float | None:
    """Expected share right when guessing an option, over the distinct questions; None if some have no options."""
    questions = rows.dropna(subset=["options"]).drop_duplicates(["benchmark", "question_id"])
    counts = [int(count) for count in questions["options"]]
    return _mean([1 / count for count in counts]) if counts and all(counts) else None


def load_published(folder: Path | None) -> pd.DataFrame:
    """Figures that others published, from every CSV file in `folder`; an empty table if there is none.

    Raises:
        DataError: for a file without the columns `PUBLISHED_COLUMNS`.
    """
    files = sorted(folder.glob("*.csv")) if folder else []
    tables = [_load_published_file(file) for file in files]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=list(PUBLISHED_COLUMNS))


def comparable(published: pd.DataFrame, sweep: pd.DataFrame) -> pd.DataFrame:
    """Published figures of the benchmarks that were planned whole.

    A part of a benchmark, or a user's own images in its layout, asks something else than the published figures answer.
    """
    overall = sweep[sweep["category"] == OVERALL]
    planned = (overall["n"] + overall["pending"]).groupby(overall["benchmark"]).max()
    return published[published["n"] == published["benchmark"].map(planned)]


def _load_published_file(file: Path) -> pd.DataFrame:
    table = pd.read_csv(file, dtype=str, keep_default_na=False)
    missing = [column for column in PUBLISHED_COLUMNS if column not in table.columns]
    if missing:
        raise DataError(f"{file} has no column {', '.join(missing)}; expected {', '.join(PUBLISHED_COLUMNS)}")
    return table[list(PUBLISHED_COLUMNS)].assign(value=pd.to_numeric(table["value"]), n=pd.to_numeric(table["n"]))


def one_line(text: object) -> str:
    """Any text as one line of printable characters."""
    return " ".join("".join(char if char.isprintable() else " " for char in str(text)).split())
