"""The eight resolutions, and what size an image really gets: target sizes and visual tokens.

A resolution R caps the shown image at R x R pixels, aspect kept, never upsampled (a protocol's `min_pixels` aside). The
effective cap is the smallest of R², the protocol's and the processor's; every row records it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from .errors import ImageError, UsageError

MAX_ASPECT = 200
"""Qwen's processors refuse images that are longer than this many times their short side."""


@dataclass(frozen=True, slots=True)
class Resolution:
    """One point of the sweep."""

    name: str
    """As used in task names: `224` … `2560`, `4k`, `native`."""
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


def parse_resolution(name: str | int) -> Resolution:
    """The resolution called `name`; `3840` also means `4k`.

    Raises:
        UsageError: for any other name, listing the known ones.
    """
    text = str(name).strip().lower()
    known = RESOLUTIONS.get("4k" if text == "3840" else text)
    if known is None:
        raise UsageError(f"unknown resolution {name!r}; known: {', '.join(RESOLUTIONS)}")
    return known


@dataclass(frozen=True, slots=True)
class PixelLimits:
    """What an image processor does to sizes: each side a multiple of `factor`, the area within [min, max]."""

    factor: int
    """Pixels a visual token spans along one side (patch size x merge size; 28 for Qwen2.5-VL)."""
    min_pixels: int
    """Smallest area, px²; smaller images are enlarged to it."""
    max_pixels: int
    """Largest area, px²; larger images are reduced to it."""

    def __post_init__(self) -> None:
        if self.factor <= 0 or not 0 < self.min_pixels <= self.max_pixels:
            raise UsageError(
                f"pixel limits factor={self.factor}, min_pixels={self.min_pixels}, max_pixels={self.max_pixels} "
                "cannot be met; expected factor > 0 and 0 < min_pixels <= max_pixels"
            )

    def within(self, *, min_pixels: int = 0, max_pixels: int | None = None) -> PixelLimits:
        """These limits tightened by others; where they contradict each other, the smaller maximum wins."""
        most = self.max_pixels if max_pixels is None else min(self.max_pixels, max_pixels)
        return PixelLimits(self.factor, min(max(self.min_pixels, min_pixels), most), most)


def smart_resize(width: int, height: int, limits: PixelLimits) -> tuple[int, int]:
    """(width, height) that a Qwen-VL processor gives an image of this size.

    Both sides become multiples of the factor and the area falls within the limits, the aspect kept as closely as that
    allows. Equal to `transformers`' `smart_resize` (Qwen2-VL image processing) for every size; a test holds it so.

    Raises:
        ImageError: if one side is more than 200 times the other, which the processors refuse.
    """
    if width < 1 or height < 1:
        raise ImageError(f"an image of {width}x{height} px has no content; both sides must be at least 1 px")
    if max(width, height) / min(width, height) > MAX_ASPECT:
        raise ImageError(
            f"an image of {width}x{height} px is more than {MAX_ASPECT} times as long as wide, which Qwen-VL processors "
            "refuse; crop or pad the file"
        )
    factor = limits.factor
    new_w, new_h = round(width / factor) * factor, round(height / factor) * factor
    if new_w * new_h > limits.max_pixels:
        shrink = math.sqrt(width * height / limits.max_pixels)
        new_w = max(factor, math.floor(width / shrink / factor) * factor)
        new_h = max(factor, math.floor(height / shrink / factor) * factor)
    elif new_w * new_h < limits.min_pixels:
        grow = math.sqrt(limits.min_pixels / (width * height))
        new_w = math.ceil(width * grow / factor) * factor
        new_h = math.ceil(height * grow / factor) * factor
    return new_w, new_h


def effective_cap(resolution: Resolution, limits: PixelLimits) -> int:
    """Largest area that a shown image can get at this resolution, px²: R² within the limits, whose minimum wins over it."""
    return max(limits.within(max_pixels=resolution.max_pixels).max_pixels, limits.min_pixels)


def shown_size(native: tuple[int, int], resolution: Resolution, limits: PixelLimits) -> tuple[int, int]:
    """(width, height) of the shown image; a processor with these limits leaves an image of this size alone.

    Args:
        native: (width, height) of the native image, px.
        resolution: the cap of this point of the sweep.
        limits: the protocol's limits within the processor's. Their minimum wins over the resolution's cap.
    """
    capped = smart_resize(*native, limits.within(max_pixels=resolution.max_pixels))
    return smart_resize(*capped, limits)


def visual_tokens(size: tuple[int, int], factor: int) -> int:
    """Visual tokens of an image whose sides are multiples of `factor`."""
    return (size[0] // factor) * (size[1] // factor)
