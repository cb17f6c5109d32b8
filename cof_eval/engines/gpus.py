"""GPUs of this machine, and what a model needs of their memory."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

USED = 0.9
"""Fraction of a GPU's memory that vLLM takes unless told otherwise."""
BESIDE_WEIGHTS = 1.1
"""Room for activations, as a factor on the weights."""
GIB = 2**30
_KV_BYTES = 2
"""Of one number in the cache (bf16)."""


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU's memory in MiB."""

    total_mib: int
    free_mib: int


def find_gpus() -> list[Gpu]:
    """The GPUs of this machine, as `nvidia-smi` lists them; none without it."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    query = [program, "--query-gpu=memory.total,memory.free", "--format=csv,noheader,nounits"]
    done = subprocess.run(query, capture_output=True, text=True, check=False, timeout=60)
    return parse_gpus(done.stdout) if done.returncode == 0 else []


def parse_gpus(listing: str) -> list[Gpu]:
    """`nvidia-smi`'s lines of total and free memory; lines without numbers are excluded."""
    found = (re.fullmatch(r"\s*(\d+)\s*,\s*(\d+)\s*", line) for line in listing.splitlines())
    return [Gpu(int(match[1]), int(match[2])) for match in found if match]


def weights_gib(model: str) -> float | None:
    """Size of a model's weights: of the files of a local folder, else as its name tells (72B: two bytes each)."""
    folder = Path(model).expanduser()
    if folder.is_dir():
        return sum(file.stat().st_size for file in folder.glob("*.safetensors")) / GIB or None
    billions = re.search(r"(\d+(?:\.\d+)?)B\b", model, re.IGNORECASE)
    return float(billions[1]) * 1e9 * 2 / GIB if billions else None


def cache_gib(folder: Path, tokens: int) -> float | None:
    """Size of the key-value cache of so many tokens, by a checkpoint's `config.json`; None if that does not tell."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        text = config.get("text_config") or config
        heads = int(text["num_attention_heads"])
        head_dim = int(text.get("head_dim") or int(text["hidden_size"]) // heads)
        per_token = 2 * int(text["num_hidden_layers"]) * int(text.get("num_key_value_heads") or heads) * head_dim * _KV_BYTES
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return per_token * tokens / GIB


def offered_gib(gpus: list[Gpu], count: int, used: float = USED) -> float:
    """Memory that the `count` emptiest GPUs offer together: what is free, and at most the fraction that vLLM takes of each."""
    chosen = sorted(gpus, key=lambda gpu: gpu.free_mib)[-count:]
    return min(min(gpu.free_mib, gpu.total_mib * used) for gpu in chosen) * len(chosen) / 1024
