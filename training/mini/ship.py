"""`python -m training.mini.ship RUN OUT`: a fine-tuned small model in bf16, with its curves, as it is shipped and measured."""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path


def ship(run: Path, out: Path) -> Path:
    """Writes the model of a training run, in bf16, with the run's `metrics.jsonl` and `curves.png`; returns the folder."""
    import torch
    from transformers import AutoProcessor, Qwen2_5_VLForConditionalGeneration

    AutoProcessor.from_pretrained(run / "model").save_pretrained(out)
    Qwen2_5_VLForConditionalGeneration.from_pretrained(run / "model", dtype=torch.bfloat16).save_pretrained(out)
    for name in ("metrics.jsonl", "curves.png"):
        shutil.copyfile(run / name, out / name)
    return out


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    parser = argparse.ArgumentParser(prog="python -m training.mini.ship", description="Write a fine-tuned small model in bf16.")
    parser.add_argument("run", type=Path, help="folder of a finished training run")
    parser.add_argument("out", type=Path, help="where to")
    given = parser.parse_args(arguments)
    if not (given.run / "model").is_dir():
        print(f"error: {given.run} holds no model; expected the folder of a finished training run", file=sys.stderr)
        return 2
    print(ship(given.run, given.out))
    return 0


if __name__ == "__main__":
    sys.exit(main())
