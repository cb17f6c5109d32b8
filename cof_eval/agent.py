"""The loop: look, think, zoom, look again, answer. One question in, one trajectory out; no I/O of its own.

Every limit is checked before the engine would refuse, every call of a turn is executed or answered, and whatever
happens becomes part of the trajectory. Only an engine that cannot serve the run at all raises.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from PIL import Image

from .counterfactual import NO_BOXES, WITHHELD, Instead
from .engine import Engine, ImagePart, Message, Part, Request, Response, Role, TextPart
from .errors import ContextFullError, EngineError, EngineUnusableError
from .images import pixel_hash
from .protocols import CallsPerTurn, Crops, Precedence, Protocol, fill
from .protocols.protocol import IMAGE
from .records import Call, Crop, Finish, ImageRef, Question, Shown, Stop, Trajectory, Turn, digest
from .reply import RawCall, Reply, parse_reply
from .resolution import PixelLimits, visual_tokens
from .zoom import View, Zoomed, zoom

MESSAGE_TOKENS = 8
"""Room that a chat template takes for one message's header and end, and for an image's two markers."""

IMAGES_USED_UP = "Image limit reached: no further zoom is possible. Give the final answer now."

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
    talk = _Conversation(subject, engine, protocol, seed, keep_image, on_turn)
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
    on_turn: OnTurn | None = None
    messages: list[Message] = field(default_factory=list)
    turns: list[Turn] = field(default_factory=list)
    images: int = 0
    used_tokens: int = 0
    """Tokens of the conversation so far, template overhead estimated from above."""
    predicted_visual: int = 0
    shown_tokens: int = 0
    zooms: int = 0
    """Calls executed so far."""

    def __post_init__(self) -> None:
        self.limits: PixelLimits = self.protocol.limits(self.engine.limits)
        question = self.subject.question
        self.view = self.subject.view
        seed = digest("random crop", self.seed, self.subject.key, self.subject.repeat)
        self.instead = Instead(self.protocol.crops, question.boxes, seed)
        text = TextPart(self.protocol.prompt(question.text, question.options))
        if self.protocol.system:
            self._say(Role.SYSTEM, (TextPart(self.protocol.system),))
        if self.view is None:
            return self._say(Role.USER, (text,))
        shown = self._image(self.view.shown, self.subject.shown_hash)
        self.shown_tokens = shown.visual_tokens
        self._say(Role.USER, (shown, text))

    async def run(self) -> _Ending:
        """Take turns until one ends the rollout."""
        if self.protocol.crops is Crops.ORACLE and self.view is not None and not self.subject.question.boxes:
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
        reply = parse_reply(response.text, self.protocol.call_syntax, self.protocol.answer_syntax)
        ending = _ending(reply, response.finish, self.protocol)
        if ending is None and len(self.turns) + 1 >= self.protocol.max_turns:
            ending = (Stop.MAX_TURNS, "", None)
        self._say(Role.ASSISTANT, (TextPart(response.text),))
        self.used_tokens = response.prompt_tokens + response.output_tokens
        if ending is not None:
            calls = tuple(Call(raw.raw) for raw in reply.calls)
        else:
            calls = await self._execute(reply.calls)
        self.turns.append(_turn(response, calls))
        if self.on_turn:
            self.on_turn(self.turns[-1])
        return ending

    async def _execute(self, raw_calls: tuple[RawCall, ...]) -> tuple[Call, ...]:
        """Execute a turn's calls in order and hand their results back as one user message."""
        calls: list[Call] = []
        parts: list[Part] = []
        for raw, chosen in zip(raw_calls, _chosen(len(raw_calls), self.protocol.calls_per_turn), strict=True):
            if not chosen:
                calls.append(Call(raw.raw))
                continue
            call, result = await self._one(raw)
            calls.append(call)
            parts += [*(self._text(self.protocol.between) if parts else ()), *result]
        if any(call.executed for call in calls):
            parts += self._text(self.protocol.closing)
        self._say(Role.USER, tuple(parts))
        return tuple(calls)

    async def _one(self, raw: RawCall) -> tuple[Call, tuple[Part, ...]]:
        """One call and what the model gets for it."""
        view, protocol = self.view, self.protocol
        if view is None or self.images >= min(protocol.max_images, self.engine.max_images):
            return Call(raw.raw, error=IMAGES_USED_UP), self._text(protocol.error_turn, error=IMAGES_USED_UP)
        result, pixels = await asyncio.to_thread(self._zoom, raw, view)
        box, frame = (result.box.corners, result.box.frame.name) if result.box else (None, protocol.box_frame(view).name)
        if result.image is None or result.native_box is None:
            error = result.error or ""
            return Call(raw.raw, box, frame, error=error), self._text(protocol.error_turn, error=error)
        self.zooms += 1
        self.view = view.with_crop(result.image.size, result.native_box)
        instead = None if protocol.crops is Crops.REAL else protocol.crops.value
        if result.withheld:
            told = self._text(protocol.crop_turn.replace(IMAGE, WITHHELD))
            return Call(raw.raw, box, frame, instead=instead), told
        part = self._image(result.image, pixels)
        crop = Crop(pixels, result.image.size, result.native_box.corners, part.visual_tokens)
        before, after = protocol.crop_turn.split(IMAGE)
        return Call(raw.raw, box, frame, result.error, crop, instead), (*self._text(before), part, *self._text(after))

    def _text(self, template: str, *, error: str = "") -> tuple[Part, ...]:
        """A text of the protocol with its placeholders filled in; nothing where it is empty."""
        width, height = self.view.crops[-1].size if self.view and self.view.crops else (0, 0)
        text = fill(
            template,
            error=error,
            format=self.protocol.format,
            action=len(self.turns),
            observation=len(self.view.crops) if self.view else 0,
            width=width,
            height=height,
        )
        return (TextPart(text),) if text else ()

    def _zoom(self, raw: RawCall, view: View) -> tuple[Zoomed, str]:
        """The result of a call and the hash of its crop; runs beside the event loop."""
        rules = self.protocol.zoom_rules(self.limits)
        result = self.instead.crop(zoom(raw, view, self.protocol.box_frame(view), rules), self.zooms, view, rules)
        if result.image is None or result.withheld:
            return result, ""
        pixels = pixel_hash(result.image)
        if self.keep_image:
            self.keep_image(pixels, result.image)
        return result, pixels

    def _image(self, image: Image.Image, pixels: str) -> ImagePart:
        tokens = visual_tokens(image.size, self.limits.factor)
        self.images += 1
        self.predicted_visual += tokens
        return ImagePart(image, pixels, tokens)

    def _say(self, role: Role, parts: tuple[Part, ...]) -> None:
        message = Message(role, tuple(TextPart(_inert(p.text)) if isinstance(p, TextPart) else p for p in parts))
        self.messages.append(message)
        if role is not Role.ASSISTANT:  # an assistant turn's tokens are known exactly
            text = sum(self.engine.text_tokens(p.text) for p in parts if isinstance(p, TextPart))
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


def _chosen(count: int, rule: CallsPerTurn) -> list[bool]:
    """Which of a turn's calls are executed."""
    only = {CallsPerTurn.FIRST: 0, CallsPerTurn.LAST: count - 1}.get(rule)
    return [only is None or number == only for number in range(count)]


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


_SPECIAL = re.compile(r"<\|(?=[A-Za-z0-9_]+\|>)")


def _inert(text: str) -> str:
    """Text that a prompt can hold: no lone surrogates, and no control tokens (`<|image_pad|>`), which would forge images."""
    return _SPECIAL.sub("<| ", text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))
