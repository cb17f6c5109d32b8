"""Which models a checkpoint can hold: those whose processors resize as we predict, and all others that see."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from ..agent.protocols import PROTOCOLS, Protocol
from ..core.errors import UsageError, first_line
from ..core.resolution import COUNTED, PixelLimits

QWEN_VL_TYPES = ("qwen2_vl", "qwen2_5_vl", "qwen3_vl", "qwen3_vl_moe", "qwen3_5", "qwen3_5_moe", "qwen4_exp")
"""`model_type`s whose image processors resize as `resolution.smart_resize` does."""

_VISION = re.compile(r"vision|visual|vit|image|img|^mm_", re.IGNORECASE)
"""In the keys of a `config.json`: `vision_config`, `vit_config`, `visual`, `mm_vision_tower`, `img_processor`, …"""

IMAGE_TOKEN_NAMES = ("image_token_id", "image_token_index", "img_context_token_id")
"""What a `config.json` calls the token that stands for a piece of an image."""


def read_config(folder: Path) -> dict[str, Any]:
    """A checkpoint's `config.json`, with a `model_type`.

    Raises:
        UsageError: if it has none.
    """
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        config["model_type"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise UsageError(
            f"{folder}/config.json names no model_type ({first_line(error)}); fetch the checkpoint again"
        ) from error
    return dict(config)


def model_type(folder: Path) -> str:
    """The checkpoint's `model_type`.

    Raises:
        UsageError: if it is no model that sees.
    """
    config = read_config(folder)
    kind = config["model_type"]
    if kind in QWEN_VL_TYPES or (isinstance(kind, str) and any(map(_VISION.search, config))):
        return str(kind)
    raise UsageError(
        f"{folder} holds a {kind!r} model; expected a Qwen-VL checkpoint ({', '.join(QWEN_VL_TYPES)}), or another vision model: its "
        "config.json names no part that sees"
    )


def check_frame(protocol: Protocol, limits: PixelLimits, *, native: bool) -> None:
    """Refuse boxes in pixels of an image whose size after the model's own processor is not known.

    Args:
        protocol: whose boxes are meant.
        limits: the engine's.
        native: whether the engine offers native calls.

    Raises:
        UsageError: that names protocols which work.
    """
    if limits.counted and protocol.boxes_in_pixels:
        able = (name for name, known in PROTOCOLS.items() if not known.boxes_in_pixels and (native or not known.native))
        works = ", ".join(able)
        raise UsageError(
            f"protocol {protocol.name!r} has boxes in pixels (frame {protocol.frame.value}), but {COUNTED}, so what they lie on is not "
            f"known. Protocols without a tool, or with boxes as fractions or 0-1000, work: {works}"
        )
