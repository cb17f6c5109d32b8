"""A finished run without a judge, and the same run judged again: for tests of judging."""

from __future__ import annotations

import asyncio
from pathlib import Path

from fake_server import FakeServer
from fakes import question

from cof_eval.core.records import ImageRef, Row, ShownImage, Stop, Trajectory
from cof_eval.judging import start_judge
from cof_eval.runs.folder import RunFolder
from cof_eval.runs.rejudge import RejudgeProgress, rejudge
from cof_eval.servers import RetryPolicy

ANSWERS = ["B", "A. red", *(f"a shade such as the sea's, sample {i}" for i in range(20)), "not red"]
HASTY = RetryPolicy(retries=3, timeout_s=0.3, backoff_s=0.01, patience_s=0.5)
"""Gives up on a server that hangs before a test grows long."""
CALM = RetryPolicy(retries=3, timeout_s=60.0, backoff_s=0.01, patience_s=0.5)
"""Never takes a busy machine for a server that hangs."""


def made(path: Path, answers: list[str] = ANSWERS) -> Path:
    """A finished run whose judge was not there."""
    settings = {
        "model": {"pretrained": "m"},
        "protocol": {"name": "p"},
        "engine": {"name": "e"},
        "seed": 0,
        "judge": {"card": "old@1", "model": ""},
    }
    with RunFolder(path, {**settings, "tasks": {"t": len(answers) + 1}}) as run:
        for i, said in enumerate([*answers, answers[0]]):
            stop = Stop.ANSWERED if i < len(answers) else Stop.LENGTH
            shown = ShownImage((28, 28), 1, f"hash{i}")
            run.add_trajectory(Trajectory(f"k{i}", question(), ImageRef("h", (1, 1)), "p", shown, (), said, stop))
            run.add_rows([Row("t", i, "7", "vstar", "448", 0, f"k{i}", 448 * 448)])
    return path


def again(
    path: Path, *servers: FakeServer, card: str = "equivalence", concurrency: int = 8, retry_policy: RetryPolicy = CALM
) -> RejudgeProgress:
    async def run() -> RejudgeProgress:
        url = ",".join(server.url for server in servers) or None
        judge = await start_judge(card, url, "EMPTY", concurrency=concurrency, retry_policy=retry_policy)
        try:
            return await rejudge(path, judge, concurrency)
        finally:
            await judge.close()

    return asyncio.run(run())
