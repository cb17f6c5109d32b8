"""The whole path of a judge on a real vLLM: rules, labels by structured output, the verdict journal, judging again."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from real import Served
from rejudging import ANSWERS, made

from cof_eval.core.journal import read_journal
from cof_eval.core.records import Outcome, Verdict
from cof_eval.judging import start_judge
from cof_eval.runs.folder import load_run
from cof_eval.runs.rejudge import RejudgeProgress, rejudge

pytestmark = pytest.mark.engine


def again(path: Path, url: str) -> RejudgeProgress:
    async def run() -> RejudgeProgress:
        judge = await start_judge("equivalence", url, "EMPTY")
        try:
            return await rejudge(path, judge, 8)
        finally:
            await judge.close()

    return asyncio.run(run())


def test_a_random_model_replies_with_labels_alone_and_is_not_asked_twice(served: Served, tmp_path: Path) -> None:
    run = made(tmp_path / "run")
    counts = again(run, served.url)
    assert Outcome.UNSCORED not in counts.outcomes
    verdicts = list(read_journal(run / "verdicts.jsonl", Verdict))
    by_judge = [verdict for verdict in verdicts if verdict.by == "judge"]
    assert len(verdicts) == len(ANSWERS)
    assert len(by_judge) == 21
    assert {verdict.label for verdict in by_judge} <= {"1", "0"}
    assert {v.verdict for v in load_run(run).verdicts.values()} <= {Outcome.CORRECT, Outcome.WRONG}
    assert again(run, served.url).total == 0
    assert list(read_journal(run / "verdicts.jsonl", Verdict)) == verdicts
