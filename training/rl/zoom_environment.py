"""The zoom tool as TRL sees it: one environment a rollout, whose only tool takes a whole turn as the model wrote it.

TRL calls `reset` with a dataset row, then the tool for every turn that the response template reads as a call, and puts
what it returns into a `tool` turn whose tokens stay out of the loss. What the calls mean is left to the agent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from cof_eval.agent.protocols import Protocol
from cof_eval.agent.rollout import KeepImage, Subject
from cof_eval.core.records import Finish, Trajectory
from cof_eval.core.resolution import PixelLimits
from training.data.conversation import parts_for_trl
from training.rl.stepped_rollout import SampledTurn, SteppedRollout

AFTER_THE_END = "The rollout has ended."
"""What a turn is told that TRL reads as a call and the agent as the end; the response template keeps it from happening."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ZoomEnvironmentFactory:
    """What all environments of one trainer share; calling it makes one."""

    protocol: Protocol
    limits: PixelLimits
    """What the checkpoint's image processor does to sizes."""
    runner: asyncio.Runner
    """Its event loop runs the agents."""
    keep_image: KeepImage | None = None

    def __call__(self) -> ZoomEnvironment:
        """An environment for one rollout at a time."""
        return ZoomEnvironment(self)

    def begin(self, subject: Subject) -> SteppedRollout:
        """A rollout about a subject."""
        return SteppedRollout(subject, self.protocol, self.limits, self.runner, self.keep_image)


class ZoomEnvironment:
    """One rollout at a time, for TRL's `environment_factory`: its public methods are `reset` and the tool."""

    def __init__(self, room: ZoomEnvironmentFactory) -> None:
        self._room = room
        self._rollout: SteppedRollout | None = None

    def reset(self, subject: Subject, **row: Any) -> None:
        """Begin a rollout about the row's subject; one that was never ended is given up."""
        if self._rollout is not None:
            self._rollout.abandon()
        self._rollout = self._room.begin(subject)

    def image_zoom_in_tool(self, written: str) -> list[dict[str, Any]]:
        """Execute the calls of a turn.

        Args:
            written: The whole turn, as the model wrote it.

        Returns:
            Crops and texts, as parts of a message.
        """
        assert self._rollout is not None, "TRL resets an environment before it calls its tool"
        message = self._rollout.take(written)
        if message is None:
            return [{"type": "text", "text": AFTER_THE_END}]
        return parts_for_trl(message, filled=True)

    def _end(self, turns: Sequence[SampledTurn]) -> Trajectory:
        """The record of the rollout."""
        assert self._rollout is not None, "a rollout ends once"
        rollout, self._rollout = self._rollout, None
        return rollout.end(turns)


@dataclass(frozen=True, slots=True)
class SampledCompletion:
    """One completion as TRL sampled it: the model's turns and the tool's, in one sequence."""

    prompt_ids: Sequence[int]
    completion_ids: Sequence[int]
    sampled_mask: Sequence[int]
    """1 for each token of the completion that the model sampled, 0 for the tool's."""

    def turns(self, decode: Callable[[Sequence[int]], str], end_ids: Sequence[int], image_id: int) -> list[SampledTurn]:
        """The model's turns.

        Args:
            decode: text of token ids, special tokens excluded.
            end_ids: tokens that end a turn.
            image_id: the image placeholder.
        """
        before = list(self.prompt_ids).count(image_id)
        turns = []
        for start, end in _spans(self.sampled_mask):
            ids = self.completion_ids[start:end]
            turns.append(
                SampledTurn(
                    text=decode(ids),
                    finish=Finish.STOP if ids[-1] in end_ids else Finish.LENGTH,
                    prompt_tokens=len(self.prompt_ids) + start,
                    output_tokens=len(ids),
                    visual_tokens=before + list(self.completion_ids[:start]).count(image_id),
                )
            )
        return turns


def _spans(own: Sequence[int]) -> list[tuple[int, int]]:
    """(start, end) of every run of ones."""
    padded = [0, *own, 0]
    starts = [i for i in range(len(own)) if padded[i] == 0 and padded[i + 1] == 1]
    ends = [i for i in range(1, len(own) + 1) if padded[i] == 1 and padded[i + 1] == 0]
    return list(zip(starts, ends, strict=True))


def end_rollouts(environments: Sequence[ZoomEnvironment], turns: Sequence[Sequence[SampledTurn]]) -> list[Trajectory]:
    """The records of a batch of rollouts, in its order."""
    return [environment._end(sampled) for environment, sampled in zip(environments, turns, strict=True)]
