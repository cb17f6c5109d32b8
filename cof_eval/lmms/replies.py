"""What the model `cof` answers to lmms-eval: a short JSON that names the trajectory; the turns stay in the run folder."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import msgspec

from ..core.records import Question, Stop, Trajectory, Verdict, from_json, to_json
from ..runs.folder import RunData, load_run


@dataclass(frozen=True, slots=True)
class CofReply:
    """The reply of one row."""

    trajectory: str
    """The trajectory's key."""
    run: str
    """The run folder that holds it."""
    answer: str
    stop: Stop
    zooms: int
    turns: int


_EXPECTED: set[str] = set()
"""Run folders of the models `cof` in this process: a reply naming any other is some model's text, not ours."""


def expect_replies(run: Path) -> None:
    """Take replies that name this run folder for ours; called by the model that owns it."""
    _EXPECTED.add(str(run))


def write_reply(trajectory: Trajectory, run: Path) -> str:
    """The reply that stands for a trajectory."""
    reply = CofReply(trajectory.key, str(run), trajectory.answer, trajectory.stop, trajectory.zooms, len(trajectory.turns))
    return to_json(reply).decode()


def read_reply(text: str) -> CofReply | None:
    """A reply read back; None if the text is no reply of ours, but a plain answer of another model."""
    if not text.startswith('{"trajectory":'):
        return None
    try:
        reply = from_json(text, CofReply)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None
    return reply if reply.run in _EXPECTED else None


def load_result(reply: CofReply, question: Question) -> tuple[Trajectory | None, Verdict | None]:
    """The trajectory that the run folder holds for a reply, and the verdict on it as an answer to this question."""
    run = Path(reply.run)
    data = _snapshot(run, os.stat(run / "verdicts.jsonl").st_size, os.stat(run / "trajectories.jsonl").st_size)
    return data.trajectories.get(reply.trajectory), data.verdict_on(reply.trajectory, question)


@lru_cache(maxsize=2)
def _snapshot(run: Path, verdict_bytes: int, trajectory_bytes: int) -> RunData:
    """A run folder as it was when its journals had these sizes."""
    return load_run(run)
