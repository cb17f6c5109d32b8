"""The image processor of a served model whose files are not at hand: by the family's name, else by the protocol. Pure.

What is not read from the checkpoint's files is assumed, and the run says so: a wrong factor puts every box into another frame.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ..agent.protocols import Protocol
from ..core.resolution import OWN_PROCESSOR, PixelLimits
from .checkpoint import Checkpoint
from .served_checkpoint import ServedCheckpoint

QWEN25_VL_LIMITS = PixelLimits(factor=28, min_pixels=3136, max_pixels=12_845_056)
"""Of the stock Qwen2-VL and Qwen2.5-VL processors (their model cards)."""
QWEN3_VL_LIMITS = PixelLimits(factor=32, min_pixels=65_536, max_pixels=16_777_216)
"""Of the stock Qwen3-VL, Qwen3.5 and Qwen3.6 processors (their model cards)."""

FAMILIES: Mapping[str, tuple[str, PixelLimits]] = {
    "Qwen3-VL": (r"qwen[-_ ]?3[-_ ]?vl", QWEN3_VL_LIMITS),
    "Qwen3.5": (r"qwen[-_ ]?3[._-][5-9]", QWEN3_VL_LIMITS),
    "Qwen2.5-VL": (r"qwen[-_ ]?2[._-]?5[-_ ]?vl", QWEN25_VL_LIMITS),
    "Qwen2-VL": (r"qwen[-_ ]?2[-_ ]?vl", QWEN25_VL_LIMITS),
    "a processor of its own": (
        r"intern(vl|s1)|gemma|llava|glm[-_ ]?\d|minicpm|pixtral|molmo|idefics|smolvlm|kimi[-_ ]|phi[-_ ]?[34]|llama[-_ ]?[34]"
        r"|(^|/)(gpt|chatgpt|o[134]|claude|gemini|grok)[-_ ]?",
        OWN_PROCESSOR,
    ),
}
"""By family, a pattern of the names of its checkpoints, and its stock processor's limits."""

_BY_FACTOR = {limits.factor: limits for limits in (QWEN25_VL_LIMITS, QWEN3_VL_LIMITS)}


@dataclass(frozen=True, slots=True)
class Family:
    """A served model's image processor, as far as it is known."""

    limits: PixelLimits
    known: bool
    """Whether the visual tokens that an image needs at least are known: from files, the family's name, or the protocol's."""
    assumed: str = ""
    """What is assumed, in words; empty if it is read from the checkpoint's files."""


def find_family(
    checkpoint: Checkpoint | ServedCheckpoint | None, protocol: Protocol, names: Iterable[str], max_pixels: int | None = None
) -> Family:
    """The processor of a served model.

    Args:
        checkpoint: what its files say, where they are at hand.
        protocol: how it is asked; one that is made for a family says which factor that has.
        names: under which the model is known: as given, as served, as the server names what it loaded.
        max_pixels: the user's cap, px².
    """
    if checkpoint:
        return Family(checkpoint.limits.within(max_pixels=max_pixels), True)
    limits, source = _by_name(names) or _by_protocol(protocol) or (QWEN25_VL_LIMITS, "")
    kept = limits.within(max_pixels=max_pixels)
    if kept.counted:
        return Family(kept, True, f"the checkpoint's files are not at hand: taken for a model with {source}")
    says = (
        f"the checkpoint's files are not at hand: images are sized for a factor of {kept.factor} and {kept.min_pixels:,} to "
        f"{kept.max_pixels:,} px², assumed from {source or 'stock Qwen2.5-VL, as nothing tells the family'}"
    )
    return Family(kept, bool(source) or protocol.boxes_in_pixels, says)  # such boxes stand or fall with the assumption


def _by_name(names: Iterable[str]) -> tuple[PixelLimits, str] | None:
    for name in names:
        for family, (pattern, limits) in FAMILIES.items():
            if re.search(pattern, name, re.IGNORECASE):
                return limits, f"the name {name!r} ({family})"
    return None


def _by_protocol(protocol: Protocol) -> tuple[PixelLimits, str] | None:
    if protocol.factor is None:
        return None
    limits = _BY_FACTOR.get(protocol.factor) or PixelLimits(
        protocol.factor, QWEN25_VL_LIMITS.min_pixels, QWEN25_VL_LIMITS.max_pixels
    )
    return limits, f"protocol {protocol.name} (factor {protocol.factor})"
