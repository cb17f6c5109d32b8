"""What a file is instead of what its name says, by its first bytes. Pure."""

from __future__ import annotations

_STARTS = (
    (b"version https://git-lfs", "a Git LFS pointer, not the file itself: run `git lfs pull`"),
    (b"<!doctype", "a web page: download the file itself"),
    (b"<html", "a web page: download the file itself"),
    (b"<svg", "an SVG drawing"),
    (b"%pdf-", "a PDF"),
    (b"\x1f\x8b", "compressed with gzip: unpack it"),
    (b"pk\x03\x04", "a zip archive: unpack it"),
)
"""In lower case."""

_HEIC = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1")
"""Brands of HEIC, after the bytes "ftyp" at place 4."""


def other_kind(start: bytes) -> str:
    """What a file is, and what to do, as far as its first bytes tell that it is no table and no image; empty if they do not."""
    if start[4:8] == b"ftyp" and start[8:12] in _HEIC:
        return "a HEIC image, whatever its name says"
    head = start.lstrip().lower()
    return next((says for mark, says in _STARTS if head.startswith(mark)), "")
