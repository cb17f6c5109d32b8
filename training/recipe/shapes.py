"""How many weights a Qwen2.5-VL has, and where, from its `config.json` alone: nothing is loaded to know whether it fits."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from cof_eval.core.errors import UsageError
from cof_eval.engines.checkpoint import find_checkpoint

PUBLISHED: Mapping[str, Mapping[str, Any]] = {
    "Qwen2.5-VL-3B-Instruct": {
        "hidden_size": 2048, "intermediate_size": 11008, "num_hidden_layers": 36, "num_attention_heads": 16,
        "num_key_value_heads": 2, "vocab_size": 151_936, "tie_word_embeddings": True, "max_position_embeddings": 128_000,
        "vision_config": {"depth": 32, "hidden_size": 1280, "intermediate_size": 3420, "out_hidden_size": 2048},
    },
    "Qwen2.5-VL-7B-Instruct": {
        "hidden_size": 3584, "intermediate_size": 18_944, "num_hidden_layers": 28, "num_attention_heads": 28,
        "num_key_value_heads": 4, "vocab_size": 152_064, "tie_word_embeddings": False, "max_position_embeddings": 128_000,
        "vision_config": {"depth": 32, "hidden_size": 1280, "intermediate_size": 3420, "out_hidden_size": 3584},
    },
}  # fmt: skip
"""From the `config.json` of the two models' cards, for recipes that are checked where the hub cannot be reached."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """Sizes of a Qwen2.5-VL."""

    hidden: int
    inner: int
    layers: int
    heads: int
    kv_heads: int
    vocabulary: int
    tied: bool
    context: int
    vision_depth: int
    vision_hidden: int
    vision_inner: int
    patch_values: int
    """Numbers of one patch: channels x frames x height x width."""
    merged: int
    """Patches of one visual token."""

    @property
    def language_linears(self) -> list[tuple[int, int]]:
        """(in, out) of the linear layers of one decoder layer: q, k, v, o, gate, up, down."""
        h, kv = self.hidden, self.hidden // self.heads * self.kv_heads
        return [(h, h), (h, kv), (h, kv), (h, h), (h, self.inner), (h, self.inner), (self.inner, h)]

    @property
    def projector_linears(self) -> list[tuple[int, int]]:
        """(in, out) of the two linear layers of the projector."""
        wide = self.vision_hidden * self.merged
        return [(wide, wide), (wide, self.hidden)]

    @property
    def language(self) -> int:
        """Weights of the decoder layers and the last norm."""
        biases = sum(out for _, out in self.language_linears[:3])
        return self.layers * (sum(i * o for i, o in self.language_linears) + biases + 2 * self.hidden) + self.hidden

    @property
    def embeddings(self) -> int:
        """Weights of the token embeddings, and of the head if it is not tied to them."""
        return self.vocabulary * self.hidden * (1 if self.tied else 2)

    @property
    def vision(self) -> int:
        """Weights of the vision tower without the projector."""
        d, inner = self.vision_hidden, self.vision_inner
        block = 4 * d * d + 4 * d + 3 * d * inner + 2 * inner + d + 2 * d
        return self.patch_values * d + self.vision_depth * block

    @property
    def projector(self) -> int:
        """Weights of the projector."""
        return self.vision_hidden + sum(i * o + o for i, o in self.projector_linears)

    @property
    def total(self) -> int:
        """All weights."""
        return self.language + self.embeddings + self.vision + self.projector

    def adapter(self, rank: int, *, projector: bool) -> int:
        """Weights of a LoRA adapter of this rank on all linear layers of the language model (and the projector)."""
        linears = self.language_linears * self.layers + (self.projector_linears if projector else [])
        return sum(rank * (i + o) for i, o in linears)


def find_shape(model: str) -> Shape:
    """The shape of a checkpoint, its weights not needed.

    Raises:
        UsageError: if it is not to be had, or no Qwen2.5-VL.
    """
    known = PUBLISHED.get(PurePosixPath(model).name)
    if known is not None and not Path(model).exists():
        return parse_shape(known)
    file = find_checkpoint(model, weights=False) / "config.json"
    try:
        return parse_shape(json.loads(file.read_bytes()))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{file} describes no Qwen2.5-VL ({type(error).__name__}: {error}); recipes train these") from error


def parse_shape(config: Mapping[str, Any]) -> Shape:
    """A shape from a `config.json`, old (flat) or new (with `text_config`)."""
    text, vision = config.get("text_config") or config, config["vision_config"]
    patch, frames = vision.get("patch_size", 14), vision.get("temporal_patch_size", 2)
    return Shape(
        hidden=text["hidden_size"],
        inner=text["intermediate_size"],
        layers=text["num_hidden_layers"],
        heads=text["num_attention_heads"],
        kv_heads=text["num_key_value_heads"],
        vocabulary=text["vocab_size"],
        tied=bool(config.get("tie_word_embeddings", text.get("tie_word_embeddings", False))),
        context=text["max_position_embeddings"],
        vision_depth=vision["depth"],
        vision_hidden=vision["hidden_size"],
        vision_inner=vision["intermediate_size"],
        patch_values=vision.get("in_channels", vision.get("in_chans", 3)) * frames * patch * patch,
        merged=vision.get("spatial_merge_size", 2) ** 2,
    )
