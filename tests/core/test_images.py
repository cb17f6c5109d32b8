"""Images: what is read, what is refused, and that no library's global settings change either."""

from __future__ import annotations

import io
import os
import re
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from photographs import PHOTOS, needs_photos
from PIL import Image, ImageFile, ImageOps, PngImagePlugin

from cof_eval.core import images
from cof_eval.core.errors import ImageError
from cof_eval.core.images import (
    MAX_PIXELS,
    ImageSource,
    header_size,
    load_native,
    pixel_hash,
    preview,
    resize,
    source_hash,
)
from cof_eval.core.png_texts import without_long_texts

pytestmark = pytest.mark.filterwarnings("ignore:Corrupt EXIF data:UserWarning")  # Pillow's own, about damaged TIFF tags


def encoded(image: Image.Image, format: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def noise(width: int = 160, height: int = 120) -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_claiming(width: int, height: int) -> bytes:
    """A PNG of a few bytes whose header claims any size."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", zlib.compress(b"")) + png_chunk(b"IEND", b"")


def exif(orientation: int) -> Image.Exif:
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags


@pytest.fixture(params=[False, True], ids=["strict Pillow", "lenient Pillow"])
def pillow_flag(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """The global that lmms_eval sets to True when it is imported."""
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", request.param)
    return bool(request.param)


class TestImageSource:
    def test_memory_and_file_give_the_same_bytes(self, tmp_path: Path) -> None:
        (tmp_path / "a.bin").write_bytes(b"stored")
        assert ImageSource(path=str(tmp_path / "a.bin")).read() == ImageSource(data=b"stored").read() == b"stored"

    @pytest.mark.parametrize("given", [{}, {"path": "a.png", "data": b"x"}], ids=["neither", "both"])
    def test_exactly_one_place_is_required(self, given: dict[str, object]) -> None:
        with pytest.raises(ValueError, match="exactly one"):
            ImageSource(**given)  # type: ignore[arg-type]

    def test_missing_file_is_named_in_one_line_with_a_cure(self, tmp_path: Path) -> None:
        with pytest.raises(ImageError, match=r"gone\.jpg does not exist; complete") as caught:
            ImageSource(path=str(tmp_path / "gone.jpg")).read()
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize("kind", ["pipe", "device", "socket", "too large", "NUL", "surrogate", "long", "loop", "dangling"])
    def test_what_is_no_regular_file_of_some_size_is_refused_at_once(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
    ) -> None:
        path = str(tmp_path / "a.jpg")
        if kind == "pipe":
            os.mkfifo(path)
        elif kind in ("device", "loop", "dangling"):
            os.symlink({"device": "/dev/zero", "loop": path, "dangling": tmp_path / "gone"}[kind], path)
        elif kind == "socket":
            path = "/dev/null"
        elif kind == "too large":
            monkeypatch.setattr(images, "MAX_BYTES", 10)
            Path(path).write_bytes(bytes(11))
        else:
            path = {"NUL": "a\0b.jpg", "surrogate": "a\ud800.jpg", "long": "a" * 5000}[kind]
        with pytest.raises(ImageError) as caught:
            ImageSource(path=path).read()
        assert "\n" not in str(caught.value)

    def test_a_folder_is_not_an_image_file(self, tmp_path: Path) -> None:
        with pytest.raises(ImageError, match="cannot be read"):
            ImageSource(path=str(tmp_path)).read()

    def test_bytes_stay_out_of_its_repr(self) -> None:
        assert len(repr(ImageSource(data=b"x" * 10_000))) < 100


class TestHashes:
    def test_source_hash_tells_bytes_apart_and_is_128_bit(self) -> None:
        assert source_hash(b"a") != source_hash(b"b")
        assert len(source_hash(b"a")) == 32

    def test_pixel_hash_ignores_the_file_format(self) -> None:
        image = noise()
        assert (
            pixel_hash(load_native(encoded(image, "BMP")))
            == pixel_hash(load_native(encoded(image, "PNG")))
            == pixel_hash(image)
        )

    def test_pixel_hash_sees_one_changed_pixel(self) -> None:
        image = noise()
        changed = image.copy()
        changed.putpixel((0, 0), tuple(255 - v for v in image.getpixel((0, 0))))  # type: ignore[union-attr]
        assert pixel_hash(image) != pixel_hash(changed)

    def test_pixel_hash_sees_the_size(self) -> None:
        assert pixel_hash(Image.new("RGB", (4, 2))) != pixel_hash(Image.new("RGB", (2, 4)))


def palette(transparent: int | None = None) -> Image.Image:
    image = Image.new("P", (4, 4), 1)
    image.putpalette([0, 0, 0, 200, 30, 40] + [0] * 750)
    if transparent is not None:
        image.info["transparency"] = transparent
    return image


def samples(values: list[float], dtype: str) -> Image.Image:
    return Image.fromarray(np.array([values], dtype=dtype))


MODES: dict[str, tuple[Callable[[], bytes], list[tuple[int, int, int]]]] = {
    "RGB": (lambda: encoded(Image.new("RGB", (2, 2), (1, 2, 3))), [(1, 2, 3)]),
    "L": (lambda: encoded(Image.new("L", (2, 2), 77)), [(77, 77, 77)]),
    "1-bit": (lambda: encoded(Image.new("1", (2, 2), 1)), [(255, 255, 255)]),
    "P": (lambda: encoded(palette()), [(200, 30, 40)]),
    "P, this entry transparent": (lambda: encoded(palette(1)), [(255, 255, 255)]),
    "P, another entry transparent": (lambda: encoded(palette(0)), [(200, 30, 40)]),
    "P with alpha bytes": (lambda: encoded(palette(), transparency=bytes([255, 0])), [(255, 255, 255)]),
    "GIF, transparent": (lambda: encoded(palette(), "GIF", transparency=1), [(255, 255, 255)]),
    "RGB with a transparent colour": (
        lambda: encoded(Image.new("RGB", (2, 2), (9, 9, 9)), transparency=(9, 9, 9)),
        [(255, 255, 255)],
    ),
    "RGBA, clear": (lambda: encoded(Image.new("RGBA", (2, 2), (10, 20, 30, 0))), [(255, 255, 255)]),
    "RGBA, opaque": (lambda: encoded(Image.new("RGBA", (2, 2), (10, 20, 30, 255))), [(10, 20, 30)]),
    "RGBA, half": (lambda: encoded(Image.new("RGBA", (2, 2), (0, 0, 0, 128))), [(127, 127, 127)]),
    "LA, clear": (lambda: encoded(Image.new("LA", (2, 2), (10, 0))), [(255, 255, 255)]),
    "LA, opaque": (lambda: encoded(Image.new("LA", (2, 2), (10, 255))), [(10, 10, 10)]),
    "CMYK": (lambda: encoded(Image.new("CMYK", (2, 2), (0, 255, 255, 0)), "TIFF"), [(255, 0, 0)]),
    "16-bit PNG": (
        lambda: encoded(samples([0, 255, 32_896, 65_535], "uint16")),
        [(0, 0, 0), (1, 1, 1), (128, 128, 128), (255, 255, 255)],
    ),
    "16-bit PGM": (lambda: b"P5 2 1 65535\n" + struct.pack(">HH", 257, 65_535), [(1, 1, 1), (255, 255, 255)]),
    "16-bit big-endian TIFF": (
        lambda: encoded(Image.frombytes("I;16B", (2, 1), struct.pack(">HH", 257, 65_535)), "TIFF"),
        [(1, 1, 1), (255, 255, 255)],
    ),
    "32-bit TIFF of 16-bit data": (lambda: encoded(samples([0, 65_535], "int32"), "TIFF"), [(0, 0, 0), (255, 255, 255)]),
    "32-bit TIFF beyond 16 bit": (lambda: encoded(samples([-10, 99_990], "int32"), "TIFF"), [(0, 0, 0), (255, 255, 255)]),
    "float to 1": (
        lambda: encoded(samples([0, 0.2, 1], "float32"), "TIFF"),
        [(0, 0, 0), (51, 51, 51), (255, 255, 255)],
    ),
    "float to 255": (lambda: encoded(samples([0, 51, 255], "float32"), "TIFF"), [(0, 0, 0), (51, 51, 51), (255, 255, 255)]),
    "float, all dark": (lambda: encoded(samples([0, 0], "float32"), "TIFF"), [(0, 0, 0), (0, 0, 0)]),
    "float, not a number": (
        lambda: encoded(samples([float("nan"), float("inf"), 1], "float32"), "TIFF"),
        [(0, 0, 0), (0, 0, 0), (255, 255, 255)],
    ),
}


@pytest.mark.parametrize(("data", "pixels"), MODES.values(), ids=MODES.keys())
def test_every_mode_becomes_rgb_as_documented(data: Callable[[], bytes], pixels: list[tuple[int, int, int]]) -> None:
    native = load_native(data())
    assert native.mode == "RGB"
    assert [native.getpixel((x, 0)) for x in range(len(pixels))] == pixels


def test_cmyk_jpeg_keeps_its_colour() -> None:
    red, green, blue = load_native(encoded(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG")).getpixel((8, 8))  # type: ignore[misc]
    assert red > 240
    assert green < 15
    assert blue < 15


FORMATS: dict[str, tuple[str, dict[str, object]]] = {
    "jpeg": ("JPEG", {}),
    "progressive jpeg": ("JPEG", {"progressive": True}),
    "png": ("PNG", {}),
    "gif": ("GIF", {}),
    "bmp": ("BMP", {}),
    "webp": ("WEBP", {}),
    "tiff": ("TIFF", {}),
    "lzw tiff": ("TIFF", {"compression": "tiff_lzw"}),
    "ppm": ("PPM", {}),
}


@pytest.mark.usefixtures("pillow_flag")
@pytest.mark.parametrize(("format", "options"), FORMATS.values(), ids=FORMATS.keys())
class TestWholeAndCutFiles:
    def test_whole_file_loads_even_with_bytes_after_its_end(self, format: str, options: dict[str, object]) -> None:
        data = encoded(noise(), format, **options)
        assert load_native(data).size == load_native(data + b"\0junk" * 40).size == header_size(data) == (160, 120)

    @pytest.mark.parametrize("share", [0.3, 0.6, 0.99])
    def test_cut_file_is_an_image_error(self, format: str, options: dict[str, object], share: float) -> None:
        data = encoded(noise(), format, **options)
        with pytest.raises(ImageError) as caught:
            load_native(data[: int(len(data) * share)])
        assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("pillow_flag")
@pytest.mark.parametrize("missing", [1, 2, 3, 20, 200])
def test_jpeg_that_lacks_its_last_bytes_is_an_image_error(missing: int) -> None:
    with pytest.raises(ImageError):
        load_native(encoded(noise(), "JPEG")[:-missing])


@pytest.mark.usefixtures("pillow_flag")
def test_png_with_altered_pixel_data_is_an_image_error() -> None:
    data = bytearray(encoded(noise()))
    data[len(data) // 2] ^= 0xFF
    with pytest.raises(ImageError, match="damaged"):
        load_native(bytes(data))


def test_loading_leaves_pillow_settings_alone(pillow_flag: bool) -> None:
    load_native(encoded(noise()))
    assert pillow_flag == ImageFile.LOAD_TRUNCATED_IMAGES


NOT_IMAGES = {
    "nothing": b"",
    "text": b"404 not found",
    "html": b"<html><body>rate limited</body></html>",
    "half a PNG signature": b"\x89PNG",
    "a PNG signature": b"\x89PNG\r\n\x1a\n",
    "JPEG start only": b"\xff\xd8\xff",
    "EPS, a program": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n",
    "git-lfs pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
}


@pytest.mark.parametrize("read", [header_size, load_native])
@pytest.mark.parametrize("data", NOT_IMAGES.values(), ids=NOT_IMAGES.keys())
def test_what_is_no_image_is_one_line_with_a_cure(read: Callable[[bytes], object], data: bytes) -> None:
    with pytest.raises(ImageError, match="save") as caught:
        read(data)
    assert "\n" not in str(caught.value)


HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(64)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (HEIC, "a HEIC image, whatever its name says"),
        (NOT_IMAGES["git-lfs pointer"], "run `git lfs pull`"),
        (NOT_IMAGES["html"], "a web page"),
        (b"PK\x03\x04" + bytes(20), "a zip archive: unpack it"),
    ],
)
def test_what_a_file_is_instead_is_said(data: bytes, says: str) -> None:
    with pytest.raises(ImageError, match=re.escape(says)):
        header_size(data)


class TestPngTexts:
    """Texts of PNG files, for instance a workflow of megabytes; Pillow refuses the image for them unless a global is set."""

    def texts(self, *texts: str, packed: bool, international: bool = False) -> bytes:
        info = PngImagePlugin.PngInfo()
        for text in texts:
            (info.add_itxt if international else info.add_text)("workflow", text, zip=packed)
        return encoded(noise(40, 30), pnginfo=info)

    @pytest.mark.parametrize("packed", [True, False])
    @pytest.mark.parametrize("international", [True, False])
    def test_long_ones_are_no_matter(self, packed: bool, international: bool, pillow_flag: bool) -> None:
        data = self.texts("x" * 1_500_000, packed=packed, international=international)
        assert header_size(data) == (40, 30)
        assert load_native(data).tobytes() == noise(40, 30).tobytes()

    def test_a_long_colour_profile_is_no_matter(self, pillow_flag: bool) -> None:
        data = encoded(noise(40, 30), icc_profile=bytes(1_500_000))
        assert header_size(data) == (40, 30)
        assert load_native(data).tobytes() == noise(40, 30).tobytes()

    def test_a_bomb_of_texts_is_not_unpacked(self) -> None:
        data = self.texts("x" * 50_000_000, *["y" * 900_000] * 40, packed=True)
        assert len(without_long_texts(data)) < len(data)
        assert load_native(data).size == (40, 30)

    def test_short_ones_stay_with_the_orientation_in_them(self) -> None:
        data = encoded(noise(40, 30), exif=exif(6))
        assert without_long_texts(data) is data
        assert header_size(self.texts("short", packed=True)) == (40, 30)

    @pytest.mark.parametrize("cut", [8, 12, 20, 40, 60])
    def test_a_cut_file_is_left_for_the_decoder(self, cut: int) -> None:
        data = self.texts("x" * 1_500_000, packed=True)[:cut]
        assert without_long_texts(data) == data


class TestOrientation:
    @pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF", "WEBP", "AVIF"])
    @pytest.mark.parametrize("orientation", range(1, 9))
    def test_pixels_and_header_are_turned_upright_alike(self, format: str, orientation: int) -> None:
        data = encoded(noise(40, 30), format, exif=exif(orientation))
        upright = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
        native = load_native(data)
        assert native.tobytes() == upright.tobytes()
        assert native.size == header_size(data) == ((30, 40) if orientation >= 5 else (40, 30))

    def test_nothing_is_left_to_turn_it_a_second_time(self) -> None:
        native = load_native(encoded(noise(), "JPEG", exif=exif(6)))
        assert native.info == {}
        assert ImageOps.exif_transpose(native).size == native.size

    @pytest.mark.parametrize("orientation", [0, 9, 255])
    def test_undefined_orientation_means_upright(self, orientation: int) -> None:
        data = encoded(noise(), "JPEG", exif=exif(orientation))
        assert load_native(data).size == header_size(data) == (160, 120)

    def test_damaged_exif_means_as_stored(self) -> None:
        data = encoded(noise(), "JPEG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff")
        assert load_native(data).size == header_size(data) == (160, 120)

    def test_png_metadata_behind_the_pixels_counts(self) -> None:
        chunk = png_chunk(b"eXIf", exif(6).tobytes().removeprefix(b"Exif\0\0"))
        plain = encoded(noise())
        data = plain[:-12] + chunk + plain[-12:]
        assert load_native(data).size == header_size(data) == (120, 160)


class TestSizes:
    def test_header_is_enough_for_the_size(self) -> None:
        data = encoded(noise(1600, 1200), "JPEG")
        assert header_size(data[:1000]) == (1600, 1200)

    @pytest.mark.parametrize("size", [(1, 1), (1, 300), (20_000, 50), (50, 20_000), (7680, 4320)])
    def test_unusual_sizes_load(self, size: tuple[int, int]) -> None:
        data = encoded(Image.new("RGB", size, (5, 6, 7)), "PNG", compress_level=1)
        assert load_native(data).size == header_size(data) == size

    @pytest.mark.parametrize("read", [header_size, load_native])
    @pytest.mark.parametrize("limit", [Image.MAX_IMAGE_PIXELS, None], ids=["Pillow's limit", "limit lifted by another library"])
    def test_ridiculous_size_is_refused_before_decoding(
        self, read: Callable[[bytes], object], limit: int | None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        with pytest.raises(ImageError, match=f"{MAX_PIXELS:,} px"):
            read(png_claiming(50_000, 50_000))


class TestResize:
    def test_equal_size_is_the_very_same_image(self) -> None:
        image = noise()
        assert resize(image, image.size) is image

    def test_other_size_is_lanczos_filtered(self) -> None:
        image = noise()
        assert resize(image, (56, 28)).tobytes() == image.resize((56, 28), Image.Resampling.LANCZOS).tobytes()


class TestPreview:
    @pytest.mark.parametrize(
        ("size", "expected"),
        [
            ((2048, 1024), (1024, 512)),
            ((300, 200), (300, 200)),
            ((20_000, 50), (1024, 3)),
            ((1, 5000), (1, 1024)),
            ((1, 1), (1, 1)),
        ],
    )
    def test_sides_are_capped_and_never_enlarged(self, size: tuple[int, int], expected: tuple[int, int]) -> None:
        small = Image.open(io.BytesIO(preview(Image.new("RGB", size))))
        assert (small.format, small.size) == ("JPEG", expected)


@needs_photos
def test_photographs_load_at_their_header_size() -> None:
    photos = sorted(PHOTOS.glob("*/*.jpg"))
    assert len(photos) == 9
    for photo in photos:
        data = ImageSource(path=str(photo)).read()
        assert load_native(data).size == header_size(data), photo
