"""The image in a table's cell: stored bytes in many forms, a file's name, or the id of the row that holds it."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from pathlib import Path

from ..core.data_paths import path_below
from ..core.text import cut

IMAGE_SUFFIXES = frozenset(
    {
        ".jpg",
        ".jpeg",
        ".jfif",
        ".png",
        ".webp",
        ".gif",
        ".bmp",
        ".tif",
        ".tiff",
        ".ppm",
        ".pgm",
        ".pbm",
        ".avif",
        ".heic",
        ".heif",
    }
)
"""Ends of image files' names in lower case; HEIC is among them so that its row says that it is not decoded."""

_BASE64 = re.compile(rb"[A-Za-z0-9+/]*={0,2}")
_LONGEST_NAME, _LONGEST_ID = 4096, 64
"""Characters; an image as base64 has more than an id (VLMEvalKit's TSV files refer to other rows' images so)."""


def image_bytes(value: object) -> bytes:
    """The stored image in a cell: bytes, base64 with or without blanks and a data URI's head, or `datasets`' struct of bytes.

    Any other value is returned unchanged; it is reported as no image when it is opened.
    """
    if isinstance(value, dict):
        value = value.get("bytes")
    if isinstance(value, bytes):
        return value
    if not isinstance(value, str):
        return b""
    packed = "".join(value.rpartition("base64,")[2].split()).encode("ascii", "replace")
    if not _BASE64.fullmatch(packed):
        return value.encode("utf-8", "replace")
    try:
        return base64.b64decode(packed.rstrip(b"=") + b"=" * (-len(packed.rstrip(b"=")) % 4))
    except binascii.Error:
        return value.encode()


def image_name(value: object) -> str:
    """The file's name in a cell that holds no image but names one: a path, or `datasets`' struct without bytes; else empty."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, dict):
        path = value.get("path")
        return path if not value.get("bytes") and isinstance(path, str) else ""
    if not isinstance(value, str) or len(value) > _LONGEST_NAME or "base64," in value:
        return ""
    return value if Path(value.strip()).suffix.lower() in IMAGE_SUFFIXES else ""


def image_row(value: object) -> str:
    """The id of another row in a cell that may refer to its image; empty if the cell cannot."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        return ""
    text = str(value).strip()
    return text if len(text) <= _LONGEST_ID else ""


def find_image(names: Sequence[str], places: Sequence[Path], folder: Path) -> Path:
    """The image file that a cell names; where there is none, the first place where it was looked for.

    Args:
        names: as in the cell, and how it may be written otherwise.
        places: folders that they may be relative to.
        folder: the data set's, which the file must lie in.

    Raises:
        ValueError: if the name leads out of the folder, or different files fit.
    """
    tried = [path_below(folder, str(place / name)) for name in names for place in dict.fromkeys(places)]
    found = {path.resolve(): path for path in tried if path.is_file()}
    if len(found) > 1:
        raise ValueError(f"the image {cut(names[0])} fits {' and '.join(map(str, found.values()))}; keep one of them")
    return next(iter(found.values()), tried[0])
