"""The eight resolutions and any other, and what size an image really gets: target sizes and visual tokens.

A resolution R caps the shown image at R x R pixels, aspect kept, never upsampled (a protocol's `min_pixels` aside). The
effective cap is the smallest of R², the protocol's and the processor's; every row records it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache

from .errors import ImageError, UsageError

MAX_ASPECT = 200
"""Qwen's processors refuse images that are longer than this many times their short side."""


@dataclass(frozen=True, slots=True)
class Resolution:
    """One point of the sweep."""

    name: str
    """As used in task names: `224` … `2560`, `4k`, `native`, or any other side such as `512`."""
    side: int | None
    """Side of the square whose area caps the shown image, px; None for no cap."""

    @property
    def max_pixels(self) -> int | None:
        """Cap on the shown image's area, px²; None for no cap."""
        return None if self.side is None else self.side * self.side


SWEEP = tuple(Resolution("4k" if side == 3840 else str(side), side) for side in (224, 336, 448, 672, 1024, 1920, 2560, 3840))
"""The eight resolutions of the sweep (Chain-of-Focus, arXiv 2505.15436, the resolution figure)."""

NATIVE = Resolution("native", None)
"""The file's own size, capped only by the protocol and the processor."""

RESOLUTIONS = {r.name: r for r in (*SWEEP, NATIVE)}


SIDES = range(28, 16_384 + 1)
"""Sides that a resolution can have, px: from one visual token to more than any processor shows."""


def parse_resolution(name: str | int) -> Resolution:
    """The resolution called `name`: one of the sweep, `native`, or any side in `SIDES`; `3840` also means `4k`.

    Raises:
        UsageError: for any other name, listing the known ones.
    """
    text = str(name).strip().lower()
    known = RESOLUTIONS.get("4k" if text == "3840" else text)
    if known is not None:
        return known
    if text.isascii() and text.isdecimal() and len(text) <= 5 and int(text) in SIDES:
        return Resolution(str(int(text)), int(text))
    raise UsageError(
        f"unknown resolution {name!r}; known: {', '.join(RESOLUTIONS)}, or any side from {SIDES[0]} to {SIDES[-1]} pixels"
    )


@lru_cache(maxsize=1024)
def resolution_rank(name: str) -> tuple[float, str]:
    """Sorts resolutions by name: by side, then `native`; names that are none, as in a stock task's rows, come last."""
    try:
        side = parse_resolution(name).side
    except UsageError:
        return math.inf, name
    return (SIDES[-1] + 1 if side is None else side), name


def in_sweep_order(names: Iterable[str]) -> list[str]:
    """The distinct resolutions among `names`, the smallest first, `native` last."""
    return sorted(set(names), key=resolution_rank)


@dataclass(frozen=True, slots=True)
class PixelLimits:
    """What an image processor does to sizes: each side a multiple of `factor`, the area within [min, max]."""

    factor: int
    """Pixels a visual token spans along one side (patch size x merge size; 28 for Qwen2.5-VL)."""
    min_pixels: int
    """Smallest area, px²; smaller images are enlarged to it."""
    max_pixels: int
    """Largest area, px²; larger images are reduced to it."""
    floor: bool = False
    """Whether each side is at least one patch *before* the area is looked at, as in the resize that peers ship; transformers
    scales first, which gives thin images other sizes."""
    late_aspect: bool = False
    """Whether the ratio of the sides is looked at after the resize only."""
    counted: bool = False
    """Whether the processor resizes by rules of its own: visual tokens are then counted by the engine, not predicted."""

    def __post_init__(self) -> None:
        if self.factor <= 0 or not 0 < self.min_pixels <= self.max_pixels:
            raise UsageError(
                f"pixel limits factor={self.factor}, min_pixels={self.min_pixels}, max_pixels={self.max_pixels} "
                "cannot be met; expected factor > 0 and 0 < min_pixels <= max_pixels"
            )

    def within(self, *, min_pixels: int = 0, max_pixels: int | None = None) -> PixelLimits:
        """These limits tightened by others; where they contradict each other, the smaller maximum wins."""
        most = self.max_pixels if max_pixels is None else min(self.max_pixels, max_pixels)
        return replace(self, min_pixels=min(max(self.min_pixels, min_pixels), most), max_pixels=most)

    def tokens(self, size: tuple[int, int]) -> int:
        """Visual tokens predicted for an image of this size; 0 where they are only counted."""
        return 0 if self.counted else visual_tokens(size, self.factor)

    def area_tokens(self, area: int) -> int:
        """Visual tokens predicted for images of this area in all, px²; 0 where they are only counted."""
        return 0 if self.counted else area // self.factor**2


OWN_PROCESSOR = PixelLimits(factor=1, min_pixels=1, max_pixels=178_956_970, counted=True)
"""Of models whose processors have other rules than Qwen-VL's: they get images of any size (up to `images.MAX_PIXELS`)."""

COUNTED = "visual tokens counted, not predicted; the model's own processor resizes"
"""What a run, its report and doctor say of such a model."""


class FitBy(StrEnum):
    """What a resize before the processor's own keeps to."""

    PATCHES = "patches"
    """An area in [min_pixels, max_pixels], sides in whole patches (the `smart_resize` that peers ship)."""
    AREA = "area"
    """An area in [min_pixels, max_pixels], sides in whole pixels and of at least one patch (Mini-o3)."""
    SHORT_SIDE = "short_side"
    """A short side of at most `side` px (Qwen-Agent's client)."""
    SCALE = "scale"
    """Sides times `scale` (VisionThink and AdaptVision show a quarter of the area)."""


class Filter(StrEnum):
    """How pixels are interpolated."""

    NEAREST = "nearest"
    BILINEAR = "bilinear"
    BICUBIC = "bicubic"
    LANCZOS = "lanczos"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """A resize that a peer's own code does before the processor sees the image."""

    by: FitBy
    min_pixels: int = 1
    """Smallest area, px²."""
    max_pixels: int = 1 << 40
    """Largest area, px²."""
    side: int = 0
    """Largest short side, px."""
    scale: float = 1.0
    """What both sides are multiplied by."""
    filter: Filter = Filter.LANCZOS

    def __post_init__(self) -> None:
        fits = self.min_pixels > 0 and self.max_pixels >= self.min_pixels and self.scale > 0
        if not fits or (self.by is FitBy.SHORT_SIDE) != (self.side > 0):
            raise UsageError(
                f"the resize {self} cannot be done; expected 0 < min_pixels <= max_pixels, scale > 0, and a side for by=short_side only"
            )

    def size(self, width: float, height: float, factor: int, cap: int | None = None) -> tuple[int, int]:
        """(width, height) after this resize.

        Args:
            width: before it, px; not always whole: some peers work a crop's size out from the box as given.
            height: likewise.
            factor: pixels a patch spans along one side.
            cap: largest area that the resolution allows, px²; the minimum wins over it.

        Raises:
            ImageError: if the shape is one that the peer's code refuses.
        """
        most = max(self.min_pixels, min(self.max_pixels, cap)) if cap else self.max_pixels
        if self.by is FitBy.PATCHES:
            return smart_resize(width, height, PixelLimits(factor, self.min_pixels, most, floor=True))
        ratio = self.scale
        if self.by is FitBy.SHORT_SIDE:
            ratio = min(1.0, self.side / min(width, height))
        elif self.by is FitBy.AREA:
            area = width * height
            ratio = math.sqrt(min(max(area, self.min_pixels), most) / area)
        size = (int(width), int(height)) if ratio == 1 else (max(1, int(width * ratio)), max(1, int(height * ratio)))
        if self.by is FitBy.AREA and min(size) < factor:
            raise ImageError(f"an image of {size[0]}x{size[1]} px is thinner than a patch of {factor} px; crop or pad the file")
        return size


def smart_resize(width: float, height: float, limits: PixelLimits) -> tuple[int, int]:
    """(width, height) that a Qwen-VL processor gives an image of this size.

    Both sides become multiples of the factor and the area falls within the limits, the aspect kept as closely as that
    allows. Equal to `transformers`' `smart_resize` (Qwen2-VL image processing) for every size; a test holds it so.

    Raises:
        ImageError: if one side is more than 200 times the other, which the processors refuse.
    """
    if min(width, height) <= 0 or (min(width, height) < 1 and not limits.floor):
        raise ImageError(f"an image of {width:g}x{height:g} px has no content; both sides must be at least 1 px")
    if not limits.late_aspect and not limits.counted:
        _check_aspect(width, height)
    factor = limits.factor
    least = factor if limits.floor else 0
    new_w, new_h = max(least, round(width / factor) * factor), max(least, round(height / factor) * factor)
    if new_w * new_h > limits.max_pixels:
        shrink = math.sqrt(width * height / limits.max_pixels)
        new_w = max(factor, math.floor(width / shrink / factor) * factor)
        new_h = max(factor, math.floor(height / shrink / factor) * factor)
    elif new_w * new_h < limits.min_pixels:
        grow = math.sqrt(limits.min_pixels / (width * height))
        new_w = math.ceil(width * grow / factor) * factor
        new_h = math.ceil(height * grow / factor) * factor
    if limits.late_aspect and not limits.counted:
        _check_aspect(new_w, new_h)
    return new_w, new_h


def _check_aspect(width: float, height: float) -> None:
    if max(width, height) / min(width, height) > MAX_ASPECT:
        raise ImageError(
            f"an image of {width:g}x{height:g} px is more than {MAX_ASPECT} times as long as wide, which Qwen-VL processors "
            "refuse; crop or pad the file"
        )


def effective_cap(resolution: Resolution, limits: PixelLimits) -> int:
    """Largest area that a shown image can get at this resolution, px²: R² within the limits, whose minimum wins over it."""
    return max(limits.within(max_pixels=resolution.max_pixels).max_pixels, limits.min_pixels)


def loaded_size(native: tuple[int, int], resolution: Resolution, factor: int, fits: Sequence[Fit]) -> tuple[int, int]:
    """(width, height) of the first image after the resizes that come before the processor's."""
    size = native
    for fit in fits:
        size = fit.size(*size, factor, resolution.max_pixels)
    return size


def shown_size(
    native: tuple[int, int], resolution: Resolution, limits: PixelLimits, fits: Sequence[Fit] = ()
) -> tuple[int, int]:
    """(width, height) of the shown image; a processor with these limits leaves an image of this size alone.

    Args:
        native: (width, height) of the native image, px.
        resolution: the cap of this point of the sweep.
        limits: the protocol's limits within the processor's. Their minimum wins over the resolution's cap.
        fits: resizes before the processor's (`Protocol.shown_fits`).
    """
    loaded = loaded_size(native, resolution, limits.factor, fits)
    capped = smart_resize(*loaded, limits.within(max_pixels=resolution.max_pixels))
    return smart_resize(*capped, limits)


def visual_tokens(size: tuple[int, int], factor: int) -> int:
    """Visual tokens of an image whose sides are multiples of `factor`."""
    return (size[0] // factor) * (size[1] // factor)
