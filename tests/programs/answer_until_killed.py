"""Answers the sample of `fakes` into a run folder; see `until_killed`."""

from __future__ import annotations

import random
from pathlib import Path

from fakes import ScriptedEngine, ScriptedJudgeClient, answer_all, sample, wander
from until_killed import Say, serve

from cof_eval.runs.evaluate import Progress

PLANS = sample()


def answer(path: str, say: Say) -> None:
    """Say a word whenever a trajectory or a verdict was written."""
    chance = random.Random()
    engine = ScriptedEngine(wander, latency=lambda: chance.uniform(0, 0.003))
    client = ScriptedJudgeClient(latency=lambda: chance.uniform(0, 0.003))
    answer_all(Path(path), PLANS, engine, client=client, progress=Progress(0, changed=lambda _: say(".")))


if __name__ == "__main__":
    serve(answer)
