"""The first image of a conversation: which size a protocol shows it at, and how its pixels come about. Pure.

Whatever shows an image (a run, `ask`, the self-test, training) takes it from here, so that all of them show the same.
"""

from __future__ import annotations

from PIL import Image

from ..core.images import resize
from ..core.records import Size
from ..core.resolution import PixelLimits, Resolution, shown_size
from .protocols import Protocol
from .view import View
from .zoom import CropSource


def size_shown(native: Size, resolution: Resolution, protocol: Protocol, limits: PixelLimits) -> Size:
    """(width, height) of the shown image.

    Args:
        native: (width, height) of the native image, px.
        resolution: the cap of this point of the sweep.
        protocol: whose resizes come before the processor's.
        limits: the protocol's within the processor's.

    Raises:
        ImageError: for a shape that cannot be shown.
    """
    return shown_size(native, resolution, limits, protocol.shown_fits)


def look(native: Image.Image, resolution: Resolution, protocol: Protocol, limits: PixelLimits) -> View:
    """The view that a conversation begins with; arguments as in `size_shown`.

    The native image is held on to only where crops are cut from it.
    """
    loaded = native
    for fit in protocol.shown_fits:
        loaded = resize(loaded, fit.size(*loaded.size, limits.factor, resolution.max_pixels), fit.filter)
    shown = resize(loaded, size_shown(native.size, resolution, protocol, limits), protocol.shown_filter)
    held = native if protocol.crop_source is CropSource.NATIVE else None
    return View(shown, native.size, held, loaded if protocol.shown_fits and held is None else None)
