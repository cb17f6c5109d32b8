"""The tidy table of a run: a row per question, task and repeat, from the run folder alone."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from ..core.frames import box_units
from ..core.option_order import OrderKind, split_rotation
from ..core.records import Outcome, Question, Row, Trajectory
from ..runs.prices import ModelPrices, use_of
from .call_targets import calls_table, trajectory_calls, trajectory_targets
from .dollars import run_prices
from .names import run_labels

if TYPE_CHECKING:
    from ..runs.folder import RunData

ROW_COLUMNS = {
    "run": "object",
    "task": "object",
    "benchmark": "object",
    "category": "object",
    "resolution": "object",
    "question_id": "object",
    "rotation": "Int64",
    "cluster": "object",
    "repeat": "Int64",
    "trajectory": "object",
    "verdict": "object",
    "by": "object",
    "reason": "object",
    "stop": "object",
    "answer": "object",
    "reference": "object",
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
    "usd": "float64",
    "engine_s": "float64",
    "wall_s": "float64",
    "verified": "boolean",
    "options": "Int64",
    "targets": "Int64",
    "target_px": "float64",
    "best_target_px": "float64",
    "coverage": "float64",
    "iou": "float64",
    "first_useful_zoom": "Int64",
    "place": "object",
    "extra": "object",
}
"""Columns of the rows table.

`output_tokens` are the generated ones, over all turns; `visual_tokens` count each image once; `prompt_tokens` and
`cached_tokens` (those of them that the engine's prefix cache held) are summed over turns, so an image in a prompt counts in each.
`usd` is what these cost, where the run has prices. `rotation` is by how many places a question's options were moved, where a run asks
each in several orders; it is no part of `question_id` then. `correct` is 1, 0 or unknown while unscored. `targets` is the number of
annotated boxes, `target_px` their pixels in the shown image,
`best_target_px` those in the best crop; `coverage` is the mean over targets of the fraction that some crop held, `iou` the best of any
call; `first_useful_zoom` counts from 1; `place` is where it looked (`process.Place`). `extra` holds the further columns of the data as JSON.
"""


UNANSWERABLE = "no standard answer"
"""Decider of a row whose benchmark gives no reference: nobody decides it, and it does not count as unscored."""


@dataclass(frozen=True, slots=True)
class Tables:
    """The tidy tables of one run."""

    rows: pd.DataFrame
    calls: pd.DataFrame


def tidy(run: RunData, *, label: str | None = None) -> Tables:
    """The rows table and the calls table of a run."""
    name, units = label or run_labels([run])[0], box_units(run.settings)
    rotated = str(run.settings.get("option_order") or "").startswith(OrderKind.ROTATED)
    prices = run_prices(run, "model")
    calls = {key: list(trajectory_calls(trajectory, units)) for key, trajectory in run.trajectories.items()}
    facts = {key: _trajectory_facts(trajectory, calls[key], prices) for key, trajectory in run.trajectories.items()}
    questions = {(t.question.benchmark, t.question.id): t.question for t in run.trajectories.values()}
    records = [
        {
            "run": name,
            **_row_facts(row, rotated=rotated),
            **_question_facts(run.question(row) or questions.get((row.benchmark, row.question_id))),
            **facts.get(row.trajectory, {}),
            **(_verdict_facts(run, row) if row.trajectory in facts else {}),
        }
        for row in run.rows
    ]
    rows = pd.DataFrame(records, columns=list(ROW_COLUMNS)).astype(ROW_COLUMNS)
    asked = dict.fromkeys(row.trajectory for row in run.rows)
    order = [*(key for key in asked if key in calls), *sorted(calls.keys() - asked)]
    return Tables(rows, calls_table({key: calls[key] for key in order}, name))


def rows_table(run: RunData, *, label: str | None = None) -> pd.DataFrame:
    """One row per question, task and repeat, with the columns `ROW_COLUMNS`.

    A row without a trajectory yet has no verdict, stop or counts; its category and cluster come from the same question
    at another resolution if that one is done.
    """
    return tidy(run, label=label).rows


def _row_facts(row: Row, *, rotated: bool) -> dict[str, Any]:
    question, rotation = split_rotation(row.question_id) if rotated else (row.question_id, 0)
    return {
        "task": row.task,
        "benchmark": row.benchmark,
        "resolution": row.resolution,
        "question_id": question,
        "rotation": rotation,
        "repeat": row.repeat,
        "trajectory": row.trajectory,
        "cap": row.cap,
    }


def _question_facts(question: Question | None) -> dict[str, Any]:
    if question is None:
        return {}
    return {
        "category": question.category,
        "cluster": question.cluster,
        "options": len(question.options),
        "extra": json.dumps(dict(question.extra), ensure_ascii=False) if question.extra else None,
        "reference": question.answer,
    }


def _trajectory_facts(trajectory: Trajectory, calls: list[dict[str, Any]], prices: ModelPrices | None) -> dict[str, Any]:
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
        "usd": math.nan if prices is None else prices.dollars(use_of(trajectory)),
        "engine_s": sum(turn.engine_s for turn in trajectory.turns),
        "wall_s": trajectory.wall_s,
        "verified": trajectory.verified,
        **trajectory_targets(trajectory, calls),
    }


def _verdict_facts(run: RunData, row: Row) -> dict[str, Any]:
    question, verdict = run.question(row), run.verdict(row)
    if question is None or not question.answer:
        return {"by": UNANSWERABLE, "correct": math.nan}
    if verdict is None:
        return {"verdict": Outcome.UNSCORED.value, "by": "pending", "correct": math.nan}
    worth = {Outcome.CORRECT: 1.0, Outcome.WRONG: 0.0, Outcome.UNSCORED: math.nan}
    found = verdict.verdict
    return {"verdict": found.value, "by": verdict.by, "reason": verdict.reason or None, "correct": worth[found]}
