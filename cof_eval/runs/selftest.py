"""The coordinate self-test: a model gets back the region it points at, for every protocol and resolution.

A synthetic photograph holds flat squares of known colours at known places. It goes the way of every question: shown at its
resolution, asked about in the protocol's prompt. A scripted model calls the tool on one square, in the protocol's own
syntax and frame. Where calls may name an earlier crop, it then calls the tool on the middle of that crop. The square must
stand in the first crop where the protocol's rules put it, and fill the middle of the second. If boxes may reach outside the
image, one does: the square must stand where clipping or black padding puts it. A tool without a box must give the whole
photograph.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from PIL import Image, ImageDraw

from ..agent.engine import Request, Response, Role
from ..agent.protocols import BoxFrame, Crops, Protocol
from ..agent.reply import AnswerSyntax
from ..agent.rollout import Subject, rollout
from ..agent.showing import look
from ..agent.view import ImageNaming, View
from ..agent.zoom import Outside, ToolKind
from ..core.errors import EngineError
from ..core.records import Corners, Finish, ImageRef, Question, Size, Stop, Trajectory
from ..core.resolution import PixelLimits, Resolution
from .finding import Finding, Level

NATIVE = (1120, 896)
"""Size of the synthetic photograph, px."""

_GREY = (128, 128, 128)
_TOLERANCE = 60
"""How far a sample (0-255) may be off: resizing softens edges."""
_SLACK = 0.08
"""How far a square's edges may be off, as a fraction of the crop: whole pixels of a small shown image are that large."""


@dataclass(frozen=True, slots=True)
class Square:
    """A square of one colour on the synthetic photograph."""

    colour: tuple[int, int, int]
    corners: Corners
    """px of the native image."""


SQUARES = (
    Square((230, 30, 30), (56, 56, 224, 224)),
    Square((30, 200, 30), (840, 70, 1008, 238)),
    Square((40, 60, 230), (98, 658, 266, 826)),
    Square((230, 210, 30), (812, 644, 980, 812)),
)
"""One in each quarter, none at the mirror image of another: swapped axes and wrong scales both show."""


def photograph() -> Image.Image:
    """The synthetic photograph."""
    image = Image.new("RGB", NATIVE, _GREY)
    draw = ImageDraw.Draw(image)
    for square in SQUARES:
        x1, y1, x2, y2 = square.corners
        draw.rectangle((x1, y1, x2 - 1, y2 - 1), fill=square.colour)
    return image


def selftest(protocol: Protocol, limits: PixelLimits, resolutions: Collection[Resolution]) -> list[Finding]:
    """Whether calls of this protocol give back the right pixels, one finding over all resolutions.

    Args:
        protocol: how calls are written and crops are cut.
        limits: the engine's pixel limits.
        resolutions: at which the synthetic photograph is shown.
    """
    if not protocol.zooms:
        return [Finding(Level.OK, _WHAT, f"protocol {protocol.name} has no tool")]
    real = replace(protocol, crops=Crops.REAL, turn_patterns=(), zoom_tokens=None)
    native = photograph()
    wrong = [f"at {r.name}, {says}" for r in resolutions for says in _wrong(native, real, limits, r)]
    if wrong:
        says = f"{len(wrong)} zooms show other pixels than were asked for, the first: {wrong[0]}. Do not trust this protocol's scores"
        return [Finding(Level.FAILED, _WHAT, says)]
    count = len(resolutions) * (len(_targets(real)) + len(SQUARES) * _names_crops(real))
    return [Finding(Level.OK, _WHAT, f"{count} scripted zooms of {protocol.name} show what they point at")]


_WHAT = "coordinates"


@dataclass(frozen=True, slots=True)
class _Target:
    """The place that the scripted model points at."""

    square: Square
    box: Corners
    """The box it gives, px of the native image; may reach outside."""


def _targets(protocol: Protocol) -> list[_Target]:
    """Every square, and one of them in a box that reaches outside where the protocol takes such boxes."""
    targets = [_Target(square, square.corners) for square in SQUARES]
    if protocol.outside is not Outside.REFUSE and protocol.tool_kind is ToolKind.CROP:
        x1, y1, x2, y2 = SQUARES[0].corners
        targets.append(_Target(SQUARES[0], (x1 - 2 * _BEYOND, y1 - _BEYOND / 2, x2, y2)))
    return targets


_BEYOND = 56
"""px of the native image; twice as far as the first square stands from the edge."""


def _names_crops(protocol: Protocol) -> bool:
    """Whether calls may name an earlier crop."""
    return protocol.image_naming is not ImageNaming.NONE and protocol.tool_kind is ToolKind.CROP


def _wrong(native: Image.Image, protocol: Protocol, limits: PixelLimits, resolution: Resolution) -> Iterator[str]:
    """The errors of the crops at one resolution."""
    view = look(native, resolution, protocol, protocol.limits(limits))
    for target in _targets(protocol):
        square, inside = target.square, target.box == target.square.corners
        trajectory, crops = asyncio.run(_roll(protocol, view, limits, target))
        expected = 1 + (_names_crops(protocol) and inside)
        errors = [call.error for call in trajectory.calls if call.error]
        if trajectory.stop is not Stop.ANSWERED or len(crops) != expected:
            yield f"{len(crops)} of {expected} calls were executed ({errors[0] if errors else trajectory.error or trajectory.stop.value})"
            continue
        if not _stands_right(crops[0], target, protocol):
            yield f"a zoom on the square {square.corners} shows it in the wrong place"
        if len(crops) > 1 and not _alike(_middle(crops[1]), square.colour):
            yield f"the middle of a zoom on a zoom on the square {square.corners} has another colour"


async def _roll(protocol: Protocol, view: View, limits: PixelLimits, target: _Target) -> tuple[Trajectory, list[Image.Image]]:
    """A rollout of the scripted model, and the crops that it was shown."""
    model = _Pointer(protocol, view, limits, target)
    question = Question("0", "selftest", "", "", "What is the colour of the square?", (), "red")
    image = ImageRef("", view.native_size)
    about = Subject(question=question, image=image, view=view, shown_hash="photograph", key="selftest")
    trajectory = await rollout(about, model, protocol)
    return trajectory, model.crops


class _Pointer:
    """An `Engine` that points at a square, then at the middle of the crop it got, then answers."""

    context = 1 << 30
    max_images = 64

    def __init__(self, protocol: Protocol, view: View, limits: PixelLimits, target: _Target) -> None:
        self.limits = limits
        self.crops: list[Image.Image] = []
        self._protocol, self._view, self._target = protocol, view, target

    def text_tokens(self, text: str) -> int:
        """None worth counting."""
        return 0

    async def start(self) -> None:
        """Nothing to load."""

    async def close(self) -> None:
        """Nothing to release."""

    async def generate(self, request: Request) -> Response:
        """The next call, or the answer."""
        images = [part.image for part in request.images]
        turn = sum(message.role is Role.ASSISTANT for message in request.messages)
        self.crops = images[1:]
        if len(self.crops) < turn:
            raise EngineError("a call gave no image")
        visual = sum(part.visual_tokens for part in request.images)
        call = self._call(turn)
        native = self._protocol.native
        return Response(
            text=self._answer() if call is None else "" if native else self._protocol.call_text(*call),
            tool_calls=(self._protocol.tool_call(*call),) if native and call is not None else (),
            finish=Finish.STOP,
            prompt_tokens=0,
            cached_tokens=0,
            output_tokens=0,
            visual_tokens=visual,
            engine_s=0.0,
        )

    def _call(self, turn: int) -> tuple[Corners, int] | None:
        """The box of this turn's call, and the image that it lies on; None for a turn that answers."""
        x1, y1, x2, y2 = self._target.box
        if turn == 0:
            place = (x1 / NATIVE[0], y1 / NATIVE[1], x2 / NATIVE[0], y2 / NATIVE[1])
            return self._numbers(place, self._view.source.size, NATIVE), 0
        if turn == 1 and _names_crops(self._protocol) and self._target.box == self._target.square.corners:
            size = self.crops[0].size
            return self._numbers((0.25, 0.25, 0.75, 0.75), size, size), 1
        return None

    def _answer(self) -> str:
        boxed = self._protocol.answer_syntax in (AnswerSyntax.BOXED, AnswerSyntax.BOXED_OR_TAG)
        return r"\boxed{red}" if boxed else "<answer>red</answer>"

    def _numbers(self, place: Corners, shown: Size, native: Size) -> Corners:
        """A place (fractions of an image) in the protocol's numbers, worked out here without the code under test."""
        units = {BoxFrame.SHOWN: shown, BoxFrame.NATIVE: native, BoxFrame.MILLI: (1000, 1000)}
        width, height = units.get(self._protocol.frame, (1, 1))
        x1, y1, x2, y2 = place
        return x1 * width, y1 * height, x2 * width, y2 * height


def _stands_right(crop: Image.Image, target: _Target, protocol: Protocol) -> bool:
    """Whether the square's edges stand in the crop where widening, padding and the edges of the image put them."""
    x1, y1, x2, y2 = target.square.corners
    left, top, right, bottom = target.box
    across, down = _place((left, right), (x1, x2), NATIVE[0], protocol), _place((top, bottom), (y1, y2), NATIVE[1], protocol)
    middle_x, middle_y = int(sum(across) / 2 * crop.width), int(sum(down) / 2 * crop.height)
    row = crop.crop((0, middle_y, crop.width, middle_y + 1))
    column = crop.crop((middle_x, 0, middle_x + 1, crop.height))
    return _run_fits(_of_colour(row, target.square), *across) and _run_fits(_of_colour(column, target.square), *down)


def _place(box: tuple[float, float], square: tuple[float, float], size: int, protocol: Protocol) -> tuple[float, float]:
    """Where a square begins and ends along one axis of the crop of a box, as fractions of the crop."""
    if protocol.tool_kind is ToolKind.WHOLE:
        return square[0] / size, square[1] / size
    low, high = box
    clips = protocol.outside is not Outside.PAD
    if clips:
        low, high = max(0.0, low), min(float(size), high)
    grow = (high - low) * (protocol.widen - 1) / 2 + protocol.pad * size
    start, end = low - grow, high + grow
    if clips:
        start, end = max(0.0, start), min(float(size), end)
    return (square[0] - start) / (end - start), (square[1] - start) / (end - start)


def _run_fits(run: Sequence[bool], start: float, end: float) -> bool:
    """Whether the only run of the colour begins and ends about there."""
    if not any(run):
        return False
    first, last = run.index(True), len(run) - 1 - run[::-1].index(True)
    return abs(first / len(run) - start) <= _SLACK and abs((last + 1) / len(run) - end) <= _SLACK


def _middle(image: Image.Image) -> tuple[int, int, int]:
    red, green, blue = image.getpixel((image.width // 2, image.height // 2))  # type: ignore[misc]
    return red, green, blue


def _of_colour(line: Image.Image, square: Square) -> list[bool]:
    """Which pixels of an image of one row or one column have the square's colour."""
    samples = line.tobytes()
    return [_alike(samples[start : start + 3], square.colour) for start in range(0, len(samples), 3)]


def _alike(a: Iterable[int], b: Iterable[int]) -> bool:
    return all(abs(x - y) <= _TOLERANCE for x, y in zip(a, b, strict=True))
