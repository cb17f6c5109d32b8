"""One process for each device: a recipe for several starts itself again under a launcher, with DeepSpeed where it says so."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from cof_eval.core.settings import world_size

from .recipe import Precision, Recipe, RecipeError, Sharding

_STAGES = {Sharding.ZERO2: "2", Sharding.ZERO3: "3"}


def launch_command(recipe: Recipe, module: str, arguments: Sequence[str]) -> list[str]:
    """The command that runs a module in as many processes as the recipe has devices: torch's launcher, or accelerate's for DeepSpeed."""
    machine = recipe.machine
    if machine.sharding is Sharding.NONE:
        alone = ["--standalone", "--nproc_per_node", str(machine.devices)]
        return [sys.executable, "-m", "torch.distributed.run", *alone, "-m", module, *arguments]
    command = [
        sys.executable,
        "-m",
        "accelerate.commands.launch",
        "--num_processes",
        str(machine.devices),
        "--num_machines",
        "1",
    ]
    command += ["--mixed_precision", "bf16" if machine.precision is Precision.BF16 else "no", "--dynamo_backend", "no"]
    command += ["--use_deepspeed", "--zero_stage", _STAGES[machine.sharding]]
    command += ["--gradient_accumulation_steps", str(recipe.accumulate), "--gradient_clipping", str(recipe.train.max_grad_norm)]
    if machine.sharding is Sharding.ZERO3:
        command += ["--zero3_init_flag", "true", "--zero3_save_16bit_model", "true"]
    return [*command, "-m", module, *arguments]


def launch(recipe: Recipe, module: str, arguments: Sequence[str]) -> None:
    """Replace this process by the launcher, if the recipe needs several processes and this is one alone.

    Raises:
        RecipeError: if a launcher started another number of processes than the recipe has devices.
    """
    started = world_size()
    if started == recipe.machine.devices:
        return
    if started > 1:
        raise RecipeError(f"the launcher started {started} processes, the recipe has machine.devices={recipe.machine.devices}")
    command = launch_command(recipe, module, arguments)
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(command[0], command)
