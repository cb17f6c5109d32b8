"""Jobs in, trajectories and verdicts out: bounded concurrency, journalled the moment something ends, judged meanwhile.

At most `concurrency` rollouts run at once, so memory grows with it and not with the benchmark. Equal work runs once;
finished work is not run again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from ..agent.engine import Engine
from ..agent.protocols import DIRECT, Protocol
from ..agent.rollout import Subject, rollout
from ..core.errors import BudgetReachedError, CofError
from ..core.records import Outcome, Question, Stop, Trajectory, Verdict, stop_verdict
from ..core.settings import JUDGE_CONCURRENCY
from ..judging import Judge
from ..stats import Interval, wilson
from .ahead import Ahead, at_once
from .folder import RunFolder
from .plan import PlannedJob, in_order
from .prepare import Preparer

_Written = TypeVar("_Written")


@dataclass(slots=True)
class Progress:
    """Counts of one session, for display."""

    total: int
    """Distinct trajectories to generate."""
    done: int = 0
    kept: int = 0
    """Trajectories of earlier sessions, scored too; `zooms` and the verdicts count them."""
    zooms: int = 0
    errors: int = 0
    """Trajectories that stopped as `error`; they are among the unscored too."""
    unscored: int = 0
    """Verdicts that are none, those of earlier sessions included."""
    verdicts: int = 0
    correct: int = 0
    images: set[str] = field(default_factory=set)
    """Of the verdicts: what is independent in them."""
    changed: Callable[[Progress], None] = field(default=lambda _: None)

    def count_trajectory(self, trajectory: Trajectory) -> None:
        """Count a trajectory."""
        self.done += 1
        self.zooms += trajectory.zooms
        self.errors += trajectory.stop is Stop.ERROR
        self.changed(self)

    def count_verdict(self, verdict: Verdict, question: Question) -> None:
        """Count a verdict."""
        self.verdicts += 1
        self.correct += verdict.verdict is Outcome.CORRECT
        self.unscored += verdict.verdict is Outcome.UNSCORED
        self.images.add(question.cluster)
        self.changed(self)

    def accuracy(self) -> tuple[float, Interval] | None:
        """Correct / all verdicts so far, with an interval as wide as if an image were always right or wrong; None without any."""
        if not self.verdicts:
            return None
        estimate, independent = self.correct / self.verdicts, len(self.images)
        return estimate, wilson(estimate * independent, independent)


@dataclass(slots=True, kw_only=True)
class Evaluation:
    """Everything that answering planned jobs needs."""

    engine: Engine
    protocol: Protocol
    run: RunFolder
    judge: Judge
    concurrency: int
    seed: int = 0
    asked: dict[str, list[Question]] = field(default_factory=dict)
    """By trajectory key: the questions that it answers, with different references."""
    judging: dict[str, asyncio.Future[Verdict]] = field(default_factory=dict)
    """Verdicts being made or made by one call of `answer`, by key."""
    writing: set[asyncio.Future[None]] = field(default_factory=set)
    """Writes under way."""
    servers: Callable[[], dict[str, dict[str, Any]]] = dict
    """What the servers did so far, by whose they are (`servers.pool_facts`)."""
    told: object = None
    """Of those facts, what is in run.yaml already, counts aside."""
    reached: BudgetReachedError | None = None
    """Set once the budget is: nothing new is begun, and what has ended is judged."""
    asking: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(JUDGE_CONCURRENCY))

    async def answer(self, plans: Sequence[PlannedJob], progress: Progress | None = None) -> None:
        """Answer every planned job; on return, all of it is in the run folder.

        Args:
            plans: what to answer, in any order.
            progress: told of every trajectory and verdict.

        Raises:
            RunError: if the run folder cannot be written any more.
            EngineUnusableError: if the engine cannot serve this run.
            BudgetReachedError: if the rest might cost more than the budget; what has ended is written and judged.
        """
        pending = pending_plans(self.run, plans)
        counts = progress or Progress(len(pending))
        self.asked = _asked(plans)
        await asyncio.shield(self._write(self.run.add_questions, [plan.job.question for plan in plans]))
        await asyncio.shield(self._write(self.run.add_rows, [plan.row for plan in plans]))
        self.judging.clear()  # what failed in an earlier call is asked again
        unjudged = list(self._unjudged({plan.key for plan in plans}))
        self._count_kept(counts, {plan.key for plan in plans}.difference(unjudged))
        workers = min(self.concurrency, len(pending))
        limits = self.protocol.limits(self.engine.limits)
        preparer = Preparer(self.protocol, limits, self.run.keep_image, at_once=at_once(self.concurrency))
        ahead = Ahead(preparer.prepare, self.concurrency)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(ahead.fill(pending, workers, lambda: self.reached is not None))
                for _ in range(workers):
                    group.create_task(self._work(ahead, group, counts))
                for key in unjudged:
                    group.create_task(self._judge(self.run.trajectories[key], counts))
        except BaseExceptionGroup as failures:
            first = _first(failures)
            raise first from first.__cause__
        finally:
            await asyncio.gather(*self.writing, return_exceptions=True)
            self.run.record_servers(self.servers())
        if self.reached:
            raise self.reached

    def _unjudged(self, keys: set[str]) -> Iterator[str]:
        """Finished trajectories whose verdict is missing or was unscored."""
        for key in sorted(keys):
            trajectory = self.run.finished(key)
            if trajectory is None or trajectory.stop is not Stop.ANSWERED:
                continue
            contents = [self.judge.key(asked, trajectory.answer, trajectory.shown.hash) for asked in self.asked[key]]
            verdicts = [self.run.verdicts.get(content) for content in contents]
            if any(v is None or (v.verdict is Outcome.UNSCORED and self.judge.client is not None) for v in verdicts):
                yield key

    def _count_kept(self, progress: Progress, keys: Iterable[str]) -> None:
        """Count what earlier sessions have finished and scored."""
        for trajectory in filter(None, map(self.run.finished, keys)):
            progress.kept += 1
            progress.zooms += trajectory.zooms
            for question in self.asked[trajectory.key]:
                key = self.judge.key(question, trajectory.answer, trajectory.shown.hash)
                verdict = stop_verdict(trajectory, self.judge.card.id) or self.run.verdicts.get(key)
                if verdict is not None:
                    progress.count_verdict(verdict, question)

    async def _work(self, ahead: Ahead, group: asyncio.TaskGroup, progress: Progress) -> None:
        """Roll out one question after the other; what follows a rollout does not hold its place."""
        while (prepared := await ahead.take()) is not None:
            trajectory = prepared if isinstance(prepared, Trajectory) else await self._roll(prepared)
            if trajectory is None:
                continue
            writing = self._write(self.run.add_trajectory, trajectory)
            group.create_task(self._end(trajectory, writing, progress))

    async def _roll(self, subject: Subject) -> Trajectory | None:
        """A rollout; None if it cannot be paid for."""
        protocol = self.protocol if subject.view else _without_tool(self.protocol)
        if self.reached:
            return None
        try:
            return await rollout(subject, self.engine, protocol, seed=self.seed, keep_image=self.run.keep_image)
        except BudgetReachedError as error:
            self.reached = error
            return None

    async def _end(self, trajectory: Trajectory, writing: asyncio.Future[None], progress: Progress) -> None:
        """Judge a trajectory once it is on disk."""
        await asyncio.shield(writing)
        await self._record_servers()
        progress.count_trajectory(trajectory)
        await self._judge(trajectory, progress)

    async def _record_servers(self) -> None:
        """Put what the servers did into run.yaml as soon as it is of a new kind; the counts follow at the end."""
        facts = self.servers()
        kinds = {
            who: (fact["asked"], {name: set(counts) for name, counts in fact["replies"].items()}) for who, fact in facts.items()
        }
        if kinds != self.told:
            self.told = kinds
            await asyncio.shield(self._write(self.run.record_servers, facts))

    async def _judge(self, trajectory: Trajectory, progress: Progress) -> None:
        """Judge a trajectory as an answer to each of its questions; one without a reference is left alone."""
        for question in self.asked[trajectory.key]:
            stopped = stop_verdict(trajectory, self.judge.card.id)  # needs no record: the stop says it
            if stopped is not None:
                progress.count_verdict(stopped, question)
                continue
            answer, shown = trajectory.answer, trajectory.shown.hash
            key = self.judge.key(question, answer, shown)
            if key not in self.judging:
                self.judging[key] = asyncio.ensure_future(self._verdict(key, question, answer, shown))
            progress.count_verdict(await self.judging[key], question)

    async def _verdict(self, key: str, question: Question, answer: str, shown: str) -> Verdict:
        """The verdict on an answer; the same content is judged once."""
        known = self.run.verdicts.get(key)
        if known is not None and (known.verdict is not Outcome.UNSCORED or self.judge.client is None):
            return known
        async with self.asking:
            verdict = await self.judge.judge_answer(question, answer, shown)
        await asyncio.shield(self._write(self.run.add_verdict, verdict))
        return verdict

    def _write(self, write: Callable[[_Written], None], what: _Written) -> asyncio.Future[None]:
        """Begin a write off the event loop; `answer` waits for it, even if a task is cancelled meanwhile."""
        writing = asyncio.get_running_loop().run_in_executor(None, write, what)
        self.writing.add(writing)
        writing.add_done_callback(self._written)
        return writing

    def _written(self, writing: asyncio.Future[None]) -> None:
        """A write ended. The task that waits gets its failure; if none waits any more, a first failure has been told."""
        self.writing.discard(writing)
        if not writing.cancelled():
            writing.exception()


def pending_plans(run: RunFolder, plans: Sequence[PlannedJob]) -> list[PlannedJob]:
    """One plan for each distinct trajectory that a run folder does not hold, in the order in which they are prepared."""
    distinct = {plan.key: plan for plan in in_order(plans)}
    return [plan for key, plan in distinct.items() if run.finished(key) is None]


def _asked(plans: Sequence[PlannedJob]) -> dict[str, list[Question]]:
    """By trajectory key, the questions to judge it by: those with a reference, equal ones once."""
    asked: dict[str, dict[object, Question]] = {}
    for plan in plans:
        question = plan.job.question
        by_content = asked.setdefault(plan.key, {})
        if question.answer:
            by_content.setdefault((question.options, question.answers), question)
    return {key: list(by_content.values()) for key, by_content in asked.items()}


def _without_tool(protocol: Protocol) -> Protocol:
    """How a question without an image is asked: directly, decoded as the run decodes."""
    return replace(
        protocol,
        system=DIRECT.system,
        question=DIRECT.question,
        open_question=DIRECT.open_question,
        format=DIRECT.format,
        call_syntax=DIRECT.call_syntax,
        call_pattern=DIRECT.call_pattern,
        answer_syntax=DIRECT.answer_syntax,
        max_turns=DIRECT.max_turns,
        turn_patterns=DIRECT.turn_patterns,
    )


def _first(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    """The failure to report: one that a user can fix before any other."""
    ours, _ = failures.split(CofError)
    group = ours or failures
    first = group.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first
