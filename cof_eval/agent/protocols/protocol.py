"""A protocol fixes everything between a question and a score that is not the model: prompts, frames, limits, decoding.

Prompt strings that checkpoints were trained with are interfaces: every character counts, and each names its source. A
number that changes a score stands here, is written to `run.yaml`, and is printed in the report.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from ...core.errors import UsageError
from ...core.geometry import Frame
from ...core.option_order import find_layout
from ...core.records import Corners
from ...core.resolution import PixelLimits
from ..reply import SYNTAXES, AnswerSyntax, CallSyntax
from ..zoom import TOOL_NAME, BadCall, CropSource, ImageNaming, SmallBox, View, ZoomRules


class BoxFrame(StrEnum):
    """What a call's numbers are relative to."""

    SHOWN = "shown"
    NATIVE = "native"
    UNIT = "unit"
    """Shares, 0-1."""
    UNIT_OR_PIXELS = "unit_or_pixels"
    """Shares; a box with a number above 1 is one of pixels (Pixel-Reasoner's tool)."""
    MILLI = "milli"
    """Thousandths, 0-1000."""


class CallsPerTurn(StrEnum):
    """Which calls of one turn are executed."""

    ALL = "all"
    FIRST = "first"
    LAST = "last"


class Precedence(StrEnum):
    """What counts when a turn holds both a call and an answer."""

    ANSWER = "answer"
    CALL = "call"


class Crops(StrEnum):
    """What a zoom gives the model; all but `real` are counterfactual: they show whether zooming itself helps."""

    REAL = "real"
    """What it asked for."""
    WITHHELD = "withheld"
    """The call is acknowledged, without an image."""
    BLANK = "blank"
    """A grey image of the crop's size."""
    RANDOM = "random"
    """A region of the same size elsewhere; which one is drawn from the run's seed, for every trajectory anew."""
    ORACLE = "oracle"
    """The next annotated box of the question, whatever was asked for; a question without boxes stays unscored."""


IMAGE = "<image>"
"""Where the crop stands in `Protocol.crop_turn`."""

FORCED_ANSWER = "<think>[a-z ]{8,24}</think> <answer>[A-D]</answer>"
"""A reply that answers, for protocols that walk the loop with an untrained model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """How a model is asked, what it may do, and how its text is read."""

    name: str
    system: str
    """The system message; there is none where it is empty."""
    question: str = "{question}"
    """The first user message after the image. `{question}` is the question's whole text, `{stem}` what stands before its
    options, `{options}` the options, one `option` a line; `{format}` is filled in too."""
    open_question: str = ""
    """The same for questions without options; where empty, `question` serves both."""
    option: str = "{letter}. {text}"
    """One option of `{options}`."""
    format: str = ""
    """The instruction that closes the question and follows every crop."""
    crop_turn: str = IMAGE
    """What the model gets for a zoom: text around `<image>`. `{format}`, `{action}` (turns so far), `{observation}` (the
    crop's number), `{width}` and `{height}` of the crop are filled in."""
    error_turn: str = "{error}"
    """What it gets for a call that cannot be executed."""
    between: str = ""
    """Stands between the results of several calls of one turn."""
    closing: str = "{format}"
    """Follows the results of a turn if one of them is an image."""
    call_syntax: CallSyntax = CallSyntax.TOOL_CALL
    answer_syntax: AnswerSyntax = AnswerSyntax.TAG
    precedence: Precedence = Precedence.ANSWER
    calls_per_turn: CallsPerTurn = CallsPerTurn.ALL
    bad_call: BadCall = BadCall.TEXT
    tool: str = TOOL_NAME
    """The tool's name."""
    image_naming: ImageNaming = ImageNaming.NONE
    """How a call names the image that its box lies on: the shown one or an earlier crop."""
    image_argument: str = ""
    """The argument that does."""
    frame: BoxFrame = BoxFrame.SHOWN
    crop_source: CropSource = CropSource.SHOWN
    crops: Crops = Crops.REAL
    widen: float = 1.5
    """A box grows by this factor about its centre before it is cut."""
    pad: float = 0.0
    """Then on every side by this share of the image that it lies on."""
    min_side: int = 0
    """Smallest side of a crop before it is enlarged, px of the crop source."""
    small_box: SmallBox = SmallBox.REFUSE
    """What becomes of a smaller one."""
    enlarge: float = 2.0
    """A crop's sides grow by this factor."""
    factor: int | None = None
    """Pixels a visual token spans in the checkpoints that the protocol is made for; others are warned about."""
    min_pixels: int = 112 * 112
    """Smallest area of any image shown, px²."""
    max_pixels: int = 3840 * 3840
    """Largest area of any image shown, px²."""
    crop_min_pixels: int = 0
    """Smallest area of a crop, px², where it is more than `min_pixels`."""
    max_turns: int = 6
    """Generations in one rollout."""
    max_images: int = 6
    """Images in one conversation, the shown image included."""
    max_new_tokens: int = 512
    """Tokens of one turn."""
    context: int = 32_768
    """Tokens of the whole conversation; a smaller context of the engine wins."""
    temperature: float = 0.0
    top_p: float = 1.0
    repetition_penalty: float = 1.0
    """Always sent: a server would else take the checkpoint's own (1.05 for Qwen2.5-VL), which the released evaluation did not."""
    turn_patterns: tuple[str, ...] = ()
    """Regular expressions that constrain the text of turn 0, 1, … (the last one repeats): plumbing tests only."""

    def __post_init__(self) -> None:
        for name in ("max_turns", "max_images", "max_new_tokens", "context", "widen", "enlarge"):
            if getattr(self, name) <= 0:
                raise UsageError(f"protocol {self.name!r}: {name}={getattr(self, name)} must be positive")
        for name in ("temperature", "pad", "min_side", "crop_min_pixels"):
            if getattr(self, name) < 0:
                raise UsageError(f"protocol {self.name!r}: {name}={getattr(self, name)} must not be negative")
        if self.crop_turn.count(IMAGE) != 1:
            raise UsageError(
                f"protocol {self.name!r}: crop_turn={self.crop_turn!r} must hold {IMAGE} once, where the crop stands"
            )
        if (self.image_naming is ImageNaming.NONE) != (self.image_argument == ""):
            raise UsageError(
                f"protocol {self.name!r}: image_naming={self.image_naming.value} and image_argument={self.image_argument!r} go together: "
                "a call either names its image in an argument or not at all"
            )

    @property
    def zooms(self) -> bool:
        """Whether there is a tool."""
        return self.call_syntax is not CallSyntax.NONE

    def prompt(self, question: str, options: Sequence[str] = ()) -> str:
        """The first user message's text.

        Args:
            question: the question's whole text.
            options: its options, as they stand in it.
        """
        layout = find_layout(question, options)
        if layout is None:  # no options, or none that can be told from the rest of the text
            template = self.open_question or self.question
            return fill(template, question=question, stem=question, options="", format=self.format)
        lines = (fill(self.option, letter=chr(ord("A") + i), text=text) for i, text in enumerate(options))
        return fill(self.question, question=question, stem=layout.stem, options="\n".join(lines), format=self.format)

    def limits(self, engine: PixelLimits) -> PixelLimits:
        """The protocol's pixel limits within the engine's."""
        return engine.within(min_pixels=self.min_pixels, max_pixels=self.max_pixels)

    def zoom_rules(self, limits: PixelLimits) -> ZoomRules:
        """How a box becomes a crop under these limits."""
        return ZoomRules(
            self.crop_source,
            self.widen,
            self.enlarge,
            limits.within(min_pixels=self.crop_min_pixels),
            self.bad_call,
            tool=self.tool,
            pad=self.pad,
            min_side=self.min_side,
            small_box=self.small_box,
            naming=self.image_naming,
            image_argument=self.image_argument,
            pixels_beyond_unit=self.frame is BoxFrame.UNIT_OR_PIXELS,
        )

    def box_frame(self, view: View) -> Frame:
        """The frame that boxes over this view are given in."""
        return {
            BoxFrame.SHOWN: view.shown_frame,
            BoxFrame.NATIVE: view.native_frame,
            BoxFrame.UNIT: Frame.unit(),
            BoxFrame.UNIT_OR_PIXELS: Frame.unit(),
            BoxFrame.MILLI: Frame.milli(),
        }[self.frame]

    def call_text(self, corners: Corners, image: int = 0) -> str:
        """A call as a checkpoint of this protocol writes it.

        Args:
            corners: in the protocol's frame.
            image: the image it lies on: 0 for the shown one, k for the k-th crop.
        """
        arguments: dict[str, object] = {"bbox_2d": list(corners)}
        if self.image_argument:
            arguments[self.image_argument] = self.image_naming.name_of(image)
        return SYNTAXES[self.call_syntax].write(self.tool, arguments)

    def turn_pattern(self, turn: int) -> str | None:
        """The pattern that constrains this turn (0-based), if any."""
        return self.turn_patterns[min(turn, len(self.turn_patterns) - 1)] if self.turn_patterns else None


def fill(template: str, **values: object) -> str:
    """A template with its `{name}`s filled in; what the values hold is left as it is."""
    return re.sub(r"\{(\w+)\}", lambda found: str(values.get(found[1], found[0])), template)


def check_repeats(protocol: Protocol, repeats: int) -> None:
    """Refuse repeats that would all be the same.

    Raises:
        UsageError: if the protocol does not sample.
    """
    if repeats > 1 and protocol.temperature == 0:
        raise UsageError(
            f"{repeats} repeats under protocol {protocol.name!r} would all be the same: it decodes at temperature 0. Ask once, or "
            "sample with --protocol-args '{\"temperature\": 0.7}'"
        )
