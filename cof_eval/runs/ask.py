"""One question about one image file: `cof-eval ask`. The same engine, protocol and loop as a run, without its folder."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from ..agent.protocols import Protocol
from ..agent.rollout import OnTurn, Subject, rollout
from ..agent.showing import look
from ..benchmarks.options import ANSWER_LETTER, choice_text
from ..core.errors import UsageError
from ..core.images import ImageSource, load_native, pixel_hash, source_hash
from ..core.letters import LETTERS
from ..core.records import ImageRef, Question, Trajectory, digest
from ..core.resolution import Resolution
from ..core.settings import ModelSettings, api_key
from ..engines import EngineSettings, check_engine, open_engine
from .finding import Finding
from .preflight import preflight


@dataclass(frozen=True, slots=True)
class AskResult:
    """A question that was asked, and every image that the model saw."""

    trajectory: Trajectory
    images: dict[str, Image.Image] = field(repr=False)
    """By pixel hash: the shown image and the crops."""


def make_question(text: str, options: Sequence[str] = ()) -> Question:
    """A question as it is put to the model, its options a line each.

    Raises:
        UsageError: if there is no question, one option only, or too many.
    """
    if not text.strip():
        raise UsageError("the question is empty; ask for instance: What is the color of the mug?")
    if len(options) == 1 or len(options) > len(LETTERS) or not all(option.strip() for option in options):
        raise UsageError(f"--options {'|'.join(options)!r}: expected 2 to 26 options, separated by |, none of them empty")
    whole = choice_text(text, options, ANSWER_LETTER) if options else text
    return Question("0", "ask", "", "", whole, tuple(options), "A" if options else "")


async def ask(
    settings: ModelSettings,
    protocol: Protocol,
    question: Question,
    image: Path,
    resolution: Resolution,
    *,
    on_shown: Callable[[Image.Image, ImageRef, Sequence[Finding]], None] = lambda shown, native, findings: None,
    on_turn: OnTurn | None = None,
) -> AskResult:
    """Ask one question about one image.

    Args:
        settings: the model's arguments.
        protocol: how the model is asked.
        question: as of `make_question`; boxes are none.
        image: a file.
        resolution: at which it is shown.
        on_shown: called with the shown image, the native one's size, and what may go wrong, before the weights load.
        on_turn: called with every turn as it ends.

    Raises:
        CofError: for anything that a user can fix.
    """
    check_engine(settings, protocol)
    data = ImageSource(path=str(image)).read()
    native = load_native(data)
    engine = await open_engine(settings.engine, EngineSettings.of(settings, api_key()), protocol)
    try:
        view = look(native, resolution, protocol, protocol.limits(engine.limits))
        name = pixel_hash(view.shown)
        images = {name: view.shown}
        about = Subject(
            question=question,
            image=ImageRef(source_hash(data), native.size),
            view=view,
            shown_hash=name,
            key=digest("ask", settings.pretrained, protocol, question.text, name),
        )
        on_shown(view.shown, about.image, preflight(settings, protocol, engine, [resolution], [native.size], [question]))
        await engine.start()
        trajectory = await rollout(about, engine, protocol, seed=settings.seed, keep_image=images.__setitem__, on_turn=on_turn)
    finally:
        await engine.close()
    return AskResult(trajectory, images)


@dataclass(frozen=True, slots=True)
class ReplyPiece:
    """A piece of a model's text."""

    kind: str
    """`thought`, `call`, `answer` or `text`."""
    text: str


_TAGGED = re.compile(r"<(think|tool_call|grounding|answer)>(.*?)(?:</\1>|\Z)", re.DOTALL | re.IGNORECASE)
_TAGS = {"think": "thought", "tool_call": "call", "grounding": "call", "answer": "answer"}


def reply_pieces(text: str) -> Iterator[ReplyPiece]:
    """A turn's text in pieces a person can read; every word of it, the tags aside."""
    rest = 0
    for found in _TAGGED.finditer(text):
        between = text[rest : found.start()].strip()
        if between:
            yield ReplyPiece("text", between)
        if found[2].strip():
            yield ReplyPiece(_TAGS[found[1].lower()], found[2].strip())
        rest = found.end()
    if text[rest:].strip():
        yield ReplyPiece("text", text[rest:].strip())
