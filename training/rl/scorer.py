"""A batch of finished rollouts judged at once, and their rewards as TRL asks for them.

Rules decide most answers without waiting; those left to a served judge are asked concurrently, equal ones once. Rewards
are then read off, group by group, across all processes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Sequence
from typing import Any

from cof_eval.core.records import Outcome, Trajectory, Verdict, stop_verdict
from cof_eval.judging import Judge, judge_many
from training.rl.rewards import REWARDS, Facts, Gather, Reward, facts_of, gather_over_ranks, with_groups

RewardOfBatch = Callable[..., list[Reward]]
"""A reward as TRL calls it: for all of this process's completions at once."""


class Scorer:
    """Judges batches; its reward functions speak of the last one."""

    def __init__(self, judge: Judge, runner: asyncio.Runner, *, gather: Gather = gather_over_ranks) -> None:
        """Judge with `judge` on the event loop of `runner`."""
        self.judge = judge
        self._runner = runner
        self._gather = gather
        self._known: dict[str, Verdict] = {}
        self._seen: list[tuple[Facts, list[Facts]]] = []

    def score(self, trajectories: Sequence[Trajectory], groups: Sequence[Hashable]) -> list[Verdict]:
        """The verdicts on this process's rollouts; every process calls it at the same time.

        Args:
            trajectories: finished rollouts.
            groups: what each one shares with the others of its prompt.
        """
        verdicts = self._runner.run(self._judge_all(trajectories))
        facts = [facts_of(trajectory, verdict) for trajectory, verdict in zip(trajectories, verdicts, strict=True)]
        self._seen = with_groups(groups, facts, self._gather)
        return verdicts

    def reward(self, name: str) -> RewardOfBatch:
        """The reward called `name`, as a function for TRL."""
        value = REWARDS[name]

        def reward(completions: Sequence[Any], **_: Any) -> list[Reward]:
            return [value(facts, group) for facts, group in self._seen]

        reward.__name__ = name
        return reward

    async def _judge_all(self, trajectories: Sequence[Trajectory]) -> list[Verdict]:
        asked = {}
        for trajectory in trajectories:
            key = self.judge.key(trajectory.question, trajectory.answer)
            if stop_verdict(trajectory, self.judge.card.id) is None and key not in self._known:
                asked[key] = trajectory
        new = await judge_many(asked.values(), lambda one: self.judge.judge_answer(one.question, one.answer))
        self._known |= dict(zip(asked, new, strict=True))
        verdicts = [self._verdict(trajectory) for trajectory in trajectories]
        self._known = {key: verdict for key, verdict in self._known.items() if verdict.verdict is not Outcome.UNSCORED}
        return verdicts

    def _verdict(self, trajectory: Trajectory) -> Verdict:
        stopped = stop_verdict(trajectory, self.judge.card.id)
        return stopped or self._known[self.judge.key(trajectory.question, trajectory.answer)]
