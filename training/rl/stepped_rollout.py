"""The evaluation's own loop, with generation handed over: a trainer that samples the turns itself drives `cof_eval.agent.rollout`.

The agent asks its engine for a turn and waits. Here the caller of `SteppedRollout` is the engine: it passes in a turn's
text, and gets the message that the agent would send next. So a training rollout reads calls, executes zooms, words tool
errors and stops exactly as an evaluated one does, and leaves the same record.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace

from cof_eval.agent.engine import Message, Request, Response
from cof_eval.agent.protocols import Protocol
from cof_eval.agent.rollout import KeepImage, Subject, rollout
from cof_eval.core.errors import ContextFullError, EngineUnusableError
from cof_eval.core.records import Finish, Trajectory, Turn
from cof_eval.core.resolution import PixelLimits


@dataclass(frozen=True, slots=True)
class SampledTurn:
    """One turn as the trainer sampled it."""

    text: str
    finish: Finish
    prompt_tokens: int
    """Tokens before it, visual ones included."""
    output_tokens: int
    visual_tokens: int
    """Image placeholders before it."""


class SteppedRollout:
    """One rollout; `take` its turns as they are sampled, then `end` it."""

    def __init__(
        self,
        subject: Subject,
        protocol: Protocol,
        limits: PixelLimits,
        runner: asyncio.Runner,
        keep_image: KeepImage | None = None,
    ) -> None:
        """Begin a rollout.

        Args:
            subject: the question and its images.
            protocol: prompts, limits and frames.
            limits: what the checkpoint's image processor does to sizes.
            runner: its event loop runs the agent, only while a method here is running.
            keep_image: called with every crop.
        """
        self._engine = _SteppedEngine(limits)
        self._runner = runner
        self._task = runner.get_loop().create_task(rollout(subject, self._engine, protocol, keep_image=keep_image))
        self._request = runner.run(self._next())

    def take(self, text: str) -> Message | None:
        """Hand over a turn with calls; returns what the model is told next, None if the agent saw the rollout end."""
        self._reply(text, Finish.STOP)
        return self._request.messages[-1] if self._request else None

    def end(self, turns: Sequence[SampledTurn]) -> Trajectory:
        """The record of the rollout.

        Args:
            turns: all turns of it, those that were taken included. If the last one taken is also the last of all, its
                result did not fit the trainer's budget, and the model never saw it.

        Raises:
            EngineUnusableError: if the model was given other visual tokens than the frame of its boxes assumes.
        """
        if len(turns) > self._engine.taken:
            self._reply(turns[-1].text, turns[-1].finish)
        if self._request is not None:
            self._engine.replies.put_nowait(None)
            self._request = self._runner.run(self._next())
        return _with_counts(self._task.result(), turns)

    def abandon(self) -> None:
        """Give up a rollout that nobody will end."""
        if not self._task.done():
            self._task.cancel()
            self._runner.run(asyncio.wait({self._task}))

    def _reply(self, text: str, finish: Finish) -> None:
        if self._request is None:
            return
        self._engine.taken += 1
        self._engine.replies.put_nowait(
            Response(
                text=text, finish=finish, prompt_tokens=0, cached_tokens=0, output_tokens=0, visual_tokens=None, engine_s=0.0
            )
        )
        self._request = self._runner.run(self._next())

    async def _next(self) -> Request | None:
        """The agent's next request; None once it is done."""
        asked = asyncio.ensure_future(self._engine.requests.get())
        await asyncio.wait({asked, self._task}, return_when=asyncio.FIRST_COMPLETED)
        if asked.done():
            return asked.result()
        asked.cancel()
        return None


class _SteppedEngine:
    """An engine whose turns come from elsewhere; the trainer's own budget decides when the context is full."""

    context = sys.maxsize
    max_images = sys.maxsize

    def __init__(self, limits: PixelLimits) -> None:
        self.limits = limits
        self.requests: asyncio.Queue[Request] = asyncio.Queue()
        self.replies: asyncio.Queue[Response | None] = asyncio.Queue()
        self.taken = 0

    def text_tokens(self, text: str) -> int:
        return 0

    async def start(self) -> None:
        return None

    async def generate(self, request: Request) -> Response:
        await self.requests.put(request)
        reply = await self.replies.get()
        if reply is None:
            raise ContextFullError("the result of the last calls did not fit the completion's budget")
        return reply

    async def close(self) -> None:
        return None


def _with_counts(trajectory: Trajectory, sampled: Sequence[SampledTurn]) -> Trajectory:
    """The trajectory with the tokens that were really sampled; images are checked against those that were predicted."""
    expected, turns = trajectory.shown.visual_tokens, []
    for turn, real in zip(trajectory.turns, sampled, strict=False):  # turns after the agent's end are no part of it
        if real.visual_tokens != expected:
            raise EngineUnusableError(
                f"the model was given {real.visual_tokens} visual tokens where {expected} were predicted (question "
                f"{trajectory.question.id!r} of {trajectory.question.benchmark}): boxes would be in another frame, and the trainer "
                "would drop the images; keep image placeholders from being sampled, and the processor from resizing"
            )
        turns.append(_counted(turn, real))
        expected += sum(call.crop.visual_tokens for call in turn.calls if call.crop)
    return replace(trajectory, turns=tuple(turns))


def _counted(turn: Turn, real: SampledTurn) -> Turn:
    return replace(
        turn,
        finish=real.finish,
        prompt_tokens=real.prompt_tokens,
        output_tokens=real.output_tokens,
        visual_tokens=real.visual_tokens,
    )
