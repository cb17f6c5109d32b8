"""`python -m training.mini FOLDER`: pre-trains the small model from scratch; the same command resumes after an interruption.

Writes two checkpoints that transformers, vLLM and `cof-eval` load: `base/`, which answers directly, and `calls/`, which can write a call
besides and is what supervised fine-tuning begins with.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

from cof_eval.core.files import write_part
from cof_eval.core.records import digest

from . import language, vision
from .checkpoint import build_model, corpus, write_start
from .language import train_language
from .session import Session
from .vision import build_head, train_vision

VISION = vision.VisionPlan(steps=3_000)
LANGUAGE = (
    language.LanguagePlan(stage="lookup", steps=1_400, lists=1.0, texts=0),
    language.LanguagePlan(stage="language", steps=700, views=language.FEW, lists=0.3, full=0.5),
    language.LanguagePlan(stage="sizes", steps=700, views=language.ALL_SIZES, lists=0.3, full=0.7, learning_rate=1e-3),
)
CALLS = language.LanguagePlan(
    stage="calls", steps=400, views=language.FEWER, lists=0.3, full=0.7, texts=4, calls=24, learning_rate=1e-3
)


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    parser = argparse.ArgumentParser(prog="python -m training.mini", description="Pre-train the small model from scratch.")
    parser.add_argument("folder", type=Path, help="of checkpoints, metrics and the result")
    parser.add_argument("--seed", type=int, default=0, help="of the first weights (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="of the CPU (default: %(default)s)")
    parser.add_argument("--now", action="store_true", help="only write the checkpoints from what has been trained so far")
    given = parser.parse_args(arguments)
    given.folder.mkdir(parents=True, exist_ok=True)
    made_with: dict[str, object] = {"seed": given.seed, "corpus": digest(corpus())}
    write_part(given.folder / "start", made_with, lambda part: write_start(part, seed=given.seed))
    for written in pretrain(given.folder, seed=given.seed, threads=given.threads, now=given.now):
        print(written)
    return 0


def pretrain(folder: Path, *, seed: int, threads: int, now: bool) -> Iterator[Path]:
    """Train what is missing of all stages; gives the folder of each checkpoint when it is written."""
    import torch
    from transformers import AutoTokenizer

    torch.set_num_threads(threads)
    tokenizer = AutoTokenizer.from_pretrained(folder / "start")
    model, session = build_model(tokenizer, seed=seed), Session(folder, frozen=now)
    head = build_head(seed)
    train_vision(model, head, session, VISION)
    for plan in LANGUAGE:
        train_language(model, tokenizer, session, plan)
    yield write_checkpoint(model, folder / "start", folder / "base")
    train_language(model, tokenizer, session, CALLS)
    yield write_checkpoint(model, folder / "start", folder / CALLS.stage)


def write_checkpoint(model: Any, start: Path, out: Path) -> Path:
    """The model as a checkpoint in bf16, with the processor it started with; returns its folder."""
    import torch
    from transformers import AutoProcessor

    AutoProcessor.from_pretrained(start).save_pretrained(out)
    deepcopy(model).to(torch.bfloat16).save_pretrained(out)
    return out


if __name__ == "__main__":
    sys.exit(main())
