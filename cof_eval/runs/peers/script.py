"""A rollout with a scripted model: what a protocol makes of given replies."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from PIL import Image

from ...agent.engine import ImagePart, Request, Response, cut_at_stop
from ...agent.protocols import Protocol
from ...agent.rollout import Subject, rollout
from ...agent.view import View
from ...core.records import Finish, ImageRef, Question, Trajectory
from ...core.resolution import PixelLimits

ROOM = 1 << 40
"""Tokens of context: enough that none of the vectors' rollouts fills it."""


@dataclass
class ScriptedEngine:
    """An `Engine` that says what a script says; the last reply repeats."""

    limits: PixelLimits
    replies: Sequence[str]
    context: int = ROOM
    max_images: int = 64
    requests: list[Request] = field(default_factory=list)

    def text_tokens(self, text: str) -> int:
        """None worth counting."""
        return 0

    async def start(self) -> None:
        """Nothing to load."""

    async def close(self) -> None:
        """Nothing to release."""

    async def generate(self, request: Request) -> Response:
        """The next reply, cut at a stop string as a real engine cuts it."""
        self.requests.append(request)
        text = self.replies[min(len(self.requests), len(self.replies)) - 1]
        return Response(
            text=cut_at_stop(text, request),
            finish=Finish.STOP,
            prompt_tokens=0,
            cached_tokens=0,
            output_tokens=0,
            visual_tokens=sum(image.visual_tokens for image in request.images),
            engine_s=0.0,
        )


@dataclass(frozen=True)
class Played:
    """What came of a script."""

    trajectory: Trajectory
    requests: Sequence[Request]

    def added(self, turn: int) -> Sequence[ImagePart] | None:
        """The images that the model got after this turn (0-based); None if the rollout ended with it."""
        if len(self.requests) <= turn + 1:
            return None
        return self.requests[turn + 1].images[len(self.requests[turn].images) :]


def play(protocol: Protocol, limits: PixelLimits, view: View, native: Image.Image, replies: Sequence[str]) -> Played:
    """Run one rollout of these replies.

    Args:
        protocol: under which.
        limits: of the engine's processor.
        view: what can be looked at.
        native: the native image.
        replies: one a turn.
    """
    engine = ScriptedEngine(limits, replies)
    question = Question("0", "vectors", "", "", "What is it?", (), "B")
    image = ImageRef("", native.size)
    about = Subject(question=question, image=image, view=view, shown_hash="synthetic", key="vectors")
    trajectory = asyncio.run(rollout(about, engine, replace(protocol, context=ROOM, zoom_tokens=None)))
    return Played(trajectory, engine.requests)
