"""Supervised fine-tuning: `python -m training.sft RECIPE [key=value …]`. The same command resumes after a crash.

TRL's `SFTTrainer` on whole conversations: several images, several turns, loss on what the model says and nothing else.
"""

from __future__ import annotations

import argparse
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from cof_eval.core.images import load_native, resize
from cof_eval.core.records import from_json, to_json
from cof_eval.core.resolution import NATIVE, PixelLimits, shown_size
from cof_eval.engines.checkpoint import Checkpoint

from .data.prepare import PreparedData
from .data.rows import Picture, TrainingRow
from .recipe.recipe import Device, Recipe, Stage
from .session import session
from .session.folder import TrainingFolder
from .session.model import adapter_config, load_weights


def parser() -> argparse.ArgumentParser:
    """The command line."""
    return session.parser(Stage.SFT)


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    words = sys.argv[1:] if arguments is None else arguments
    return session.run_command(Stage.SFT, words, build=lambda *given: nullcontext(build_trainer(*given)), resume=_count_on)


def build_trainer(recipe: Recipe, checkpoint: Checkpoint, prepared: PreparedData, folder: TrainingFolder) -> Any:
    """TRL's trainer for a recipe and its data."""
    from trl import SFTTrainer

    arguments = training_arguments(recipe, folder.path)  # before the weights: DeepSpeed spreads them as they are loaded
    return SFTTrainer(
        model=load_weights(recipe, checkpoint.folder),
        args=arguments,
        train_dataset=dataset(prepared.rows(), recipe.protocol_settings().limits(checkpoint.limits)),
        processing_class=checkpoint.processor,
        peft_config=adapter_config(recipe),
        callbacks=session.callbacks(recipe, folder),
    )


def training_arguments(recipe: Recipe, out: Path) -> Any:
    """A recipe in TRL's words."""
    from trl import SFTConfig

    return SFTConfig(
        **session.common_arguments(recipe, out),
        assistant_only_loss=True,
        max_length=None,  # rows are filtered by their length; cutting one would cut image tokens
        dataloader_num_workers=0 if recipe.machine.device is Device.CPU else 4,
    )


def dataset(rows: list[TrainingRow], limits: PixelLimits) -> Any:
    """Rows as a data set of TRL: messages, and images read and resized when a row is asked for."""
    from datasets import Dataset

    def read(batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        found = [from_json(line, TrainingRow) for line in batch["row"]]
        return {"messages": [row.chat() for row in found], "images": [[show(p, limits) for p in row.images] for row in found]}

    return Dataset.from_list([{"row": to_json(row).decode()} for row in rows]).with_transform(read)


def show(picture: Picture, limits: PixelLimits) -> Any:
    """An image as evaluation would show it: upright, RGB, at a size that the processor leaves alone."""
    native = load_native(Path(picture.path).read_bytes())
    return resize(native, shown_size(native.size, NATIVE, limits))


def _count_on(trainer: Any, checkpoint: Path) -> None:
    """Go on counting tokens where the checkpoint stopped; TRL would begin at zero."""
    from transformers import TrainerState

    state = TrainerState.load_from_json(str(checkpoint / "trainer_state.json"))
    counted = [log["num_tokens"] for log in state.log_history if "num_tokens" in log]
    trainer._total_train_tokens = counted[-1] if counted else 0


if __name__ == "__main__":
    sys.exit(main())
