"""Which vectors a named protocol is held to, and why a few of them differ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Peer:
    """A peer's script that a protocol does the same as."""

    script: str
    """What the `script` of its vectors holds."""
    card: str = ""
    """The judge card that goes with it."""
    reasons: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """(kind, name of the vector, or of the setting for `limits`) -> why it differs, in a sentence."""


PEERS: Mapping[str, Peer] = {
    "cof_released": Peer("eval/vstar/", "cof_released"),
    "deepeyes_released": Peer("eval/eval_vstar.py"),
    "deepeyes_hrbench": Peer("eval/eval_hrbench.py"),
    "deepeyes_tool": Peer("visual_toolbox_v2.py"),
    "mini_o3": Peer(""),
    "pixel_reasoner": Peer(""),
    "qwen3_vl": Peer(""),
    "qwen3_vl_card": Peer(""),
}
"""By protocol; one that is not here is compared with every line of a file."""
