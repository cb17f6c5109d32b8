"""`make judge-server`: serve a card's model with vLLM as Chain-of-Focus does, after checking that it fits the GPUs or the memory.

Chain-of-Focus serves Qwen2.5-VL-72B-Instruct under the name `judge` on port 51232 with tensor parallelism, one image a prompt.
A machine without a GPU serves a small model on its CPU.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import sys
from pathlib import Path

from ..core.errors import CofError, UsageError
from ..core.text import say
from ..engines.gpus import BESIDE_WEIGHTS, USED, Gpu, find_gpus, offered_gib, weights_gib
from ..judging import Card, load_card

PORT = 51232
CPU_CACHE_GIB = 2
"""KV cache on a CPU: sixteen prompts of a 7B judge, a thousand tokens each, in float32."""
_FLOAT32_FACTOR = 2
"""Checkpoints hold two bytes a weight."""


def tensor_parallel(gpus: int) -> int:
    """GPUs to split a model over: the largest power of two, up to 8, for attention heads divide evenly so."""
    return max(size for size in (1, 2, 4, 8) if size <= max(1, gpus))


def check_memory(model: str, gpus: list[Gpu]) -> int:
    """The tensor-parallel size with which a model fits.

    Raises:
        UsageError: if the free memory is too little; it says what is needed.
    """
    needed = weights_gib(model)
    needs = f"about {needed * BESIDE_WEIGHTS:.0f} GiB of GPU memory" if needed else "GPU memory"
    size = tensor_parallel(len(gpus))
    free = offered_gib(gpus, size)
    if needed and free < needed * BESIDE_WEIGHTS:
        raise UsageError(
            f"{model} needs {needs}, {needed:.0f} GiB of it for weights; {size} of {len(gpus)} GPUs offer {free:.0f} GiB. "
            "Free them, use more, or serve a smaller judge: make judge-server JUDGE_MODEL=Qwen/Qwen2.5-VL-7B-Instruct"
        )
    return size


def check_cpu(model: str, free_gib: float | None) -> None:
    """Whether a machine without a GPU has the memory for a model in float32 and its cache.

    Raises:
        UsageError: if it has not; it says what is needed.
    """
    weights = weights_gib(model)
    if not weights or free_gib is None:
        return
    needed = weights * _FLOAT32_FACTOR * BESIDE_WEIGHTS + CPU_CACHE_GIB
    if free_gib < needed:
        raise UsageError(
            f"no GPU is found on this machine (nvidia-smi lists none), and on its CPU {model} needs about {needed:.0f} GiB of memory; "
            f"{free_gib:.0f} GiB are free. Serve it elsewhere and pass --judge-url, serve a smaller judge with JUDGE_MODEL=…, "
            "or use --judge strict (rules only)"
        )


def free_memory_gib(meminfo: Path = Path("/proc/meminfo")) -> float | None:
    """Memory that programs may still take; None where the system does not tell."""
    try:
        lines = meminfo.read_text().splitlines()
    except OSError:
        return None
    (kib,) = [int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")] or [0]
    return kib / 2**20 or None


def command(model: str, served_name: str, size: int, *, host: str, port: int) -> list[str]:
    """The `vllm serve` that starts a judge, with the method's flags; a `size` of 0 GPUs is the CPU."""
    flags = {"--served-model-name": served_name, "--host": host, "--port": str(port)}
    flags |= {"--limit-mm-per-prompt": json.dumps({"image": 1})}
    if size:
        flags |= {"--tensor-parallel-size": str(size), "--gpu-memory-utilization": str(USED)}
    else:  # every CPU has float32; the longest context that the cache holds; else vLLM claims nearly all of the memory
        flags |= {"--dtype": "float32", "--max-model-len": "auto", "--max-num-seqs": "16"}
        flags |= {"--kv-cache-memory-bytes": str(CPU_CACHE_GIB * 2**30)}
    eager = [] if size else ["--enforce-eager"]
    return [_program() or "vllm", "serve", model, *eager, *(word for flag in flags.items() for word in flag)]


def _program() -> str | None:
    """This environment's `vllm`, or the one on the PATH."""
    return shutil.which("vllm", path=str(Path(sys.executable).parent)) or shutil.which("vllm")


def _check_installed() -> None:
    if _program() is None:
        raise UsageError(
            "vLLM is not installed here (the light profile has none). Set up with `make setup PROFILE=gpu` or PROFILE=cpu, or serve "
            "the judge on another machine and pass --judge-url"
        )


def _gpus_for(model: str, gpus: list[Gpu]) -> int:
    if gpus:
        return check_memory(model, gpus)
    check_cpu(model, free_memory_gib())
    return 0


def _judge_model(card: Card, model: str) -> str:
    chosen = model or card.model
    if not chosen:
        raise UsageError(f"judge card {card.name} names no model and asks no server; choose one with --model, or another card")
    return chosen


def main() -> None:
    """Check the memory, then become the server."""
    parser = argparse.ArgumentParser(
        prog="python -m cof_eval.cli.judge_server", description=__doc__.splitlines()[0] if __doc__ else ""
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
        words = command(model, card.served_name or "judge", _gpus_for(model, gpus), host=arguments.host, port=arguments.port)
        if not arguments.dry_run:
            _check_installed()
    except CofError as error:
        say(f"judge-server: {error}", err=True)
        raise SystemExit(2) from None
    say(shlex.join(words))
    if not arguments.dry_run:
        os.execvp(words[0], words)


if __name__ == "__main__":
    main()
