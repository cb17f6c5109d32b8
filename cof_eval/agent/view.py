"""What one rollout can look at: the shown image, the native one, and the crops so far, each by its name."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import StrEnum

from PIL import Image

from ..core.geometry import Box, Frame


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

    def index_of(self, name: object, count: int, *, from_end: bool = False) -> int | None:
        """The index of the image that a call names; None if there is no such image.

        Args:
            name: as given.
            count: how many images there are.
            from_end: whether numbers are read as Python's list index reads them: whole ones only, -1 the last image.
        """
        if self is ImageNaming.OBSERVATION:
            match = re.fullmatch(r"original_image|observation_(\d{1,4})\s*", name) if isinstance(name, str) else None
            index = int(match[1] or 0) if match else None
        elif from_end:
            index = int(name) - (self is ImageNaming.FROM_ONE) if isinstance(name, int) else None
            index = index + count if index is not None and index < 0 else index
        else:
            number = numeral(name)
            index = int(number) - (self is ImageNaming.FROM_ONE) if number is not None and number.is_integer() else None
        return index if index is not None and 0 <= index < count else None


_NUMERAL = re.compile(r"[+-]?\d{1,12}(\.\d{0,12})?")


def numeral(value: object, *, quotes: bool = True) -> float | None:
    """A number from a JSON number, or, with `quotes`, from a numeral in quotes; None for anything else."""
    if quotes and isinstance(value, str) and _NUMERAL.fullmatch(value.strip()):
        return float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return float(value) if isinstance(value, bool) and not quotes else None
    return float(value) if abs(value) < 1e15 else float("inf")


@dataclass(frozen=True, slots=True)
class Seen:
    """A crop as it can be cut from again."""

    frame: Frame
    """Its pixels, over the part of the photograph that it shows."""
    region: Box
    """That part, px of the native image."""
    image: Image.Image | None = None
    """Held only where crops are cut from earlier crops."""


@dataclass(frozen=True, slots=True)
class View:
    """What one rollout can look at."""

    shown: Image.Image
    native_size: tuple[int, int]
    native: Image.Image | None = None
    """Held only where crops are cut from it."""
    loaded: Image.Image | None = None
    """The first image before the processor resized it, where that is another one: boxes in pixels lie on it."""
    seen: tuple[Seen, ...] = ()
    """The crops so far, in order."""

    @property
    def source(self) -> Image.Image:
        """The first image as crops are cut from it where they are not cut from the native one."""
        return self.loaded or self.shown

    @property
    def shown_frame(self) -> Frame:
        """Pixels of the first image as the model's boxes mean them."""
        return Frame.shown(*self.source.size)

    @property
    def native_frame(self) -> Frame:
        """Pixels of the native image."""
        return Frame.native(*self.native_size)

    @property
    def crops(self) -> tuple[Frame, ...]:
        """Pixels of the crops so far, in order."""
        return tuple(crop.frame for crop in self.seen)

    def with_crop(self, size: tuple[int, int], native_box: Box, image: Image.Image | None = None) -> View:
        """The view after a crop of this size (px), which shows this part of the native image."""
        x1, y1, x2, y2 = native_box.to(Frame.unit()).corners
        frame = Frame(f"crop[{len(self.seen) + 1}]", *size, (x1, y1, x2, y2))
        return replace(self, seen=(*self.seen, Seen(frame, native_box, image)))
