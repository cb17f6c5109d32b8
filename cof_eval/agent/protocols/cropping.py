"""What a protocol shows: the sizes of images, the frame of boxes, and how a box becomes a crop."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from ...core.errors import UsageError
from ...core.geometry import Frame
from ...core.resolution import Filter, Fit, PixelLimits
from ..region import Edges, FlatBox, Outside, SmallBox
from ..view import View
from ..zoom import CropOfCrop, CropSize, CropSource


class BoxFrame(StrEnum):
    """What a call's numbers are relative to."""

    SHOWN = "shown"
    NATIVE = "native"
    UNIT = "unit"
    """Fractions, 0-1."""
    UNIT_OR_PIXELS = "unit_or_pixels"
    """Fractions; a box with a number above 1 is one of pixels."""
    BELOW_ONE_OR_PIXELS = "below_one_or_pixels"
    """Fractions if all numbers are below 1, else pixels: a 1 makes the box one of pixels (Pixel-Reasoner's tool)."""
    MILLI = "milli"
    """0-1000."""


_PIXELS_ABOVE = {BoxFrame.UNIT_OR_PIXELS: 1.0, BoxFrame.BELOW_ONE_OR_PIXELS: 1.0 - 2**-53}


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


@dataclass(frozen=True, kw_only=True)
class Cropping:
    """The settings by which images are shown and cut."""

    frame: BoxFrame = BoxFrame.SHOWN
    """What a box's numbers are relative to."""
    crop_source: CropSource = CropSource.SHOWN
    """The image that crops are cut from."""
    crops: Crops = Crops.REAL
    """What a zoom gives the model."""
    widen: float = 1.5
    """A box grows by this factor about its centre before it is cut."""
    pad: float = 0.0
    """Then on every side by this fraction of the image that it lies on."""
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
    outside: Outside = Outside.REFUSE
    """What becomes of a box that reaches outside its image."""
    flat_box: FlatBox = FlatBox.REFUSE
    """What becomes of a box without area."""
    edges: Edges = Edges.TRUNCATE
    """How a fractional edge becomes a whole pixel."""
    max_aspect: float = 0.0
    """Largest ratio of a region's sides, where it is less than the processor's 200; 0 for no limit of its own."""
    crop_of_crop: CropOfCrop = CropOfCrop.SOURCE
    """What a crop of an earlier crop is cut from."""
    crop_size_from: CropSize = CropSize.CUT
    """What a crop's size is worked out from."""
    size_floor: bool = False
    """Whether each side of a crop is at least one patch *before* its area is looked at: the resize that peers ship."""
    shown_size_floor: bool = False
    """The same for the first image."""
    late_aspect: bool = False
    """Whether the processor's 200:1 is checked after the resizes only that look at `size_floor` (DeepEyes)."""
    shown_filter: Filter = Filter.LANCZOS
    """Interpolation of the first image."""
    crop_filter: Filter = Filter.LANCZOS
    """Interpolation of crops."""
    shown_fits: tuple[Fit, ...] = ()
    """Resizes of the first image before the processor's own; crops are cut from what they give, if not from the native image."""
    crop_fits: tuple[Fit, ...] = ()
    """Resizes of a crop before the processor's own."""

    def __post_init__(self) -> None:
        if not 0 < self.min_pixels <= self.max_pixels:
            raise UsageError(
                f"min_pixels={self.min_pixels}, max_pixels={self.max_pixels}: expected 0 < min_pixels <= max_pixels"
            )
        if self.max_aspect and self.max_aspect < 1:
            raise UsageError(f"max_aspect={self.max_aspect} must be at least 1, or 0 for no limit")

    def limits(self, engine: PixelLimits) -> PixelLimits:
        """The pixel limits of the first image within the engine's."""
        within = engine.within(min_pixels=self.min_pixels, max_pixels=self.max_pixels)
        return replace(within, floor=self.shown_size_floor, late_aspect=self.shown_size_floor and self.late_aspect)

    def crop_limits(self, limits: PixelLimits) -> PixelLimits:
        """The pixel limits of crops, from those of the first image."""
        within = limits.within(min_pixels=self.crop_min_pixels)
        return replace(within, floor=self.size_floor, late_aspect=self.size_floor and self.late_aspect)

    @property
    def pixels_above(self) -> float | None:
        """A box with a number above this is one of pixels; None: never."""
        return _PIXELS_ABOVE.get(self.frame)

    def box_frame(self, view: View) -> Frame:
        """The frame that boxes over this view are given in."""
        fixed = {BoxFrame.SHOWN: view.shown_frame, BoxFrame.NATIVE: view.native_frame, BoxFrame.MILLI: Frame.milli()}
        return fixed.get(self.frame, Frame.unit())
