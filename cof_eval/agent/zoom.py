"""The tool: a call becomes a crop, or a text that says what was wrong with it.

A box is read in the protocol's frame, over the shown image or the earlier crop that the call names, widened about its
centre, clipped, cut from the crop source with its edges truncated to whole pixels, and enlarged (Chain-of-Focus, arXiv
2505.15436, and its released evaluation; other protocols widen and enlarge by 1).
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from enum import StrEnum

from PIL import Image

from ..core.errors import ImageError
from ..core.geometry import Box, Frame
from ..core.images import resize
from ..core.resolution import PixelLimits, smart_resize
from .reply import RawCall, quoted

TOOL_NAME = "image_zoom_in_tool"
"""The name that Chain-of-Focus, DeepEyes and Qwen3-VL checkpoints were trained to call."""


_ROUNDING = 1e-6
"""px; keeps a conversion's rounding error from truncating an edge to the pixel before."""


class CropSource(StrEnum):
    """The image that a crop is cut from."""

    SHOWN = "shown"
    NATIVE = "native"


class BadCall(StrEnum):
    """What a call that cannot be executed gives the model."""

    TEXT = "text"
    """A text that says what was wrong."""
    WHOLE_IMAGE = "whole_image"
    """The whole image, without a word (a quirk of the released evaluation)."""


class SmallBox(StrEnum):
    """What becomes of a box whose region has a side of less than `min_side` pixels."""

    REFUSE = "refuse"
    GROW = "grow"
    """It grows about its centre, its aspect kept, until its short side has them (Qwen-Agent)."""


class ImageNaming(StrEnum):
    """How a call names the image that its box lies on."""

    NONE = "none"
    """It does not: always the shown image."""
    OBSERVATION = "observation"
    """`original_image`, `observation_1`, … (Mini-o3)."""
    FROM_ZERO = "from_zero"
    """A number: 0 is the shown image (Qwen3-VL)."""
    FROM_ONE = "from_one"
    """A number: 1 is the shown image (Pixel-Reasoner)."""

    def name_of(self, index: int) -> str | int:
        """What the image with this index (0: the shown one) is called."""
        if self is ImageNaming.OBSERVATION:
            return f"observation_{index}" if index else "original_image"
        return index + (self is ImageNaming.FROM_ONE)

    def index_of(self, name: object) -> int | None:
        """The index of the image that a call names; None if that is no such name."""
        if self is ImageNaming.OBSERVATION:
            match = re.fullmatch(r"original_image|observation_(\d{1,4})", name) if isinstance(name, str) else None
            return int(match[1] or 0) if match else None
        number = _number(name)
        return int(number) - (self is ImageNaming.FROM_ONE) if number is not None and number.is_integer() else None


@dataclass(frozen=True, slots=True)
class View:
    """What one rollout can look at."""

    shown: Image.Image
    native_size: tuple[int, int]
    native: Image.Image | None = None
    """Held only where crops are cut from it."""
    crops: tuple[Frame, ...] = ()
    """Pixels of the crops so far, in order, each over the part of the photograph that it shows."""

    @property
    def shown_frame(self) -> Frame:
        """Pixels of the shown image."""
        return Frame.shown(*self.shown.size)

    @property
    def native_frame(self) -> Frame:
        """Pixels of the native image."""
        return Frame.native(*self.native_size)

    def with_crop(self, size: tuple[int, int], native_box: Box) -> View:
        """The view after a crop of this size (px), which shows this part of the native image."""
        x1, y1, x2, y2 = native_box.to(Frame.unit()).corners
        crop = Frame(f"crop[{len(self.crops) + 1}]", *size, (x1, y1, x2, y2))
        return replace(self, crops=(*self.crops, crop))


@dataclass(frozen=True, slots=True)
class ZoomRules:
    """How a box becomes a crop."""

    source: CropSource
    widen: float
    """The box grows by this factor about its centre."""
    enlarge: float
    """The crop's sides grow by this factor, within `limits`."""
    limits: PixelLimits
    bad_call: BadCall = BadCall.TEXT
    tool: str = TOOL_NAME
    pad: float = 0.0
    """The box then grows on every side by this share of the image that it lies on."""
    min_side: int = 0
    """Smallest side of a region, px of the crop source."""
    small_box: SmallBox = SmallBox.REFUSE
    naming: ImageNaming = ImageNaming.NONE
    image_argument: str = ""
    """The argument that names the image, where `naming` is not `none`."""
    pixels_beyond_unit: bool = False
    """Whether a box with a number above 1, where shares (0-1) are expected, is one of pixels (Pixel-Reasoner)."""


@dataclass(frozen=True, slots=True)
class ZoomResult:
    """What a call gave: an image, an error text, or (by quirk) both."""

    box: Box | None
    """The box as the model gave it; None if it could not be read."""
    image: Image.Image | None = None
    native_box: Box | None = None
    """What the image shows."""
    error: str | None = None
    withheld: bool = False
    """Whether the model is to be told of the image instead of shown it."""


class Refusal(Exception):
    """A call that cannot be executed, with the text for the model."""

    def __init__(self, text: str, *, enlarge_whole: bool = True) -> None:
        super().__init__(text)
        self.enlarge_whole = enlarge_whole


def zoom(call: RawCall, view: View, frame: Frame, rules: ZoomRules) -> ZoomResult:
    """Execute one call on a view.

    Args:
        call: as parsed from the model's text.
        view: the images at hand.
        frame: what the box's numbers are relative to where it lies on the shown image; where it lies on an earlier crop,
            the same over that crop.
        rules: how a box becomes a crop.

    Returns:
        A crop, or an error text for the model. Never raises for anything that a model can write.
    """
    box = None
    try:
        box = _read_box(call, view, frame, rules)
        region = crop_region(box, view, rules)
        return ZoomResult(box, cut(region, view, rules), region.to(view.native_frame))
    except Refusal as refusal:
        return _refused(refusal, box, view, rules)


def _read_box(call: RawCall, view: View, frame: Frame, rules: ZoomRules) -> Box:
    if call.error is not None:
        raise Refusal(f"Invalid tool call: {call.error}.")
    if call.name != rules.tool:
        raise Refusal(f"Unknown tool {quoted(call.name)}: the only tool is {rules.tool}.")
    arguments = call.arguments or {}
    if "bbox_2d" not in arguments:
        raise Refusal('Invalid bounding box: the argument "bbox_2d" is missing.', enlarge_whole=False)
    given = arguments["bbox_2d"]
    if not isinstance(given, list) or len(given) != 4:
        got = f"{len(given)} values" if isinstance(given, list) else quoted(given)
        raise Refusal(f"Invalid bounding box: expected 4 numbers [x1, y1, x2, y2], got {got}.", enlarge_whole=False)
    part = _named_image(arguments, view, rules)
    numbers = [_number(value) for value in given]
    found = [n for n in numbers if n is not None]
    if rules.pixels_beyond_unit and any(n > 1 for n in found):
        frame = view.shown_frame
    return _checked(found, given, frame.within(part) if part else frame)


def _named_image(arguments: dict[str, object], view: View, rules: ZoomRules) -> Frame | None:
    """The earlier crop that the box lies on; None for the shown image."""
    if rules.naming is ImageNaming.NONE:
        return None
    key = rules.image_argument
    if key not in arguments:
        raise Refusal(f'Invalid tool call: the argument "{key}" is missing; it names the image to zoom in on.')
    index = rules.naming.index_of(arguments[key])
    if index is None or not 0 <= index <= len(view.crops):
        known = ", ".join(str(rules.naming.name_of(i)) for i in range(len(view.crops) + 1))
        raise Refusal(f'Invalid "{key}" {quoted(arguments[key])}: there are only {known}.')
    return view.crops[index - 1] if index else None


_NUMERAL = re.compile(r"[+-]?\d{1,12}(\.\d{0,12})?")


def _number(value: object) -> float | None:
    """A finite number from a JSON number or a numeral in quotes; None for anything else."""
    if isinstance(value, str) and _NUMERAL.fullmatch(value.strip()):
        return float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) < 1e15 else math.inf


def _checked(numbers: list[float], given: list[object], frame: Frame) -> Box:
    if len(numbers) != 4:
        raise Refusal(f"Invalid bounding box: {quoted(given)} are not all numbers.")
    if not all(math.isfinite(n) for n in numbers):
        raise Refusal(f"Invalid bounding box: {quoted(given)} are not all finite numbers.")
    x1, y1, x2, y2 = numbers
    inside = 0 <= x1 <= frame.width and 0 <= y1 <= frame.height and 0 <= x2 <= frame.width and 0 <= y2 <= frame.height
    if not inside:
        raise Refusal(
            f"Invalid bounding box: {_plain(numbers)} reaches outside the image; expected 0 <= x1 < x2 <= {frame.width:g} "
            f"and 0 <= y1 < y2 <= {frame.height:g}."
        )
    if x2 <= x1 or y2 <= y1:
        raise Refusal(f"Invalid bounding box: {_plain(numbers)} is empty or inverted; expected x1 < x2 and y1 < y2.")
    return Box(x1, y1, x2, y2, frame)


def _plain(numbers: list[float]) -> str:
    return "[" + ", ".join(f"{n:g}" for n in numbers) + "]"


def crop_region(box: Box, view: View, rules: ZoomRules) -> Box:
    """The part of the crop source to cut for a box, in whole pixels of it.

    Raises:
        Refusal: if nothing of the image, or too little of it, is inside.
    """
    source = view.shown_frame if rules.source is CropSource.SHOWN else view.native_frame
    wide = box.widened(rules.widen).padded(rules.pad).clipped()
    if wide is None:
        raise Refusal(f"Invalid bounding box: {_plain(list(box.corners))} is too small; nothing of the image is inside.")
    grown = _grown(wide.to(source), rules)
    x1, y1, x2, y2 = (int(v + _ROUNDING) for v in grown.corners)
    x2, y2 = min(x2, int(source.width)), min(y2, int(source.height))
    if x1 >= x2 or y1 >= y2:
        raise Refusal(f"Invalid bounding box: {_plain(list(box.corners))} is too small; it covers less than one pixel.")
    if min(x2 - x1, y2 - y1) < rules.min_side and rules.small_box is SmallBox.REFUSE:
        raise Refusal(
            f"Invalid bounding box: {_plain(list(box.corners))} is too small; it covers {x2 - x1} x {y2 - y1} pixels, at least "
            f"{rules.min_side} x {rules.min_side} are needed."
        )
    return Box(x1, y1, x2, y2, source)


def _grown(region: Box, rules: ZoomRules) -> Box:
    """A region too small for the rules, grown where they say so and as far as the image allows."""
    short = min(region.width, region.height)
    if rules.small_box is not SmallBox.GROW or short >= rules.min_side:
        return region
    return region.widened(rules.min_side / short).clipped() or region


def cut(region: Box, view: View, rules: ZoomRules) -> Image.Image:
    """A region of the crop source, as the model gets to see it.

    Raises:
        Refusal: if it is too thin to show.
    """
    source = view.shown if rules.source is CropSource.SHOWN else view.native
    if source is None:
        raise ValueError("crops are cut from the native image, but the view does not hold it")
    x1, y1, x2, y2 = (int(v) for v in region.corners)
    return _enlarged(source.crop((x1, y1, x2, y2)), rules.enlarge, rules.limits)


def _enlarged(image: Image.Image, factor: float, limits: PixelLimits) -> Image.Image:
    width, height = int(image.width * factor), int(image.height * factor)
    try:
        return resize(image, smart_resize(width, height, limits))
    except ImageError:
        raise Refusal(f"Invalid bounding box: a region of {image.width} x {image.height} pixels is too thin to show.") from None


def _refused(refusal: Refusal, box: Box | None, view: View, rules: ZoomRules) -> ZoomResult:
    if rules.bad_call is BadCall.TEXT:
        return ZoomResult(box, error=str(refusal))
    whole = Box(0, 0, *view.native_size, view.native_frame)
    factor = rules.enlarge if refusal.enlarge_whole else 1.0
    return ZoomResult(box, _enlarged(view.shown, factor, rules.limits), whole, str(refusal))
