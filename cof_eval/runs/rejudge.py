"""A finished run judged again: by another card, by another judge, or where the last one gave no verdict. Needs no GPU."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from ..core.records import Outcome, Stop, Trajectory, Verdict
from ..judging import Judge, first_failure, judge_many, judge_settings
from .folder import RunData, RunFolder, kept_image, load_run, load_settings

_MOST_AT_ONCE = 256
"""Verdicts that wait to be written."""


@dataclass(slots=True)
class RejudgeProgress:
    """Counts of one re-judging, for whoever shows them."""

    total: int = 0
    """Distinct contents to judge: those that this card and judge have not decided yet."""
    done: int = 0
    outcomes: dict[Outcome, int] = field(default_factory=dict)
    changed: Callable[[RejudgeProgress], None] = field(default=lambda _: None)

    def count_verdict(self, verdict: Verdict) -> None:
        """Count a verdict."""
        self.done += 1
        self.outcomes[verdict.verdict] = self.outcomes.get(verdict.verdict, 0) + 1
        self.changed(self)


async def rejudge(path: Path, judge: Judge, concurrency: int, counts: RejudgeProgress | None = None) -> RejudgeProgress:
    """Judge a run folder's answers; the new verdict set stands beside the others and is the one in use.

    What this card and judge model have decided before is not asked again. Interrupted or failed, the same call goes on.

    Args:
        path: the run folder; its trajectories are not touched.
        judge: the card, and its served judge if there is one.
        concurrency: questions to the judge at once.
        counts: told of every verdict.

    Raises:
        RunError: if the folder is no run, in use, or cannot be written.
    """
    judge.images = partial(kept_image, path)
    counts = counts or RejudgeProgress()
    settings = load_settings(path)
    session = {"started": datetime.now(UTC).isoformat(timespec="seconds"), "judged": judge_settings(judge)}
    with RunFolder(path, {**settings, "judge": judge_settings(judge), "sessions": [session]}) as run:
        todo = _undecided(load_run(path), run, judge)
        counts.total = len(todo)
        await judge_all(todo.values(), judge, run.add_verdict, concurrency, counts)
    return counts


def _undecided(data: RunData, run: RunFolder, judge: Judge) -> dict[str, Trajectory]:
    """By verdict key, one trajectory, with the question that it answers, for each content that still needs a verdict."""
    asked = [*data.trajectories.values()]
    for row in data.rows:
        question, trajectory = data.question(row), data.trajectories.get(row.trajectory)
        if question and trajectory and question != trajectory.question:
            asked.append(replace(trajectory, question=question))
    by_key = {judge.key_of(t): t for t in asked if t.stop is Stop.ANSWERED and t.question.answer}

    def decided(key: str) -> bool:
        return key in run.verdicts and run.verdicts[key].verdict is not Outcome.UNSCORED

    return {key: by_key[key] for key in sorted(by_key) if not decided(key)}


async def judge_all(
    todo: Iterable[Trajectory],
    judge: Judge,
    write: Callable[..., None],
    concurrency: int,
    counts: RejudgeProgress,
) -> None:
    """Judge trajectories, `concurrency` at once; each verdict counts once it is written, several to one write. `counts.total` is known."""
    ready: asyncio.Queue[Verdict | None] = asyncio.Queue(_MOST_AT_ONCE)

    async def decide(trajectory: Trajectory) -> None:
        await ready.put(await judge.judge(trajectory))

    async def keep() -> None:
        while (verdict := await ready.get()) is not None:
            batch = [verdict, *_waiting(ready)]
            await asyncio.shield(asyncio.to_thread(write, *batch))
            for each in batch:
                counts.count_verdict(each)

    try:
        async with asyncio.TaskGroup() as writing:
            writing.create_task(keep())
            await judge_many(todo, decide, concurrency=min(concurrency, counts.total))
            await ready.put(None)
    except BaseExceptionGroup as failures:
        raise first_failure(failures) from None


def _waiting(ready: asyncio.Queue[Verdict | None]) -> Iterator[Verdict]:
    """What can be taken at once; the end is put back."""
    while not ready.empty():
        verdict = ready.get_nowait()
        if verdict is None:
            ready.put_nowait(None)
            return
        yield verdict
