"""A finished run judged again: by another card, by another judge, or where the last one gave no verdict. Needs no GPU."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from ..core.records import AnswerKind, Outcome, Question, Row, Stop, Trajectory, Verdict
from ..judging import Judge, first_failure, judge_many, judge_settings
from ..judging.replies import Reply
from .folder import RunData, RunFolder, kept_image, load_run, load_settings

_MOST_AT_ONCE = 256
"""Verdicts that wait to be written."""


@dataclass(slots=True)
class RejudgeProgress:
    """Counts of one re-judging, for display."""

    total: int = 0
    """Distinct contents to judge: those that this card and judge have not decided yet."""
    done: int = 0
    outcomes: dict[Outcome, int] = field(default_factory=dict)
    kept: int = 0
    """Scored answers that the new verdicts would unscore; if there are any, the earlier verdict set stays in use."""
    changed: Callable[[RejudgeProgress], None] = field(default=lambda _: None)

    def count_verdict(self, verdict: Verdict) -> None:
        """Count a verdict."""
        self.done += 1
        self.outcomes[verdict.verdict] = self.outcomes.get(verdict.verdict, 0) + 1
        self.changed(self)


async def rejudge(path: Path, judge: Judge, concurrency: int, counts: RejudgeProgress | None = None) -> RejudgeProgress:
    """Judge a run folder's answers. The new verdict set is kept with the others and becomes the one in use.

    Rules without a judge never replace scored answers by unscored ones: then the earlier set stays in use. Answers that
    this card and judge model have decided before are not judged again. After an interruption, the same call resumes.

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
    before = load_run(path)
    used, new = before.settings["judge"], judge_settings(judge)
    first = used if judge.client is None else new  # rules alone come into use last, if they unscore nothing
    with RunFolder(path, {**settings, "judge": first, "sessions": [session]}) as run:
        todo = _undecided(before, run, judge)
        counts.total = len(todo)
        try:
            await judge_all(todo.values(), judge, run.add_verdict, concurrency, counts)
        finally:
            facts = getattr(judge.client, "facts", None)
            run.record_servers({"judge": facts} if facts else {})
        if judge.client is None and used.get("card") != new["card"]:
            run.use_verdicts(new)
            counts.kept = unscored_by(before, load_run(path))
            if counts.kept:
                run.use_verdicts(used)
    return counts


def unscored_by(before: RunData, after: RunData) -> int:
    """Rows that one verdict set of a run scores and another leaves unscored."""

    def scored(data: RunData, row: Row) -> bool:
        verdict = data.verdict(row)
        return verdict is not None and verdict.verdict is not Outcome.UNSCORED

    return sum(scored(before, row) and not scored(after, row) for row in before.rows)


def judged_replies(path: Path) -> list[Reply]:
    """A run's distinct answers, with the LLM judge's verdicts as the recorded ones.

    Raises:
        RunError: if the folder is no run, or damaged.
    """
    data = load_run(path)
    found: dict[tuple[Question, str], Reply] = {}
    for row in data.rows:
        question, trajectory, verdict = data.question(row), data.trajectories.get(row.trajectory), data.verdict(row)
        if question is None or trajectory is None or trajectory.stop is not Stop.ANSWERED or not _is_text(question):
            continue
        judged = verdict is not None and verdict.by == "judge" and verdict.verdict is not Outcome.UNSCORED
        found[question, trajectory.answer] = Reply(
            question=question.text,
            reply=trajectory.answer,
            reference=question.answer if question.options else question.answers,
            options=question.options,
            recorded_verdict=verdict.verdict if verdict and judged else None,
            source=question.benchmark,
            kind=question.category,
        )
    return list(found.values())


def _is_text(question: Question) -> bool:
    """Whether there are texts to compare: a reference, and an answer that is one."""
    return bool(question.answer) and question.kind is AnswerKind.TEXT


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
