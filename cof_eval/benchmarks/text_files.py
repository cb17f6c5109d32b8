"""Text files as users have them: their encoding, and bytes that it cannot hold."""

from __future__ import annotations

import codecs
from pathlib import Path
from typing import TextIO

_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (codecs.BOM_UTF8, "utf-8-sig"),
)
"""Byte order marks, longer ones first, and how a file that begins with one is read."""


def text_encoding(start: bytes) -> str:
    """The encoding of a text file by its first bytes: UTF-8 unless a mark, or UTF-16's zeros, say otherwise."""
    for mark, name in _MARKS:
        if start.startswith(mark):
            return name
    if len(start) >= 4 and start[1] == start[3] == 0 != start[0]:
        return "utf-16-le"
    if len(start) >= 4 and start[0] == start[2] == 0 != start[1]:
        return "utf-16-be"
    return "utf-8"


def open_text(file: Path, *, newline: str | None) -> TextIO:
    """A text file in its own encoding. Bytes that are none of UTF-8 become lone surrogates, so that their row alone is bad.

    Raises:
        OSError: if it cannot be opened.
    """
    with file.open("rb") as opened:
        encoding = text_encoding(opened.read(4))
    return file.open(encoding=encoding, errors="surrogateescape" if encoding.startswith("utf-8") else "strict", newline=newline)


def undecodable(text: str) -> str:
    """What is wrong with a text that UTF-8 cannot hold; empty if nothing is."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        char = ord(text[error.start])
        if 0xDC80 <= char <= 0xDCFF:
            return f"byte 0x{char - 0xDC00:02x} is no UTF-8; save the file as UTF-8"
        return "it holds half of a surrogate pair (\\ud800 to \\udfff), which is no character"
    return ""
