"""Supervised fine-tuning: `python -m training.sft RECIPE [key=value …]`. The same command goes on after a crash.

TRL's `SFTTrainer` on whole conversations: several images, several turns, loss on what the model says and nothing else.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from cof_eval.engines.checkpoint import Checkpoint
from cof_eval.errors import CofError
from cof_eval.images import load_native, resize
from cof_eval.records import from_json, to_json
from cof_eval.resolution import NATIVE, PixelLimits, shown_size
from cof_eval.settings import quiet_engines

from .curves import write_curves
from .data import Prepared, check_formats, prepare
from .fits import check, check_machine, demand
from .folder import TrainingFolder, mark_whole
from .launch import launch
from .metrics import load_metrics, metrics_callback
from .model import adapter_config, load_weights, open_checkpoint, write_merged, write_processor
from .recipe import Device, Method, Precision, Recipe, RecipeError, Stage
from .recipe_file import load_recipe, parse_changes
from .rows import Picture, Row
from .shapes import find_shape


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(prog="python -m training.sft", description="Supervised fine-tuning by a recipe.")
    made.add_argument("recipe", type=Path, help="a YAML file, or the name of one in training/recipes/")
    made.add_argument("changes", nargs="*", metavar="key=value", help="values to set instead, e.g. train.max_steps=10")
    made.add_argument("--check", action="store_true", help="only say whether the recipe fits")
    return made


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    words = sys.argv[1:] if arguments is None else arguments
    given = parser().parse_args(words)
    try:
        recipe = load_recipe(given.recipe, parse_changes(given.changes))
        if recipe.stage is not Stage.SFT:
            raise RecipeError(f"{given.recipe} is a recipe of stage {recipe.stage}: python -m training.{recipe.stage}")
        _check(recipe, only=given.check)
        if given.check:
            return 0
        launch(recipe, "training.sft", words)
        return train(recipe)
    except CofError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def train(recipe: Recipe) -> int:
    """Prepare the data, train (or go on), and write the checkpoint; returns the exit status."""
    quiet_engines()
    from accelerate import PartialState

    state = PartialState(cpu=recipe.machine.device is Device.CPU)
    with TrainingFolder(recipe, main=state.is_main_process) as folder:
        if folder.finished:
            print(f"finished already: {folder.model}", file=sys.stderr)
            return 0
        checkpoint = open_checkpoint(recipe)
        with state.main_process_first():
            prepared = prepare(recipe, checkpoint, folder.data)
        demand(check(recipe, find_shape(recipe.model), checkpoint.text_tokens, longest=prepared.longest))
        trainer = build_trainer(recipe, checkpoint, prepared, folder)
        last = folder.last_checkpoint()
        if last is not None:
            _count_on(trainer, last)
        outcome = trainer.train(resume_from_checkpoint=str(last) if last else None)
        _write_model(trainer, recipe, checkpoint, folder)
        if state.is_main_process:
            write_curves({recipe.name: load_metrics(folder.path)}, folder.path / "curves.png")
            folder.finish({"steps": outcome.global_step, "rows": prepared.kept, "model": str(folder.model)})
            print(folder.model)
        state.wait_for_everyone()
    return 0


def build_trainer(recipe: Recipe, checkpoint: Checkpoint, prepared: Prepared, folder: TrainingFolder) -> Any:
    """TRL's trainer for a recipe and its data."""
    from trl import SFTTrainer

    arguments = training_arguments(recipe, folder.path)  # before the weights: DeepSpeed spreads them as they are loaded
    return SFTTrainer(
        model=load_weights(recipe, checkpoint.folder),
        args=arguments,
        train_dataset=dataset(prepared.rows(), recipe.talk().limits(checkpoint.limits)),
        processing_class=checkpoint.processor,
        peft_config=adapter_config(recipe),
        callbacks=[metrics_callback(folder.path), mark_whole(recipe)],
    )


def training_arguments(recipe: Recipe, out: Path) -> Any:
    """A recipe in TRL's words."""
    from trl import SFTConfig

    train, keep = recipe.train, recipe.keep
    on_cpu = recipe.machine.device is Device.CPU
    return SFTConfig(
        output_dir=str(out),
        assistant_only_loss=True,
        max_length=None,  # rows are filtered by their length; cutting one would cut image tokens
        learning_rate=train.learning_rate,
        lr_scheduler_type=train.schedule,
        warmup_steps=train.warmup,  # below 1: a share of the steps
        num_train_epochs=train.epochs,
        max_steps=train.max_steps or -1,
        per_device_train_batch_size=train.per_device,
        gradient_accumulation_steps=recipe.accumulate,
        weight_decay=train.weight_decay,
        max_grad_norm=train.max_grad_norm,
        seed=train.seed,
        data_seed=train.seed,
        use_cpu=on_cpu,
        bf16=recipe.machine.precision is Precision.BF16,
        gradient_checkpointing=recipe.machine.recompute,
        dataloader_num_workers=0 if on_cpu else 4,
        remove_unused_columns=False,  # the images are read by the data set as it is indexed
        save_strategy="steps",
        save_steps=keep.every_steps,
        save_total_limit=keep.last,
        logging_steps=keep.log_steps,
        logging_first_step=True,
        report_to=list(keep.report_to) or "none",
        disable_tqdm=not sys.stderr.isatty(),
    )


def dataset(rows: list[Row], limits: PixelLimits) -> Any:
    """Rows as a data set of TRL: messages, and images read and resized when a row is asked for."""
    from datasets import Dataset

    def read(batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        found = [from_json(line, Row) for line in batch["row"]]
        return {"messages": [row.chat() for row in found], "images": [[show(p, limits) for p in row.images] for row in found]}

    return Dataset.from_list([{"row": to_json(row).decode()} for row in rows]).with_transform(read)


def show(picture: Picture, limits: PixelLimits) -> Any:
    """An image as evaluation would show it: upright, RGB, at a size that the processor leaves alone."""
    native = load_native(Path(picture.path).read_bytes())
    return resize(native, shown_size(native.size, NATIVE, limits))


def _check(recipe: Recipe, *, only: bool) -> None:
    """Say what can go wrong, and stop where it must; `only` leaves this machine out of the verdict."""
    check_formats(recipe)
    findings = check(recipe, find_shape(recipe.model), lambda text: len(text) // 3)
    here = list(check_machine(recipe))
    sys.stderr.write("".join(f"{finding}\n" for finding in [*findings, *here]))
    demand(findings if only else [*findings, *here])


def _count_on(trainer: Any, checkpoint: Path) -> None:
    """Go on counting tokens where the checkpoint stopped; TRL would begin at zero."""
    from transformers import TrainerState

    state = TrainerState.load_from_json(str(checkpoint / "trainer_state.json"))
    counted = [log["num_tokens"] for log in state.log_history if "num_tokens" in log]
    trainer._total_train_tokens = counted[-1] if counted else 0


def _write_model(trainer: Any, recipe: Recipe, checkpoint: Checkpoint, folder: TrainingFolder) -> None:
    """The trained checkpoint, merged where an adapter was trained."""
    lora = recipe.tune.method is Method.LORA
    trainer.save_model(str(folder.adapter if lora else folder.model))
    if not trainer.accelerator.is_main_process:
        return
    if lora:
        from transformers.integrations.deepspeed import unset_hf_deepspeed_config

        unset_hf_deepspeed_config()  # the merge loads the base whole, in this process alone
        write_merged(checkpoint.folder, folder.adapter, folder.model)
    write_processor(recipe, checkpoint.folder, folder.model)


if __name__ == "__main__":
    sys.exit(main())
