"""Images: their stored bytes, their size before decoding, their native pixels, their hashes, and resizing.

Every number a run reports depends on which pixels the model saw. So a file that cannot be shown whole and unchanged is an
`ImageError`, never a partly grey picture. The settings of other libraries in Pillow's module globals do not change this.
"""

from __future__ import annotations

import hashlib
import io
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from .errors import ImageError, system_says
from .file_kinds import other_kind
from .files import read_regular
from .png_texts import without_long_texts
from .records import Size
from .resolution import Filter

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF")
"""Formats that Pillow decodes by itself; others (EPS, for one) would start outside programs on untrusted files."""

MAX_PIXELS = 178_956_970
"""Largest image that is decoded, px (where Pillow's own limit ends by default); 8K has 33,177,600."""

MAX_BYTES = 1 << 30
"""Largest image file that is read; an uncompressed image of `MAX_PIXELS` in four channels has less."""

_ORIENTATION = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What turns a stored image upright, by its EXIF orientation."""
_SIDEWAYS = (5, 6, 7, 8)
_PNG_METADATA = (b"eXIf", b"Raw profile type exif", b"XML:com.adobe.xmp")
_WHITES = {"I": (65_535,), "F": (1, 255, 65_535)}
"""Which sample value is white in the modes whose depth does not say it, smallest fitting one first."""


@dataclass(frozen=True, slots=True)
class ImageSource:
    """Where an image's stored bytes are: in a file or in memory, exactly one of the two."""

    path: str | None = None
    data: bytes | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if (self.path is None) == (self.data is None):
            raise ValueError("an image source has either a path or data; give exactly one of the two")

    def read(self) -> bytes:
        """The stored bytes.

        Raises:
            ImageError: if the file is missing or cannot be read.
        """
        if self.data is not None:
            return self.data
        path = Path(self.path or "")
        try:
            return read_regular(path, max_bytes=MAX_BYTES)
        except FileNotFoundError:
            raise ImageError(f"image file {path} does not exist; complete the benchmark's folder and run again") from None
        except OSError as error:
            raise ImageError(
                f"image file {path} cannot be read ({system_says(error, 'expected an image file: check its name and permissions')})"
            ) from error


@dataclass(frozen=True, slots=True)
class RegionSource:
    """A region of a stored image, as an image of its own."""

    source: ImageSource
    box: tuple[float, float, float, float]
    """(x1, y1, x2, y2), px of the native image; edges are rounded outwards, and end at the image."""

    def read(self) -> bytes:
        """The region as a PPM file: every pixel kept, and the same bytes from any version of any library.

        Raises:
            ImageError: if the image cannot be read, or the box lies outside it.
        """
        native = load_native(self.source.read())
        x1, y1 = max(0, math.floor(self.box[0])), max(0, math.floor(self.box[1]))
        x2, y2 = min(native.width, math.ceil(self.box[2])), min(native.height, math.ceil(self.box[3]))
        if x1 >= x2 or y1 >= y2:
            raise ImageError(
                f"the annotated region {self.box} lies outside its image of {native.width}x{native.height} px; correct the boxes"
            )
        buffer = io.BytesIO()
        native.crop((x1, y1, x2, y2)).save(buffer, "PPM")
        return buffer.getvalue()


def source_hash(data: bytes) -> str:
    """Short content hash (128 bit, hex) of a file's stored bytes."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def pixel_hash(image: Image.Image) -> str:
    """Short content hash (128 bit, hex) of an image's size and RGB pixels."""
    rgb = image if image.mode == "RGB" else image.convert("RGB")
    seen = hashlib.blake2b(f"{rgb.width}x{rgb.height}".encode(), digest_size=16)
    seen.update(rgb.tobytes())
    return seen.hexdigest()


def header_size(data: bytes) -> Size:
    """(width, height) of the native image, from the file's header: no pixel is decoded.

    Raises:
        ImageError: if the bytes are no image of a known format, or one of more than `MAX_PIXELS`.
    """
    data = without_long_texts(data)
    image = _opened(io.BytesIO(data))
    with _undecodable_as_image_error():
        width, height = image.size
        return (height, width) if _orientation(image, data) in _SIDEWAYS else (width, height)


def load_native(data: bytes) -> Image.Image:
    """The native image: RGB, upright as its EXIF orientation says, without metadata, the first frame of several.

    Transparency (alpha channel, transparent palette entry or colour) is composited on white. Samples of more than
    8 bits are scaled to 8, not clipped: white is 65535, for floating point the smallest of 1, 255 and 65535 that holds
    every sample; values beyond that range stretch it. Colour profiles are not applied.

    Raises:
        ImageError: if the bytes are no image of a known format, are cut short or damaged, or hold more than `MAX_PIXELS`.
    """
    data = without_long_texts(data)
    stream = _CountedBytes(data)
    image = _opened(stream)
    with _undecodable_as_image_error():
        if image.format == "PNG":
            _opened(io.BytesIO(data)).verify()  # checksums of all chunks: decoding alone skips those of the pixels
        orientation = _orientation(image, data)
        stream.starved = False  # metadata may be read to the end of the file
        image.load()
        rgb = _rgb(image)
    if stream.starved:
        raise ImageError(f"the image file is cut short ({len(data):,} bytes hold only part of it); fetch it again")
    native = rgb.transpose(_UPRIGHT[orientation]) if orientation in _UPRIGHT else rgb
    native.info.clear()  # an orientation left here would be applied a second time downstream
    return native


def resize(image: Image.Image, size: Size, by: Filter = Filter.LANCZOS) -> Image.Image:
    """The image at `size` (width, height), Lanczos-filtered unless said otherwise; the very same image if it has that size already."""
    return image if image.size == size else image.resize(size, Image.Resampling[by.name])


def preview(image: Image.Image, max_side: int = 1024) -> bytes:
    """A JPEG (quality 85) of the image for reports, neither side longer than `max_side` px."""
    scale = min(1.0, max_side / max(image.size))
    small = resize(image, (max(1, round(image.width * scale)), max(1, round(image.height * scale))))
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=85)
    return buffer.getvalue()


def encode_png(image: Image.Image) -> bytes:
    """The image as a PNG, every pixel kept; compressed lightly, since time matters more than size here."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


class _CountedBytes(io.BytesIO):
    """Bytes that remember whether a decoder wanted more than there are.

    Pillow pads a file that is cut short in silence once any library sets `LOAD_TRUNCATED_IMAGES` (lmms-eval does so
    when imported); that flag is shared by all threads, so the shortage is noticed here instead.
    """

    starved = False

    def read(self, size: int | None = -1, /) -> bytes:
        """As in `io.BytesIO`."""
        got = super().read(size)
        if not got and size is not None and size > 0:
            self.starved = True
        return got


@contextmanager
def _undecodable_as_image_error() -> Iterator[None]:
    """Turns whatever a decoder raises on damaged data (any kind of exception) into an `ImageError`."""
    try:
        yield
    except ImageError:
        raise
    except Exception as error:
        reason = str(error) or type(error).__name__
        raise ImageError(f"the image file is damaged ({reason}); fetch it again or save it as PNG or JPEG") from error


def _opened(stream: io.BytesIO) -> Image.Image:
    """The image with only its header read."""
    try:
        image = Image.open(stream, formats=FORMATS)
    except Image.DecompressionBombError as error:
        raise ImageError(f"{error} At most {MAX_PIXELS:,} px are decoded; reduce the file") from error
    except Exception as error:
        start = stream.getvalue()[:8]
        if kind := other_kind(stream.getvalue()[:64]):
            raise ImageError(f"the file is {kind}; images are read as {', '.join(FORMATS)}: save it as PNG or JPEG") from error
        raise ImageError(
            f"{len(stream.getvalue()):,} bytes that begin with {start!r} are no image; expected one of {', '.join(FORMATS)}: "
            "save the file as PNG or JPEG"
        ) from error
    if image.width * image.height > MAX_PIXELS:
        raise ImageError(f"an image of {image.width}x{image.height} px has more than {MAX_PIXELS:,} px; reduce the file")
    return image


def _orientation(image: Image.Image, data: bytes) -> int:
    """The EXIF orientation that is still to be applied, 1 (upright) if there is none that can be read."""
    if image.format == "TIFF":
        return 1  # Pillow applies it while decoding, and to the header's size
    if image.format == "PNG" and not any(mark in data for mark in _PNG_METADATA):
        return 1  # Pillow would decode every pixel to look for metadata behind them
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # damaged metadata, sound pixels: shown as stored
        return 1


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode == "F" or image.mode.startswith("I"):
        return _scaled_to_8_bits(image).convert("RGB")
    if not image.has_transparency_data:
        return image.convert("RGB")
    canvas = Image.new("RGBA", image.size, "white")
    canvas.alpha_composite(image.convert("RGBA"))
    return canvas.convert("RGB")


def _scaled_to_8_bits(image: Image.Image) -> Image.Image:
    import numpy as np

    samples = np.nan_to_num(np.asarray(image, dtype=np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    low, high = min(0.0, float(samples.min())), float(samples.max())
    white = next((w for w in _WHITES.get(image.mode, (65_535,)) if w >= high), high)
    scaled = (samples - low) * (255.0 / (white - low))
    return Image.fromarray(scaled.round().astype(np.uint8))
