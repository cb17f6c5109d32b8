"""Runs to report on, built from a line per answered question."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cof_eval.core.records import (
    Call,
    Crop,
    Finish,
    ImageRef,
    Outcome,
    Question,
    Row,
    ShownImage,
    Stop,
    Trajectory,
    Turn,
    Verdict,
)
from cof_eval.runs.folder import RunData

ZOOM = Call("{}", (0, 0, 9, 9), "shown", crop=Crop("c", (56, 56), (0, 0, 9, 9)))
BAD = Call("{", error="the call is no JSON object")


@dataclass(frozen=True)
class RowSpec:
    """One question at one resolution; `key` tells equal work, and an outcome of None is a verdict still to come."""

    id: str
    resolution: str
    outcome: Outcome | None
    stop: Stop | None = Stop.ANSWERED
    """None for a row without a trajectory."""
    zooms: int = 0
    tool_errors: int = 0
    output_tokens: int = 10
    visual_tokens: int | None = 64
    category: str = "direct_attributes"
    cluster: str = ""
    options: int = 4
    key: str = ""
    answer: str = "A"
    repeat: int = 0
    benchmark: str = "vstar"
    extra: tuple[tuple[str, str], ...] = ()

    @property
    def trajectory_key(self) -> str:
        return self.key or f"{self.benchmark}/{self.id}/{self.resolution}/{self.repeat}"


def trajectory(asked: RowSpec) -> Trajectory:
    """`output_tokens` a turn, a turn per zoom and a last one that answers, tool errors in the first turn."""
    options = tuple("abcdefgh"[: asked.options])
    question = Question(
        asked.id,
        asked.benchmark,
        asked.category,
        asked.cluster or asked.id,
        "What?",
        options,
        "A" if options else "a",
        extra=asked.extra,
    )
    calls = [(ZOOM,)] * asked.zooms + [()]
    calls[0] = (*calls[0], *([BAD] * asked.tool_errors))
    turns = tuple(Turn("…", Finish.STOP, 100, 40, asked.output_tokens, asked.visual_tokens, 0.5, each) for each in calls)
    shown = ShownImage((224, 224), 64)
    image = ImageRef("n", (2246, 1582))
    return Trajectory(
        asked.trajectory_key, question, image, "cof", shown, turns, asked.answer, asked.stop or Stop.ERROR, wall_s=2.0
    )


def build_run(
    *asked: RowSpec, label: str = "model · cof", expected: int | None = None, folder: str = "run", **settings: Any
) -> RunData:
    rows = [
        Row(f"cof_{a.benchmark}_{a.resolution}", i, a.id, a.benchmark, a.resolution, a.repeat, a.trajectory_key, 50176)
        for i, a in enumerate(asked)
    ]
    return RunData(
        Path(folder),
        {"label": label, "protocol": {"name": "cof"}, "notes": [], **settings},
        tuple(rows),
        {a.trajectory_key: trajectory(a) for a in asked if a.stop},
        {
            a.trajectory_key: Verdict(a.trajectory_key, "rules", "", a.outcome, "rule:letter")
            for a in asked
            if a.stop and a.outcome
        },
        len(rows) if expected is None else expected,
    )


@pytest.fixture(scope="session")
def asked() -> type[RowSpec]:
    return RowSpec


@pytest.fixture(scope="session")
def make_run() -> Callable[..., RunData]:
    return build_run
