"""One session of a training run, whatever its stage: check, launch, prepare, train or resume, and write the checkpoint."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from cof_eval.core.errors import CofError
from cof_eval.core.settings import quiet_engines, world_size
from cof_eval.engines.checkpoint import Checkpoint

from ..data.prepare import PreparedData, check_formats, prepare
from ..recipe.fits import check, check_machine, demand
from ..recipe.launch import launch
from ..recipe.recipe import Device, Method, Precision, Recipe, RecipeError, Stage
from ..recipe.recipe_file import load_recipe, parse_changes
from ..recipe.shapes import find_shape
from .curves import write_curves
from .folder import TrainingFolder, mark_whole
from .metrics import load_metrics, metrics_callback
from .model import open_checkpoint, write_merged, write_processor
from .progress import replace_progress_output

BuildTrainer = Callable[[Recipe, Checkpoint, PreparedData, TrainingFolder], AbstractContextManager[Any]]
"""Makes a stage's trainer; what it needs is open until the context ends."""


def parser(stage: Stage) -> argparse.ArgumentParser:
    """A stage's command line."""
    what = {Stage.SFT: "Supervised fine-tuning by a recipe.", Stage.GRPO: "Reinforcement learning by a recipe."}[stage]
    made = argparse.ArgumentParser(prog=f"python -m training.{stage}", description=what)
    made.add_argument("recipe", type=Path, help="a YAML file, or the name of one in training/recipes/")
    made.add_argument("changes", nargs="*", metavar="key=value", help="values to set instead, e.g. train.max_steps=10")
    made.add_argument("--check", action="store_true", help="only say whether the recipe fits")
    return made


def run_command(
    stage: Stage,
    words: Sequence[str],
    *,
    build: BuildTrainer,
    refuse: Callable[[Recipe], None] = lambda recipe: None,
    resume: Callable[[Any, Path], None] = lambda trainer, checkpoint: None,
) -> int:
    """Run `python -m training.<stage>`; returns the exit status.

    Args:
        stage: of the recipes that the command takes.
        words: of the command line.
        build: makes the trainer.
        refuse: raises a `CofError` for what only this stage knows to be wrong with a recipe.
        resume: prepares a trainer to resume from a checkpoint.
    """
    given = parser(stage).parse_intermixed_args(words)
    try:
        recipe = load_recipe(given.recipe, parse_changes(given.changes))
        if recipe.stage is not stage:
            raise RecipeError(f"{given.recipe} is a recipe of stage {recipe.stage}: python -m training.{recipe.stage}")
        refuse(recipe)
        check_fits(recipe, here=not given.check)
        if given.check:
            return 0
        launch(recipe, f"training.{stage}", words)
        return train(recipe, build, resume)
    except CofError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def check_fits(recipe: Recipe, *, here: bool) -> None:
    """Say what can go wrong, and stop where it must; `here` has this machine in the verdict.

    Raises:
        RecipeError: saying what cannot fit.
        DataError: if the stage cannot learn from a source.
    """
    check_formats(recipe)
    findings = check(recipe, find_shape(recipe.model), lambda text: len(text) // 3)
    machine = list(check_machine(recipe))
    if world_size() == 1:  # the process that starts the others has said it
        sys.stderr.write("".join(f"{finding}\n" for finding in [*findings, *machine]))
    demand([*findings, *machine] if here else findings)


def train(recipe: Recipe, build: BuildTrainer, resume: Callable[[Any, Path], None]) -> int:
    """Prepare the data, train (or resume), and write the checkpoint; returns the exit status."""
    quiet_engines()
    from accelerate import PartialState
    from transformers.utils import logging

    if not sys.stderr.isatty():
        logging.disable_progress_bar()

    state = PartialState(cpu=recipe.machine.device is Device.CPU)
    with TrainingFolder(recipe, main=state.is_main_process) as folder:
        if folder.finished:
            print(f"finished already: {folder.model}", file=sys.stderr)
            return 0
        checkpoint = open_checkpoint(recipe)
        with state.main_process_first():
            prepared = prepare(recipe, checkpoint, folder.data)
        demand(check(recipe, find_shape(recipe.model), checkpoint.text_tokens, longest=prepared.longest))
        with build(recipe, checkpoint, prepared, folder) as trainer:
            replace_progress_output(trainer)
            last = folder.last_checkpoint()
            if last is not None:
                resume(trainer, last)
            outcome = trainer.train(resume_from_checkpoint=str(last) if last else None)
            write_model(trainer, recipe, checkpoint, folder)
        if state.is_main_process:
            write_curves({recipe.name: load_metrics(folder.path)}, folder.path / "curves.png")
            folder.finish({"steps": outcome.global_step, "rows": prepared.kept, "model": str(folder.model)})
            print(folder.model)
        state.wait_for_everyone()
    return 0


def callbacks(recipe: Recipe, folder: TrainingFolder) -> list[Any]:
    """What watches a trainer: metrics, and checkpoints marked when they are whole."""
    return [metrics_callback(folder.path), mark_whole(recipe)]


def common_arguments(recipe: Recipe, out: Path) -> dict[str, Any]:
    """What every stage tells transformers' `Trainer`."""
    train, keep = recipe.train, recipe.keep
    on_cpu = recipe.machine.device is Device.CPU
    return {
        "output_dir": str(out),
        "learning_rate": train.learning_rate,
        "lr_scheduler_type": train.schedule,
        "warmup_steps": train.warmup,  # below 1: a fraction of the steps
        "num_train_epochs": train.epochs,
        "max_steps": train.max_steps or -1,
        "per_device_train_batch_size": train.per_device,
        "gradient_accumulation_steps": recipe.accumulate,
        "weight_decay": train.weight_decay,
        "max_grad_norm": train.max_grad_norm,
        "seed": train.seed,
        "data_seed": train.seed,
        "use_cpu": on_cpu,
        "bf16": recipe.machine.precision is Precision.BF16,
        "gradient_checkpointing": recipe.machine.recompute,
        "remove_unused_columns": False,  # rows are made as they are drawn
        "save_strategy": "steps",
        "save_steps": keep.every_steps,
        "save_total_limit": keep.last,
        "logging_steps": keep.log_steps,
        "logging_first_step": True,
        "report_to": list(keep.report_to) or "none",
        "disable_tqdm": not sys.stderr.isatty(),
    }


def write_model(trainer: Any, recipe: Recipe, checkpoint: Checkpoint, folder: TrainingFolder) -> None:
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
