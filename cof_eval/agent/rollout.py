"""The loop: look, think, zoom, look again, answer. One question in, one trajectory out; no I/O of its own.

Every limit is checked before the engine would refuse. Every call of a turn is executed or answered. All that happens is
recorded in the trajectory. Only an engine that cannot serve the run at all raises.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from PIL import Image

from ..core.errors import ContextFullError, EngineError, EngineUnusableError
from ..core.records import AnswerKind, Call, Finish, ImageRef, Question, ShownImage, Stop, ToolCall, Trajectory, Turn, digest
from ..core.resolution import PixelLimits
from .conversation import Conversation
from .counterfactual import NO_BOXES
from .engine import Engine, Message, Request, Response, TextPart
from .protocols import Crops, Precedence, Protocol
from .protocols.calling import AtLimit
from .reply import RawCall, Reply
from .reply.native import with_ids
from .reply.points import native_point
from .view import View
from .zoom import BadCall

MESSAGE_TOKENS = 8
"""Room that a chat template takes for one message's header and end, and for an image's two markers."""

_LONG_CHARS = 8_000
"""A longer turn may take more than some milliseconds to read."""

KeepImage = Callable[[str, Image.Image], None]
"""Receives every crop with its hash, to store it if wanted."""

OnTurn = Callable[[Turn], None]
"""Receives every turn, its calls executed, as soon as it is over."""


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
    subject: Subject,
    engine: Engine,
    protocol: Protocol,
    *,
    seed: int = 0,
    keep_image: KeepImage | None = None,
    on_turn: OnTurn | None = None,
) -> Trajectory:
    """Run the loop on one question until it stops.

    Args:
        subject: the question and its images; the shown image must already have its final size.
        engine: generates the turns.
        protocol: prompts, limits and frames.
        seed: used where the protocol samples; each question, repeat and turn gets its own from it.
        keep_image: called with every crop.
        on_turn: called with every turn as it ends.

    Raises:
        EngineUnusableError: if the engine cannot serve this run, for instance because it shows other pixels.
    """
    started = time.monotonic()
    state = _Rollout(subject, engine, protocol, seed, keep_image, on_turn)
    stop, answer, error = await state.run()
    if subject.question.kind is AnswerKind.POINT and subject.view and stop is Stop.ANSWERED:
        answer = _point(answer, protocol, subject.view)
    size = subject.view.shown.size if subject.view else (0, 0)
    shown = ShownImage(size, sum(image.visual_tokens for image in state.conversation.images[:1]), subject.shown_hash)
    return Trajectory(
        key=subject.key,
        question=subject.question,
        image=subject.image,
        protocol=protocol.name,
        shown=shown,
        turns=tuple(state.turns),
        answer=answer,
        stop=stop,
        error=error,
        repeat=subject.repeat,
        wall_s=round(time.monotonic() - started, 4),
        ended=round(time.time(), 3),
    )


def _point(answer: str, protocol: Protocol, view: View) -> str:
    """The answer's point in px of the native image; the answer itself if it has none."""
    pixels = view.shown_frame if protocol.pixels_above is not None else None
    return native_point(answer, protocol.box_frame(view), view.native_frame, pixels=pixels)


_Ending = tuple[Stop, str, str | None]


@dataclass
class _Rollout:
    """The state of one rollout."""

    subject: Subject
    engine: Engine
    protocol: Protocol
    seed: int
    keep_image: KeepImage | None
    on_turn: OnTurn | None = None
    turns: list[Turn] = field(default_factory=list)
    used_tokens: int = 0
    """Tokens of the conversation so far, template overhead estimated from above."""

    def __post_init__(self) -> None:
        self.limits: PixelLimits = self.protocol.limits(self.engine.limits)
        self.conversation = Conversation(
            self.protocol,
            self.limits,
            self.subject.question,
            self.subject.view,
            self.subject.shown_hash,
            max_images=self.engine.max_images,
            seed=digest("random crop", self.seed, self.subject.key, self.subject.repeat),
        )
        for message in self.conversation.messages:
            self._count(message)
        self.used_tokens += sum(self.engine.text_tokens(tool.text) for tool in self.protocol.tools)

    async def run(self) -> _Ending:
        """Take turns until one ends the rollout."""
        if self.protocol.crops is Crops.ORACLE and self.conversation.view is not None and not self.subject.question.boxes:
            return Stop.ERROR, "", NO_BOXES
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
        tool_calls = with_ids(response.tool_calls, len(self.turns)) if self.protocol.native else ()
        reply = await self._read(response.text, tool_calls)
        self.used_tokens = response.prompt_tokens + response.output_tokens
        ending = _ending(reply, response.finish, self.protocol) or self._limit(response.text)
        self.conversation.add_assistant_turn(response.text, tool_calls)
        if ending is not None:
            calls = tuple(Call(raw.raw) for raw in reply.calls)
        else:
            calls, handed_back = await asyncio.to_thread(self._execute_calls, reply.calls)
            for message in handed_back:
                self._count(message)
            if self.protocol.bad_call is BadCall.ANSWER and any(call.error for call in calls):
                ending = _answered(response.text.strip(), Stop.NO_ANSWER)
        self.turns.append(_turn(response, self.protocol.write_turn(response.text, tool_calls), calls, tool_calls))
        if ending is not None and ending[0] is not Stop.ANSWERED and self.protocol.answer_turns_all:
            ending = _answered(self.protocol.last_answer([turn.text for turn in self.turns]), ending[0])
        if self.on_turn:
            self.on_turn(self.turns[-1])
        return ending

    async def _read(self, text: str, tool_calls: tuple[ToolCall, ...]) -> Reply:
        """What a turn says; a long one is read in a thread, so that the event loop is not held up."""
        if len(text) <= _LONG_CHARS:
            return self.protocol.read_turn(text, tool_calls)
        return await asyncio.to_thread(self.protocol.read_turn, text, tool_calls)

    def _limit(self, text: str) -> _Ending | None:
        """Whether a limit ends the rollout before this turn's calls are executed."""
        if len(self.turns) + 1 >= self.protocol.max_turns:
            return _answered(text.strip() if self.protocol.at_limit is AtLimit.TEXT else "", Stop.MAX_TURNS)
        most = self.protocol.zoom_tokens
        return (Stop.CONTEXT_FULL, "", None) if most is not None and self.used_tokens > most else None

    def _execute_calls(self, raw_calls: tuple[RawCall, ...]) -> tuple[tuple[Call, ...], tuple[Message, ...]]:
        """Execute a turn's calls; runs in a thread, so that the event loop is not held up."""
        calls, handed_back = self.conversation.execute_calls(raw_calls)
        if self.keep_image:
            for part in (image for message in handed_back for image in message.images):
                self.keep_image(part.hash, part.image)
        return calls, handed_back

    def _count(self, message: Message) -> None:
        """Count the tokens of a message that the model did not write; those of its own are known exactly."""
        text = sum(self.engine.text_tokens(part.text) for part in message.parts if isinstance(part, TextPart))
        self.used_tokens += text + sum(image.visual_tokens for image in message.images) + MESSAGE_TOKENS

    def _fits(self) -> bool:
        """Whether a whole further turn fits the context."""
        return self.used_tokens + self.protocol.max_new_tokens <= min(self.protocol.context, self.engine.context)

    def _request(self) -> Request:
        turn = len(self.turns)
        return Request(
            conversation=f"{self.subject.key}-{self.subject.repeat}",
            messages=tuple(self.conversation.messages),
            max_tokens=self.protocol.max_new_tokens,
            temperature=self.protocol.temperature,
            top_p=self.protocol.top_p,
            top_k=self.protocol.top_k,
            min_p=self.protocol.min_p,
            repetition_penalty=self.protocol.repetition_penalty,
            presence_penalty=self.protocol.presence_penalty,
            frequency_penalty=self.protocol.frequency_penalty,
            stop=self.protocol.stop,
            stop_kept=self.protocol.stop_kept,
            template_kwargs=self.protocol.chat_template_kwargs,
            seed=_seed(self.seed, self.subject, turn) if self.protocol.temperature > 0 else None,
            pattern=self.protocol.turn_pattern(turn),
            tools=self.protocol.tools,
        )

    def _check_pixels(self, response: Response) -> None:
        """Stop the run if the engine showed other pixels than the frame of every box assumes."""
        counted, predicted = response.visual_tokens, sum(image.visual_tokens for image in self.conversation.images)
        if counted is None or counted == predicted or self.limits.counted:
            return
        raise EngineUnusableError(
            f"the engine used {counted} visual tokens where {predicted} were predicted (question "
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


def _answered(answer: str | None, otherwise: Stop) -> _Ending:
    """The ending with this answer; without one, that of another stop."""
    return (Stop.ANSWERED, answer, None) if answer else (otherwise, "", None)


def _turn(response: Response, text: str, calls: tuple[Call, ...], tool_calls: tuple[ToolCall, ...]) -> Turn:
    return Turn(
        text=text,
        finish=response.finish,
        prompt_tokens=response.prompt_tokens,
        cached_tokens=response.cached_tokens,
        output_tokens=response.output_tokens,
        visual_tokens=response.visual_tokens,
        engine_s=round(response.engine_s, 4),
        calls=calls,
        tool_calls=tool_calls,
    )


def _seed(seed: int, subject: Subject, turn: int) -> int:
    """A seed of its own for every turn, the same whatever else runs."""
    return int(digest(seed, subject.key, subject.repeat, turn)[:8], 16) & 0x7FFFFFFF
