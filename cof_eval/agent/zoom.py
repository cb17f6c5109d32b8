"""The tool: a call becomes a crop, or a text that says what was wrong with it.

A box is read in the protocol's frame, over the shown image or the earlier crop that the call names, and becomes a region
(`region`) of the image that crops are cut from; the cut part is enlarged and resized as the protocol has it (Chain-of-Focus,
arXiv 2505.15436, and its released evaluation; other protocols widen and enlarge by 1).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import StrEnum

from PIL import Image

from ..core.errors import ImageError
from ..core.geometry import Box, Frame
from ..core.images import MAX_PIXELS, resize
from ..core.records import Corners
from ..core.resolution import MAX_ASPECT, Filter, Fit, PixelLimits, smart_resize
from .region import Edges, FlatBox, Outside, Region, RegionError, RegionRules, SmallBox, as_box, find_region
from .reply import RawCall, quoted
from .view import ImageNaming, View, numeral

__all__ = [
    "TOOL_NAME",
    "BadCall",
    "CropOfCrop",
    "CropSize",
    "CropSource",
    "Edges",
    "FlatBox",
    "ImageNaming",
    "Outside",
    "Refusal",
    "SmallBox",
    "ToolKind",
    "View",
    "ZoomResult",
    "ZoomRules",
    "crop_region",
    "cut",
    "zoom",
]  # fmt: skip

TOOL_NAME = "image_zoom_in_tool"
"""The name that Chain-of-Focus, DeepEyes and Qwen3-VL checkpoints were trained to call."""


class ToolKind(StrEnum):
    """What the tool gives."""

    CROP = "crop"
    """A crop at a box."""
    WHOLE = "whole"
    """The whole image that crops are cut from, on a call without a box (VisionThink)."""


class CropSource(StrEnum):
    """The image that a crop is cut from."""

    SHOWN = "shown"
    NATIVE = "native"


class CropOfCrop(StrEnum):
    """What a crop of an earlier crop is cut from."""

    SOURCE = "source"
    """The image that the earlier crop was cut from."""
    ENLARGED = "enlarged"
    """The earlier crop as it was resized (Pixel-Reasoner, Qwen-Agent)."""


class CropSize(StrEnum):
    """What a crop's size is worked out from."""

    CUT = "cut"
    """The whole pixels that were cut."""
    BOX = "box"
    """The box before its edges were rounded (DeepEyes, Qwen-Agent)."""


class BadCall(StrEnum):
    """What a call that cannot be executed gives the model."""

    TEXT = "text"
    """A text that says what was wrong."""
    WHOLE_IMAGE = "whole_image"
    """The whole image, without a word (a quirk of the released evaluation)."""
    ANSWER = "answer"
    """Nothing: the rollout ends, and the turn's whole text is its answer (DeepEyes' evaluation)."""


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
    """The box then grows on every side by this fraction of the image that it lies on."""
    min_side: int = 0
    """Smallest side of a region, px of the crop source."""
    small_box: SmallBox = SmallBox.REFUSE
    naming: ImageNaming = ImageNaming.NONE
    image_argument: str = ""
    """The argument that names the image, where `naming` is not `none`."""
    pixels_above: float | None = None
    """A box with a number above this is one of pixels, where fractions are expected; None: never."""
    kind: ToolKind = ToolKind.CROP
    any_tool: bool = False
    """Whether calls of other tools, and of none, are executed too."""
    box_argument: str = "bbox_2d"
    text_arguments: tuple[str, ...] = ()
    """Arguments that every call must give as text."""
    image_default: int | None = None
    """The image that a call without a name means, by index (0: the shown one); None: such a call is refused."""
    from_end: bool = False
    """Whether a negative image number counts from the last image."""
    quoted_numbers: bool = True
    """Whether numerals in quotes are numbers."""
    outside: Outside = Outside.REFUSE
    flat_box: FlatBox = FlatBox.REFUSE
    edges: Edges = Edges.TRUNCATE
    max_aspect: float = 0.0
    crop_of_crop: CropOfCrop = CropOfCrop.SOURCE
    size_from: CropSize = CropSize.CUT
    fits: tuple[Fit, ...] = ()
    """Resizes between enlarging and the processor's; a crop as the first of them leaves it is what later crops are cut from."""
    filter: Filter = Filter.LANCZOS

    @property
    def region(self) -> RegionRules:
        """Those that make a region of a box."""
        return RegionRules(
            outside=self.outside, flat=self.flat_box, widen=self.widen, pad=self.pad, min_side=self.min_side, small=self.small_box,
            edges=self.edges, max_aspect=self.max_aspect,
        )  # fmt: skip


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
    """Whether the model gets a text note instead of the crop."""
    enlarged: Image.Image | None = None
    """The crop before the processor resized it, where that is another image."""

    @property
    def source(self) -> Image.Image | None:
        """The crop as boxes on it mean it, and as later crops are cut from it."""
        return self.enlarged or self.image


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
        arguments = _arguments(call, rules)
        if rules.kind is ToolKind.WHOLE:
            source = view.native_frame if rules.source is CropSource.NATIVE else view.shown_frame
            return _cut(Region((0, 0, *source.size), (0, 0, *source.size)), None, None, view, rules)
        numbers = _numbers(arguments, rules)
        named = _named_image(arguments, view, rules)
        if rules.pixels_above is not None and any(n > rules.pixels_above for n in numbers):
            frame = view.shown_frame
        frame = frame.within(view.seen[named - 1].frame) if named else frame
        box = _as_given(numbers, frame)
        return _cut(_region(numbers, frame, named, view, rules), box, named, view, rules)
    except Refusal as refusal:
        return _refused(refusal, box, view, rules)


def _arguments(call: RawCall, rules: ZoomRules) -> dict[str, object]:
    if call.error is not None:
        raise Refusal(f"Invalid tool call: {call.error}.", enlarge_whole=not call.parsed)
    if call.name != rules.tool and not rules.any_tool:
        raise Refusal(f"Unknown tool {quoted(call.name)}: the only tool is {rules.tool}.")
    arguments = call.arguments or {}
    for name in rules.text_arguments:
        if not isinstance(arguments.get(name), str):
            raise Refusal(f'Invalid tool call: the argument "{name}" is missing or no text.')
    return arguments


def _numbers(arguments: dict[str, object], rules: ZoomRules) -> Corners:
    if rules.box_argument not in arguments:
        raise Refusal(f'Invalid bounding box: the argument "{rules.box_argument}" is missing.', enlarge_whole=False)
    given = arguments[rules.box_argument]
    if not isinstance(given, list) or len(given) != 4:
        got = f"{len(given)} values" if isinstance(given, list) else quoted(given)
        raise Refusal(f"Invalid bounding box: expected 4 numbers [x1, y1, x2, y2], got {got}.", enlarge_whole=False)
    numbers = [numeral(value, quotes=rules.quoted_numbers) for value in given]
    found = [number for number in numbers if number is not None]
    if len(found) != 4:
        raise Refusal(f"Invalid bounding box: {quoted(given)} are not all numbers.")
    if not all(math.isfinite(number) for number in found):
        raise Refusal(f"Invalid bounding box: {quoted(given)} are not all finite numbers.")
    x1, y1, x2, y2 = found
    return x1, y1, x2, y2


def _as_given(numbers: Corners, frame: Frame) -> Box | None:
    """The box for the record; None if it is none."""
    x1, y1, x2, y2 = numbers
    return Box(x1, y1, x2, y2, frame) if x1 < x2 and y1 < y2 else None


def _named_image(arguments: dict[str, object], view: View, rules: ZoomRules) -> int:
    """The index of the image that the box lies on; 0 for the shown image."""
    if rules.naming is ImageNaming.NONE:
        return 0
    key, count = rules.image_argument, len(view.seen) + 1
    if key not in arguments:
        if rules.image_default is None:
            raise Refusal(f'Invalid tool call: the argument "{key}" is missing; it names the image to zoom in on.')
        return min(rules.image_default, count - 1)
    index = rules.naming.index_of(arguments[key], count, from_end=rules.from_end)
    if index is None:
        known = ", ".join(str(rules.naming.name_of(i)) for i in range(count))
        raise Refusal(f'Invalid "{key}" {quoted(arguments[key])}: there are only {known}.')
    return index


def _region(numbers: Corners, frame: Frame, named: int, view: View, rules: ZoomRules) -> Region:
    """The part to cut of the image that the crop comes from."""
    try:
        if not named or rules.crop_of_crop is CropOfCrop.ENLARGED:
            size = view.seen[named - 1].frame.size if named else _source_frame(view, rules).size
            return find_region(numbers, frame, size, rules.region)
        whole = view.seen[named - 1].region.to(_source_frame(view, rules))
        part = find_region(numbers, frame, (_tidy(whole.width), _tidy(whole.height)), rules.region)
    except RegionError as error:
        raise Refusal(str(error), enlarge_whole=not error.thin) from None
    left, top = _tidy(whole.x1), _tidy(whole.y1)
    x1, y1, x2, y2 = part.exact
    moved = (x1 + left, y1 + top, x2 + left, y2 + top)
    a, b, c, d = part.pixels
    dx, dy = int(left + 1e-6), int(top + 1e-6)
    return Region((a + dx, b + dy, c + dx, d + dy), moved)


def _tidy(value: float) -> float:
    """A whole number where a conversion's rounding error hides one."""
    return float(round(value)) if abs(value - round(value)) < 1e-6 else value


def _source_frame(view: View, rules: ZoomRules) -> Frame:
    return view.shown_frame if rules.source is CropSource.SHOWN else view.native_frame


def crop_region(box: Box, view: View, rules: ZoomRules) -> Box:
    """The part of the crop source to cut for a box on the shown image, in whole pixels of it.

    Raises:
        Refusal: if nothing of the image, or too little of it, is inside.
    """
    return as_box(_region(box.corners, box.frame, 0, view, rules), _source_frame(view, rules))


def _cut(region: Region, box: Box | None, named: int | None, view: View, rules: ZoomRules) -> ZoomResult:
    """The crop of a region of the crop source, or of an earlier crop."""
    earlier = view.seen[named - 1] if named and rules.crop_of_crop is CropOfCrop.ENLARGED else None
    image = earlier.image if earlier else view.source if rules.source is CropSource.SHOWN else view.native
    if image is None:
        raise ValueError("crops are cut from an image that the view does not hold")
    x1, y1, x2, y2 = region.pixels
    width, height = x2 - x1, y2 - y1
    thin = max(width, height) > MAX_ASPECT * max(1, min(width, height)) and not rules.limits.late_aspect
    if thin or max(width, height) > MAX_PIXELS or width * height > MAX_PIXELS:
        raise _too_thin(width, height)
    exact = region.exact if rules.size_from is CropSize.BOX else (x1, y1, x2, y2)
    enlarged, crop = _resized(image.crop(region.pixels), (exact[2] - exact[0], exact[3] - exact[1]), rules)
    shows = as_box(region, earlier.frame if earlier else _source_frame(view, rules)).to(view.native_frame)
    return ZoomResult(box, crop, shows, enlarged=None if enlarged is crop else enlarged)


def cut(region: Box, view: View, rules: ZoomRules) -> ZoomResult:
    """A region of the crop source, as the model gets to see it.

    Raises:
        Refusal: if it is too thin to show.
    """
    x1, y1, x2, y2 = region.corners
    return _cut(Region((int(x1), int(y1), int(x2), int(y2)), region.corners), None, None, view, rules)


def _resized(image: Image.Image, size: tuple[float, float], rules: ZoomRules) -> tuple[Image.Image, Image.Image]:
    """(the crop as later crops are cut from it, the crop as the model sees it).

    Args:
        image: what was cut.
        size: (width, height) that its final size is worked out from, px.
        rules: how.
    """
    width, height = size if rules.enlarge == 1 else (int(size[0] * rules.enlarge), int(size[1] * rules.enlarge))
    factor, enlarged = rules.limits.factor, None
    try:
        for fit in rules.fits:
            width, height = fit.size(width, height, factor)
            image = resize(image, (int(width), int(height)), fit.filter)
            enlarged = enlarged or image
        shown = resize(image, smart_resize(width, height, rules.limits), rules.filter)
    except ImageError:
        raise _too_thin(image.width, image.height) from None
    return enlarged or shown, shown


def _too_thin(width: int, height: int) -> Refusal:
    says = f"Invalid bounding box: a region of {width} x {height} pixels is too thin to show."
    return Refusal(says, enlarge_whole=False)


def _refused(refusal: Refusal, box: Box | None, view: View, rules: ZoomRules) -> ZoomResult:
    if rules.bad_call is not BadCall.WHOLE_IMAGE:
        return ZoomResult(box, error=str(refusal))
    whole = Box(0, 0, *view.native_size, view.native_frame)
    plain_rules = replace(rules, enlarge=rules.enlarge if refusal.enlarge_whole else 1.0)
    _, image = _resized(view.shown, view.shown.size, plain_rules)
    return ZoomResult(box, image, whole, str(refusal))
