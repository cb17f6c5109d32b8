"""`make judge-server`: serve a card's model with vLLM as Chain-of-Focus does, after looking whether it fits the GPUs.

Chain-of-Focus serves Qwen2.5-VL-72B-Instruct under the name `judge` on port 51232 with tensor parallelism, one image a prompt.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
from pathlib import Path

from ..core.errors import CofError, UsageError
from ..engines.gpus import BESIDE_WEIGHTS, USED, Gpu, find_gpus, offered_gib, weights_gib
from ..judging import Card, load_card

PORT = 51232


def tensor_parallel(gpus: int) -> int:
    """GPUs to split a model over: the largest power of two, up to 8, for attention heads divide evenly so."""
    return max(size for size in (1, 2, 4, 8) if size <= max(1, gpus))


def check_memory(model: str, gpus: list[Gpu]) -> int:
    """The tensor-parallel size with which a model fits.

    Raises:
        UsageError: if there is no GPU, or the free memory is too little; it says what is needed.
    """
    needed = weights_gib(model)
    needs = f"about {needed * BESIDE_WEIGHTS:.0f} GiB of GPU memory" if needed else "GPU memory"
    if not gpus:
        raise UsageError(
            f"no GPU is found on this machine (nvidia-smi lists none); {model} needs {needs}. Serve it elsewhere and pass --judge-url, "
            "or use --judge strict (rules only)"
        )
    size = tensor_parallel(len(gpus))
    free = offered_gib(gpus, size)
    if needed and free < needed * BESIDE_WEIGHTS:
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
        "--gpu-memory-utilization": str(USED),
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
        words = command(model, card.served_name or "judge", check_memory(model, gpus), host=arguments.host, port=arguments.port)
    except CofError as error:
        print(f"judge-server: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    print(shlex.join(words), flush=True)
    if not arguments.dry_run:
        os.execvp(words[0], words)


if __name__ == "__main__":
    main()
