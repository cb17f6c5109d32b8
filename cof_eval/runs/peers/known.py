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


_GREEDY = "greedy on purpose, so that one run gives one number; qwen3_vl_card samples as the cookbook does"
_NO_EVAL = "Mini-o3 evaluates the box as Python; nothing that a model writes is evaluated here"
_LAST_CALL = (
    "after a closing tag alone, Pixel-Reasoner executes the last call of the turns before once more; here the model is told that "
    "the tag closes no call"
)

PEERS: Mapping[str, Peer] = {
    "cof_released": Peer("eval/vstar/", "cof_released"),
    "deepeyes_released": Peer("eval/eval_vstar.py"),
    "deepeyes_hrbench": Peer("eval/eval_hrbench.py"),
    "deepeyes_tool": Peer("visual_toolbox_v2.py"),
    "mini_o3": Peer("verl/", reasons={("turn", "expression in box"): _NO_EVAL, ("crop", "expression in box"): _NO_EVAL}),
    "pixel_reasoner": Peer("curiosity_driven_rl/", reasons={("turn", "unopened call"): _LAST_CALL}),
    "qwen3_vl": Peer(
        "qwen_agent/", reasons={("limits", name): _GREEDY for name in ("temperature", "top_p", "top_k", "presence_penalty")}
    ),
    "qwen3_vl_card": Peer("qwen_agent/"),
}
"""By protocol; one that is not here is compared with every line of a file."""

FILES: Mapping[str, str] = {
    "cof_released": "cof_released",
    "deepeyes_released": "deepeyes_released",
    "deepeyes_hrbench": "deepeyes_released",
    "deepeyes_tool": "deepeyes_released",
    "mini_o3": "mini_o3",
    "pixel_reasoner": "pixel_reasoner",
    "qwen3_vl": "qwen3_vl",
    "qwen3_vl_card": "qwen3_vl",
}
"""The vectors file of each protocol that does what a peer's code does."""
