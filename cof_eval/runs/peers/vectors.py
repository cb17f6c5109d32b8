"""A vectors file: JSON lines, each an input and its outcome under a peer's code; read within bounds.

Kinds: `shown` (the size of the first image), `crop` (a conversation of calls), `turn` (one reply, after others), `limits` (settings)
and `judge` (a reply, or a judge's words, and its score). docs/protocols.md describes the fields.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image

from ...core.errors import DataError

KINDS = ("shown", "crop", "turn", "limits", "judge")
_NEEDS = {
    "shown": ("native", "outcome"),
    "crop": ("native", "seed", "calls", "results"),
    "turn": ("native", "seed", "before", "text", "outcome"),
    "limits": ("values",),
    "judge": ("pred", "gold", "options", "asked", "score"),
}
_MAX_LINE = 1 << 20
_MAX_SIDE = 16_384

Line = dict[str, Any]


def load_vectors(path: Path) -> Iterator[Line]:
    """The lines of a vectors file.

    Raises:
        DataError: if it cannot be read, or a line is none of the known kinds.
    """
    try:
        texts = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        says = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        raise DataError(f"vectors file {path} cannot be read: {says}") from error
    for number, text in enumerate(texts, 1):
        if text.strip():
            yield _line(text, f"vectors file {path}, line {number}")


def _line(text: str, where: str) -> Line:
    try:
        line = json.loads(text) if len(text) <= _MAX_LINE else None
    except (ValueError, RecursionError):
        line = None
    if not isinstance(line, dict) or line.get("kind") not in KINDS:
        raise DataError(f"{where}: expected a JSON object with a kind of {', '.join(KINDS)}")
    missing = [name for name in _NEEDS[line["kind"]] if name not in line]
    if missing:
        raise DataError(f"{where}: a line of kind {line['kind']} needs {', '.join(missing)}")
    if "native" in line and not _is_size(line["native"]):
        raise DataError(f"{where}: native={line['native']!r} is no size of 1 to {_MAX_SIDE} px a side")
    return line


def _is_size(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 2
        and all(isinstance(side, int) and not isinstance(side, bool) and 1 <= side <= _MAX_SIDE for side in value)
    )


def synthetic(width: int, height: int, seed: int) -> Image.Image:
    """The image of a line: noise of one value for about 8 by 8 pixels, smoothed."""
    import numpy as np

    small = np.random.default_rng(seed).integers(0, 256, (height // 8 + 1, width // 8 + 1, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)


def rgb_hash(image: Image.Image) -> str:
    """How vectors name an image: by its RGB bytes."""
    return hashlib.blake2b(image.convert("RGB").tobytes(), digest_size=16).hexdigest()
