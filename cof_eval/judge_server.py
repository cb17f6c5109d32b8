"""`make judge-server`: serve a card's model with vLLM as Chain-of-Focus does, after looking whether it fits the GPUs.

Chain-of-Focus serves Qwen2.5-VL-72B-Instruct under the name `judge` on port 51232 with tensor parallelism, one image a prompt.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .errors import CofError, UsageError
from .judging import Card, load_card

PORT = 51232
_USED = 0.9
"""Share of a GPU's memory that vLLM takes."""
_BESIDE_WEIGHTS = 1.1
"""Room for activations and a cache, as a factor on the weights."""
_GIB = 2**30


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
    """`nvidia-smi`'s lines of total and free memory; lines without numbers are left out."""
    found = (re.fullmatch(r"\s*(\d+)\s*,\s*(\d+)\s*", line) for line in listing.splitlines())
    return [Gpu(int(match[1]), int(match[2])) for match in found if match]


def weights_gib(model: str) -> float | None:
    """Size of a model's weights: of the files of a local folder, else as its name tells (72B: two bytes each)."""
    folder = Path(model).expanduser()
    if folder.is_dir():
        return sum(file.stat().st_size for file in folder.glob("*.safetensors")) / _GIB or None
    billions = re.search(r"(\d+(?:\.\d+)?)B\b", model, re.IGNORECASE)
    return float(billions[1]) * 1e9 * 2 / _GIB if billions else None


def tensor_parallel(gpus: int) -> int:
    """GPUs to split a model over: the largest power of two, up to 8, for attention heads divide evenly so."""
    return max(size for size in (1, 2, 4, 8) if size <= max(1, gpus))


def check_memory(model: str, gpus: Sequence[Gpu]) -> int:
    """The tensor-parallel size with which a model fits.

    Raises:
        UsageError: if there is no GPU, or the free memory is too little; it says what is needed.
    """
    needed = weights_gib(model)
    needs = f"about {needed * _BESIDE_WEIGHTS:.0f} GiB of GPU memory" if needed else "GPU memory"
    if not gpus:
        raise UsageError(
            f"no GPU is found on this machine (nvidia-smi lists none); {model} needs {needs}. Serve it elsewhere and pass --judge-url, "
            "or use --judge strict (rules only)"
        )
    size = tensor_parallel(len(gpus))
    chosen = sorted(gpus, key=lambda gpu: gpu.free_mib)[-size:]
    free = min(min(gpu.free_mib, gpu.total_mib * _USED) for gpu in chosen) * size / 1024
    if needed and free < needed * _BESIDE_WEIGHTS:
        raise UsageError(
            f"{model} needs {needs}, {needed:.0f} GiB of it for weights; {size} of {len(gpus)} GPUs offer {free:.0f} GiB. "
            "Free them, use more, or serve a smaller judge: make judge-server JUDGE_MODEL=Qwen/Qwen2.5-VL-7B-Instruct"
        )
    return size


def command(model: str, served_name: str, size: int, *, host: str, port: int) -> list[str]:
    """The `vllm serve` that starts a judge, with the method's flags."""
    flags = {
        "--served-model-name": served_name,
        "--host": host,
        "--port": str(port),
        "--tensor-parallel-size": str(size),
        "--limit-mm-per-prompt": json.dumps({"image": 1}),
        "--gpu-memory-utilization": str(_USED),
    }
    vllm = Path(sys.executable).parent / "vllm"
    program = str(vllm) if vllm.exists() else "vllm"
    return [program, "serve", model, *(word for flag in flags.items() for word in flag)]


def _judge_model(card: Card, model: str) -> str:
    chosen = model or card.model
    if not chosen:
        raise UsageError(f"judge card {card.name} names no model and asks no server; choose one with --model, or another card")
    return chosen


def main() -> None:
    """Check the GPUs, then become the server."""
    parser = argparse.ArgumentParser(
        prog="python -m cof_eval.judge_server", description=__doc__.splitlines()[0] if __doc__ else ""
    )
    parser.add_argument("--card", default="equivalence", help="judge card")
    parser.add_argument("--model", default="", help="another model than the card's")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=PORT)
    parser.add_argument(
        "--dry-run", action="store_true", help="print the command; a machine without GPU counts as one of 4 x 80 GB"
    )
    arguments = parser.parse_args()
    try:
        card = load_card(arguments.card)
        model = _judge_model(card, arguments.model)
        gpus = find_gpus() or ([Gpu(81_920, 81_920)] * 4 if arguments.dry_run else [])
        words = command(model, card.served_name or "judge", check_memory(model, gpus), host=arguments.host, port=arguments.port)
    except CofError as error:
        print(f"judge-server: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    print(shlex.join(words), flush=True)
    if not arguments.dry_run:
        os.execvp(words[0], words)


if __name__ == "__main__":
    main()
