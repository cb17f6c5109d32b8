"""PNG files with texts or colour profiles too long for Pillow: it refuses the image for them, or not, as its globals say. Pure."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_TEXTS = (b"tEXt", b"zTXt", b"iTXt", b"iCCP")
"""Kinds of chunks. A colour profile is packed as a text; it is not applied here."""
_LONGEST, _LONGEST_OF_ALL = 1 << 20, 1 << 25
"""Bytes of one text, unpacked, and of all. Pillow refuses more than these (the second is half of its limit)."""


def without_long_texts(data: bytes) -> bytes:
    """The file without the texts that are too long; any other file, and one that is damaged, as it is."""
    if not data.startswith(_SIGNATURE) or not any(kind in data for kind in _TEXTS):
        return data
    kept, dropped, total = [_SIGNATURE], False, 0
    for kind, start, end in _chunks(data):
        length = _text_length(kind, data[start + 8 : end - 4]) if kind in _TEXTS else 0
        if length > _LONGEST or total + length > _LONGEST_OF_ALL:
            dropped = True
        else:
            total += length
            kept.append(data[start:end])
    return b"".join(kept) if dropped else data


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """(kind, start, end) of every chunk; the last one is whatever is left."""
    start = len(_SIGNATURE)
    while start < len(data):
        end = len(data)
        if start + 8 <= len(data):
            end = min(end, start + 12 + struct.unpack_from(">I", data, start)[0])
        yield data[start + 4 : start + 8], start, end
        start = end


def _text_length(kind: bytes, body: bytes) -> int:
    """Bytes of a chunk's text, unpacked, as far as they are few."""
    _, _, rest = body.partition(b"\0")
    if kind == b"tEXt" or (kind == b"iTXt" and rest[:1] != b"\1"):
        return len(rest) if kind == b"iTXt" else 0  # an unpacked text has no limit of its own
    packed = rest[1:] if kind in (b"zTXt", b"iCCP") else rest[2:].split(b"\0", 2)[-1]
    try:
        return len(zlib.decompressobj().decompress(packed, _LONGEST + 1))
    except zlib.error:
        return 0
