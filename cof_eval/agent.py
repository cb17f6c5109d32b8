"""The loop: look, think, zoom, look again, answer. One question in, one trajectory out; no I/O of its own.

Every limit is checked before the engine would refuse, every call of a turn is executed or answered, and whatever
happens becomes part of the trajectory. Only an engine that cannot serve the run at all raises.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from PIL import Image

from .conversation import carry_out, handed_back, image_part, opening, said
from .engine import Engine, ImagePart, Message, Part, Request, Response, Role, TextPart
from .errors import ContextFullError, EngineError, EngineUnusableError
from .protocols import CallsPerTurn, Precedence, Protocol
from .records import Call, Finish, ImageRef, Question, Shown, Stop, Trajectory, Turn, digest
from .reply import RawCall, Reply, parse_reply
from .resolution import PixelLimits
from .zoom import View

MESSAGE_TOKENS = 8
"""Room that a chat template takes for one message's header and end, and for an image's two markers."""

KeepImage = Callable[[str, Image.Image], None]
"""Receives every crop with its hash, to store it if wanted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """One question with its images: what a rollout is about."""

    question: Question
    image: ImageRef
    view: View | None
    """None for a question without an image; the protocol must then have no tool."""
    shown_hash: str
    key: str
    repeat: int = 0


async def rollout(
    subject: Subject, engine: Engine, protocol: Protocol, *, seed: int = 0, keep_image: KeepImage | None = None
) -> Trajectory:
    """Run the loop on one question until it stops.

    Args:
        subject: the question and its images; the shown image must already have its final size.
        engine: generates the turns.
        protocol: prompts, limits and frames.
        seed: used where the protocol samples; each question, repeat and turn gets its own from it.
        keep_image: called with every crop.

    Raises:
        EngineUnusableError: if the engine cannot serve this run, for instance because it shows other pixels.
    """
    started = time.monotonic()
    talk = _Conversation(subject, engine, protocol, seed, keep_image)
    stop, answer, error = await talk.run()
    size = subject.view.shown.size if subject.view else (0, 0)
    shown = Shown(size, talk.shown_tokens, subject.shown_hash)
    return Trajectory(
        key=subject.key,
        question=subject.question,
        image=subject.image,
        protocol=protocol.name,
        shown=shown,
        turns=tuple(talk.turns),
        answer=answer,
        stop=stop,
        error=error,
        repeat=subject.repeat,
        wall_s=round(time.monotonic() - started, 4),
    )


_Ending = tuple[Stop, str, str | None]


@dataclass
class _Conversation:
    """The state of one rollout."""

    subject: Subject
    engine: Engine
    protocol: Protocol
    seed: int
    keep_image: KeepImage | None
    messages: list[Message] = field(default_factory=list)
    turns: list[Turn] = field(default_factory=list)
    images: int = 0
    used_tokens: int = 0
    """Tokens of the conversation so far, template overhead estimated from above."""
    predicted_visual: int = 0
    shown_tokens: int = 0

    def __post_init__(self) -> None:
        self.limits: PixelLimits = self.protocol.limits(self.engine.limits)
        view = self.subject.view
        shown = image_part(view.shown, self.limits, self.subject.shown_hash) if view else None
        if shown:
            self._count(shown)
        self.shown_tokens = self.predicted_visual
        for message in opening(self.protocol, self.subject.question.text, shown):
            self._say(message)

    async def run(self) -> _Ending:
        """Take turns until one ends the rollout."""
        while True:
            if not self._fits():
                return Stop.CONTEXT_FULL, "", None
            try:
                response = await self.engine.generate(self._request())
            except ContextFullError:
                return Stop.CONTEXT_FULL, "", None
            except EngineError as error:
                return Stop.ERROR, "", str(error)
            self._check_pixels(response)
            ending = await self._take(response)
            if ending is not None:
                return ending

    async def _take(self, response: Response) -> _Ending | None:
        """Read one turn, execute its calls, and say whether it was the last."""
        reply = parse_reply(response.text, self.protocol.call_syntax, self.protocol.answer_syntax)
        ending = _ending(reply, response.finish, self.protocol)
        if ending is None and len(self.turns) + 1 >= self.protocol.max_turns:
            ending = (Stop.MAX_TURNS, "", None)
        self._say(said(response.text))
        self.used_tokens = response.prompt_tokens + response.output_tokens
        if ending is not None:
            calls = tuple(Call(raw.raw) for raw in reply.calls)
        else:
            calls = await self._execute(reply.calls)
        self.turns.append(_turn(response, calls))
        return ending

    async def _execute(self, raw_calls: tuple[RawCall, ...]) -> tuple[Call, ...]:
        """Execute a turn's calls in order and hand their results back as one user message."""
        limit = 1 if self.protocol.calls_per_turn is CallsPerTurn.FIRST else len(raw_calls)
        calls: list[Call] = []
        parts: list[Part] = []
        for raw in raw_calls[:limit]:
            call, part = await self._one(raw)
            calls.append(call)
            parts.append(part)
        self._say(handed_back(self.protocol, parts))
        return (*calls, *(Call(raw.raw) for raw in raw_calls[limit:]))

    async def _one(self, raw: RawCall) -> tuple[Call, Part]:
        """One call and what the model gets for it; images are cut beside the event loop."""
        view = self.subject.view if self.images < min(self.protocol.max_images, self.engine.max_images) else None
        call, part = await asyncio.to_thread(carry_out, raw, view, self.protocol, self.limits)
        if isinstance(part, ImagePart):
            self._count(part)
            if self.keep_image:
                self.keep_image(part.hash, part.image)
        return call, part

    def _count(self, part: ImagePart) -> None:
        self.images += 1
        self.predicted_visual += part.visual_tokens

    def _say(self, message: Message) -> None:
        self.messages.append(message)
        if message.role is not Role.ASSISTANT:  # an assistant turn's tokens are known exactly
            text = sum(self.engine.text_tokens(p.text) for p in message.parts if isinstance(p, TextPart))
            self.used_tokens += text + sum(i.visual_tokens for i in message.images) + MESSAGE_TOKENS

    def _fits(self) -> bool:
        """Whether a whole further turn fits the context."""
        return self.used_tokens + self.protocol.max_new_tokens <= min(self.protocol.context, self.engine.context)

    def _request(self) -> Request:
        turn = len(self.turns)
        return Request(
            conversation=f"{self.subject.key}-{self.subject.repeat}",
            messages=tuple(self.messages),
            max_tokens=self.protocol.max_new_tokens,
            temperature=self.protocol.temperature,
            top_p=self.protocol.top_p,
            repetition_penalty=self.protocol.repetition_penalty,
            seed=_seed(self.seed, self.subject, turn) if self.protocol.temperature > 0 else None,
            pattern=self.protocol.turn_pattern(turn),
        )

    def _check_pixels(self, response: Response) -> None:
        """Stop the run if the engine showed other pixels than the frame of every box assumes."""
        counted = response.visual_tokens
        if counted is None or counted == self.predicted_visual:
            return
        raise EngineUnusableError(
            f"the engine used {counted} visual tokens where {self.predicted_visual} were predicted (question "
            f"{self.subject.question.id!r} of {self.subject.question.benchmark}): its image processor resizes the images again, so boxes would "
            "be in another frame. Give the engine the limits that the harness assumes (mm_processor_kwargs: "
            f'{{"min_pixels": {self.limits.min_pixels}, "max_pixels": {self.limits.max_pixels}}}), or lower the model argument max_pixels '
            "to what the engine really has"
        )


def _ending(reply: Reply, finish: Finish, protocol: Protocol) -> _Ending | None:
    """Whether and how this turn ends the rollout; None if its calls are to be executed."""
    complete = reply.answer_complete or finish is Finish.STOP
    if reply.calls and protocol.precedence is Precedence.CALL:
        return None
    if reply.answer is not None and complete:
        return Stop.ANSWERED, reply.answer, None
    if reply.calls:
        return None
    return (Stop.LENGTH if finish is Finish.LENGTH else Stop.NO_ANSWER), "", None


def _turn(response: Response, calls: tuple[Call, ...]) -> Turn:
    return Turn(
        text=response.text,
        finish=response.finish,
        prompt_tokens=response.prompt_tokens,
        cached_tokens=response.cached_tokens,
        output_tokens=response.output_tokens,
        visual_tokens=response.visual_tokens,
        engine_s=round(response.engine_s, 4),
        calls=calls,
    )


def _seed(seed: int, subject: Subject, turn: int) -> int:
    """A seed of its own for every turn, the same whatever else runs."""
    return int(digest(seed, subject.key, subject.repeat, turn)[:8], 16) & 0x7FFFFFFF
