"""What a run consists of, as frozen data: questions, calls, turns, trajectories, verdicts; JSON both ways.

These records are the file format of a run folder (one JSON object a line) and the vocabulary of the whole package.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeVar

import msgspec

from .letters import option_letters

Corners = tuple[float, float, float, float]
"""(x1, y1, x2, y2)."""
Size = tuple[int, int]
"""(width, height) in pixels."""


class Stop(StrEnum):
    """Why a rollout ended."""

    ANSWERED = "answered"
    NO_ANSWER = "no_answer"
    """The last turn held neither a call nor an answer."""
    MAX_TURNS = "max_turns"
    LENGTH = "length"
    """A turn was cut at its token limit."""
    CONTEXT_FULL = "context_full"
    """The next turn would not have fitted the model's context."""
    ERROR = "error"
    """The engine or the image failed: says nothing about the model, so it stays unscored."""

    @property
    def truncated(self) -> bool:
        """Whether a limit, not the model, ended the rollout."""
        return self in (Stop.LENGTH, Stop.MAX_TURNS, Stop.CONTEXT_FULL)


class AnswerKind(StrEnum):
    """What kind of answer a question asks for, and so how it is scored."""

    TEXT = "text"
    """An option or a text: rules first, then a judge."""
    POINT = "point"
    """A point inside one of the question's boxes: rules alone (`judging/rules/point.py`)."""


class Finish(StrEnum):
    """Why the engine ended one turn."""

    STOP = "stop"
    LENGTH = "length"


class Outcome(StrEnum):
    """What an answer is worth."""

    CORRECT = "correct"
    WRONG = "wrong"
    UNSCORED = "unscored"


@dataclass(frozen=True, slots=True)
class ImageRef:
    """An image by content."""

    hash: str
    """Of the stored bytes (native images) or of the RGB pixels (crops)."""
    size: Size


@dataclass(frozen=True, slots=True)
class Question:
    """One question of a benchmark about one image."""

    id: str
    benchmark: str
    category: str
    cluster: str
    """Questions of one cluster share an image and are not independent."""
    text: str
    """What the model is asked, options and closing instruction included."""
    options: tuple[str, ...]
    """Option texts in the order shown: A, B, …; empty for open questions."""
    answer: str
    """The reference: an option's letter, or text where there are no options; empty if the benchmark gives none."""
    boxes: tuple[Corners, ...] = ()
    """Annotated targets, px of the native image."""
    also: tuple[str, ...] = ()
    """Further answers to an open question that count as right."""
    kind: AnswerKind = AnswerKind.TEXT
    extra: tuple[tuple[str, str], ...] = ()
    """Further columns of the row, (name, text) of each: kept, not asked."""

    def __post_init__(self) -> None:
        if not self.text.strip():
            raise ValueError(f"question {self.id!r} of {self.benchmark} has no text")
        letters = self.letters
        if self.options and self.answer and self.answer not in letters:
            raise ValueError(
                f"question {self.id!r} of {self.benchmark} has the label {self.answer!r}; "
                f"expected one of {', '.join(letters)} ({len(self.options)} options)"
            )
        if self.also and (self.options or not self.answer):
            raise ValueError(
                f"question {self.id!r} of {self.benchmark} has further answers {self.also} without a first, or options"
            )
        if self.kind is AnswerKind.POINT and (self.options or (self.answer and not self.boxes)):
            raise ValueError(f"question {self.id!r} of {self.benchmark} asks for a point, but has options or no box")
        if not all(math.isfinite(v) for box in self.boxes for v in box):
            raise ValueError(f"question {self.id!r} of {self.benchmark} has a box that is not finite: {self.boxes}")

    @property
    def letters(self) -> tuple[str, ...]:
        """The options' letters."""
        return option_letters(len(self.options))

    @property
    def answer_text(self) -> str:
        """The reference as text: the right option's, or the answer itself."""
        return self.options[self.letters.index(self.answer)] if self.options and self.answer else self.answer

    @property
    def answers(self) -> tuple[str, ...]:
        """Every answer that counts as right; none if the benchmark gives none."""
        return (self.answer, *self.also) if self.answer else ()


@dataclass(frozen=True, slots=True)
class Crop:
    """The image that a zoom gave the model."""

    hash: str
    size: Size
    native_box: Corners
    """What it shows, px of the native image."""
    visual_tokens: int = 0
    """As predicted from its size."""


@dataclass(frozen=True, slots=True)
class Call:
    """One tool call. With none of `crop`, `error` and `instead` it was not executed: the turn answered, or a limit came first."""

    raw: str
    """The call as the model wrote it."""
    box: Corners | None = None
    """The box as given; None if it could not be read."""
    frame: str | None = None
    """What the box's numbers are relative to."""
    error: str | None = None
    """What was wrong with it: the text that the model was given, unless a quirk gave it the whole image instead."""
    crop: Crop | None = None
    instead: str | None = None
    """The substitute for the crop that the model asked for: `withheld`, `blank`, `random` or `oracle`."""
    native_box: Corners | None = None
    """`box` in px of the native image, for any image it was given on; None in older runs, or if the box could not be
    read."""

    @property
    def executed(self) -> bool:
        """Whether it was carried out, be it with its image withheld."""
        return self.crop is not None or self.instead is not None


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call as a server gives it, apart from the text (native calls)."""

    id: str
    """By which it is answered; ours where the server gave none."""
    name: str
    arguments: str
    """JSON, to the letter; it may be none."""
    further: dict[str, Any] = field(default_factory=dict, hash=False)
    """Other fields that came with it: they go back as they came (Gemini refuses a conversation without its thought signatures)."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One generation of the model and what its calls gave."""

    text: str
    """All that it wrote; native calls stand at its end, written out in the protocol's call syntax."""
    finish: Finish
    prompt_tokens: int
    """The whole prompt, visual tokens included."""
    cached_tokens: int
    """How many of them the engine's prefix cache held."""
    output_tokens: int
    visual_tokens: int | None
    """Visual tokens of the whole prompt as the engine counted them; None if it does not tell."""
    engine_s: float
    """Seconds from request to reply, queueing included."""
    calls: tuple[Call, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()
    """Native calls as the server gave them."""


@dataclass(frozen=True, slots=True)
class ShownImage:
    """The image that the model was given first."""

    size: Size
    visual_tokens: int
    """As predicted from the size; 0 where the processor resizes by rules of its own. `Turn.visual_tokens` is what the engine
    counted."""
    hash: str = ""
    """Of the pixels; empty if the image could not be read."""


@dataclass(frozen=True, slots=True)
class Trajectory:
    """All turns of one question."""

    key: str
    """Identifies equal work: checkpoint, protocol, prompt, shown image and repeat."""
    question: Question
    image: ImageRef
    """The native image."""
    protocol: str
    shown: ShownImage
    turns: tuple[Turn, ...]
    answer: str
    """The answer's text; empty unless `stop` is `answered`."""
    stop: Stop
    error: str | None = None
    repeat: int = 0
    wall_s: float = 0.0
    ended: float = 0.0
    """When, as Unix time in s; 0 in runs of earlier versions. With `wall_s` it tells how many rollouts were under way."""

    @property
    def calls(self) -> tuple[Call, ...]:
        """Every call of every turn."""
        return tuple(call for turn in self.turns for call in turn.calls)

    @property
    def zooms(self) -> int:
        """Executed calls."""
        return sum(call.executed for call in self.calls)

    @property
    def tool_errors(self) -> int:
        """Calls that were answered with an error text."""
        return sum(call.error is not None for call in self.calls)

    @property
    def output_tokens(self) -> int:
        """Tokens generated over all turns."""
        return sum(turn.output_tokens for turn in self.turns)

    @property
    def visual_tokens(self) -> int | None:
        """Visual tokens of every image that the model saw, each counted once; predicted where the engine does not tell.

        None where they can be neither: the processor resizes by rules of its own, and the engine counted nothing.
        """
        counted = self.turns[-1].visual_tokens if self.turns else None
        if counted is not None:
            return counted
        if self.turns and not self.shown.visual_tokens and self.shown.size != (0, 0):
            return None
        seen = [call.crop for turn in self.turns[:-1] for call in turn.calls if call.crop]
        return self.shown.visual_tokens + sum(crop.visual_tokens for crop in seen)

    @property
    def verified(self) -> bool:
        """Whether the engine confirmed the visual tokens of every turn."""
        return bool(self.turns) and all(turn.visual_tokens is not None for turn in self.turns)


@dataclass(frozen=True, slots=True)
class Row:
    """Which trajectory answers which question of which task."""

    task: str
    doc_id: int
    question_id: str
    benchmark: str
    resolution: str
    repeat: int
    trajectory: str
    """The trajectory's key."""
    cap: int
    """Effective cap on the shown image's area, px²."""
    question: str = ""
    """Key of the row's own question: rows of equal work may differ in category or reference."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an answer is worth, who says so, and why."""

    key: str
    """Identifies equal judgements: card, judge model, question, reference and answer."""
    card: str
    model: str
    """The judge model; empty where a rule decided."""
    verdict: Outcome
    by: str
    """`rule:<name>`, `judge`, or `stop:<stop>`."""
    label: str = ""
    """The judge's label."""
    raw: str = ""
    """The judge's whole reply."""
    reason: str = ""
    """Why the answer is unscored, or what the rule saw."""
    judge_s: float = 0.0
    prompt_tokens: int = 0
    """That the judge read; 0 where a rule decided."""
    output_tokens: int = 0


def trajectory_key(*, checkpoint: str, protocol: str, prompt: str, image: str, shown: Size, repeat: int) -> str:
    """Identifies equal work: what a deterministic model could not tell apart is generated once.

    Args:
        checkpoint: the checkpoint's fingerprint.
        protocol: digest of the protocol's settings.
        prompt: the question's text.
        image: hash of the native image's stored bytes.
        shown: size of the shown image, px.
        repeat: 0-based repeat.
    """
    return digest("trajectory", checkpoint, protocol, prompt, image, shown, repeat)


_LATER = {"kind": AnswerKind.TEXT.value, "extra": ()}
"""Fields of a question that came later, at what they say of the questions of then."""


def question_values(question: Question) -> dict[str, Any]:
    """All that a benchmark says of a question, as JSON-like values; fields that came later only where they say something."""
    values: dict[str, Any] = msgspec.to_builtins(question)
    return {name: value for name, value in values.items() if name not in _LATER or value != _LATER[name]}


def question_key(question: Question) -> str:
    """Identifies a question with all that its benchmark says of it."""
    return digest("question", question_values(question))


def verdict_key(card: str, model: str, question: Question, answer: str, shown: str = "") -> str:
    """Identifies equal judgements: the same card and judge never decide the same content twice.

    Args:
        card: the card's id.
        model: the judge model; empty for rules alone.
        question: what was asked.
        answer: what was answered.
        shown: hash of the shown image, for a judge that sees it.
    """
    content = (question.text, question.options, question.answer, answer, *question.also)
    return digest("verdict", card, model, *content, *([{"shown": shown}] if shown else []))


def stop_verdict(trajectory: Trajectory, card: str) -> Verdict | None:
    """The verdict that the stop alone decides: unanswered is wrong, an engine error is unscored; None if it was answered."""
    stop = trajectory.stop
    if stop is Stop.ANSWERED:
        return None
    outcome = Outcome.UNSCORED if stop is Stop.ERROR else Outcome.WRONG
    key = digest("stop", card, trajectory.key)
    return Verdict(key, card, "", outcome, f"stop:{stop.value}", reason=trajectory.error or "")


Record = TypeVar("Record")


def to_json(record: object) -> bytes:
    """One record as one line of JSON, without the line break; lone surrogates, which JSON cannot hold, become U+FFFD."""
    try:
        return msgspec.json.encode(record)
    except UnicodeEncodeError:
        return msgspec.json.encode(_storable(msgspec.to_builtins(record)))


def replace_surrogates(text: str) -> str:
    """The text with only such characters as UTF-8 can hold: a lone surrogate becomes U+FFFD."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _storable(value: Any) -> Any:
    """JSON-like values with only such text as UTF-8 can hold."""
    if isinstance(value, str):
        return replace_surrogates(value)
    if isinstance(value, dict):
        return {_storable(k): _storable(v) for k, v in value.items()}
    return [_storable(v) for v in value] if isinstance(value, list | tuple) else value


def from_json(line: bytes | str, kind: type[Record]) -> Record:
    """A record from its JSON.

    Raises:
        msgspec.ValidationError: if it is not a `kind`.
        msgspec.DecodeError: if it is not JSON.
    """
    return msgspec.json.decode(line, type=kind)


def digest(*parts: object) -> str:
    """Short content hash (128 bit, hex) of any JSON-like values."""
    return hashlib.blake2b(to_json(parts), digest_size=16).hexdigest()
