from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tiny_run import tiny_recipe

from cof_eval.core.errors import UsageError
from cof_eval.runs.finding import Level
from training.recipe.fits import check, demand, memory, trained_weights
from training.recipe.launch import launch_command
from training.recipe.recipe import RecipeError
from training.recipe.recipe_file import load_recipe
from training.recipe.shapes import PUBLISHED, find_shape, parse_shape

pytestmark = pytest.mark.slow


def words(text: str) -> int:
    return len(text) // 4


@pytest.mark.parametrize(
    ("name", "weights"), [("Qwen2.5-VL-3B-Instruct", 3_754_622_976), ("Qwen2.5-VL-7B-Instruct", 8_292_166_656)]
)
def test_weights_are_counted_as_the_model_cards_count_them(name: str, weights: int) -> None:
    assert parse_shape(PUBLISHED[name]).total == weights


@pytest.mark.slow
def test_weights_and_adapter_are_counted_as_torch_counts_them(tiny_data: Path, tmp_path: Path) -> None:
    from peft import get_peft_model

    from training.session.model import adapter_config, load_weights

    recipe = tiny_recipe(tiny_data, tmp_path)
    shape = find_shape(recipe.model)
    model = load_weights(recipe, tiny_data / "checkpoint")
    assert sum(w.numel() for w in model.parameters()) == shape.total
    model = get_peft_model(model, adapter_config(recipe))
    assert sum(w.numel() for w in model.parameters() if w.requires_grad) == trained_weights(recipe, shape)


@pytest.mark.parametrize("name", ["sft_7b", "sft_3b_1gpu", "sft_tiny"])
def test_the_shipped_recipes_fit_the_machine_they_name(name: str, tiny_data: Path) -> None:
    recipe = load_recipe(Path(name), {"model": str(tiny_data / "checkpoint")} if name == "sft_tiny" else None)
    assert {finding.level for finding in check(recipe, find_shape(recipe.model), words)} == {Level.OK}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"machine.memory_gib": 4}, "memory: .* of 4 GiB a device"),
        (
            {"tune.method": "full", "machine.devices": 1, "machine.sharding": "none"},
            "choose more devices with machine.sharding",
        ),
        ({"max_tokens": 200_000, "machine.memory_gib": 1000}, "max_tokens = 200,000, the model's context is 128,000"),
        ({"max_tokens": 500}, "conversation: the smallest takes"),
        ({"stage": "grpo", "grpo": {"max_completion_tokens": 9000}, "train.per_device": 1}, "crops would vanish in silence"),
        ({"stage": "grpo", "grpo": {"max_prompt_tokens": 300}, "train.per_device": 1}, "raise max_prompt_tokens"),
    ],
)
def test_a_recipe_that_cannot_fit_says_so_from_the_shape_alone(changes: dict[str, Any], says: str) -> None:
    recipe = load_recipe(Path("sft_7b"), changes)
    with pytest.raises(RecipeError, match=says):
        demand(check(recipe, find_shape(recipe.model), words))


def test_tokens_are_those_that_the_protocol_allows() -> None:
    grpo = {"stage": "grpo", "grpo": {"max_completion_tokens": 9000}, "train.per_device": 1}
    small = load_recipe(Path("sft_7b"), {**grpo, "protocol_args": {"max_pixels": 448 * 448, "max_images": 9}})
    demand(check(small, find_shape(small.model), words))
    (says,) = [f.says for f in check(small, find_shape(small.model), words) if f.what == "completion"]
    assert says.startswith("6 turns of 512 tokens and 8 crops of")  # a turn may hold several calls
    direct = load_recipe(Path("sft_7b"), {**grpo, "protocol": "direct"})
    assert any("1 turns of 512 tokens and 0 crops" in f.says for f in check(direct, find_shape(direct.model), words))


def test_rows_that_do_not_fit_are_a_warning_until_the_longest_is_known() -> None:
    recipe = load_recipe(Path("sft_7b"), {"machine.memory_gib": 24})
    shape = find_shape(recipe.model)
    assert check(recipe, shape, words)[0].level is Level.WARNING
    assert check(recipe, shape, words, longest=8_000)[0].level is Level.OK
    assert check(recipe, shape, words, longest=60_000)[0].level is Level.FAILED


def test_sharding_recomputing_and_adapters_save_memory() -> None:
    def total(**changes: Any) -> float:
        recipe = load_recipe(Path("sft_7b"), {key.replace("__", "."): value for key, value in changes.items()})
        return memory(recipe, find_shape(recipe.model), 20_000).total

    assert total() < total(machine__sharding="zero2") < total(machine__sharding="zero2", tune__method="full")
    assert total() < total(machine__recompute=False)
    assert total() < total(train__per_device=4)


def test_a_checkpoint_of_another_kind_has_no_shape(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama"}))
    with pytest.raises(UsageError, match=r"describes no Qwen2\.5-VL"):
        find_shape(str(tmp_path))


@pytest.mark.parametrize("name", ["sft_7b", "sft_3b_1gpu"])
def test_accelerate_understands_the_command_that_starts_a_recipe(name: str) -> None:
    from accelerate.commands.launch import launch_command_parser

    recipe = load_recipe(Path(name), {"machine.devices": 8, "machine.sharding": "zero3"})
    command = launch_command(recipe, "training.sft", [name])
    given = launch_command_parser().parse_args(command[3:])
    assert (given.num_processes, given.module, given.training_script, given.training_script_args) == (
        8,
        True,
        "training.sft",
        [name],
    )
    assert (given.use_deepspeed, given.zero_stage, given.mixed_precision) == (True, 3, "bf16")


def test_torch_understands_the_command_of_a_recipe_without_deepspeed() -> None:
    from torch.distributed.run import parse_args

    recipe = load_recipe(Path("sft_tiny"), {"machine.devices": 2, "train.per_device": 1})
    command = launch_command(recipe, "training.sft", ["sft_tiny", "train.per_device=1"])
    given = parse_args(command[3:])
    assert (given.nproc_per_node, given.standalone, given.module, given.training_script) == ("2", True, True, "training.sft")
    assert given.training_script_args == ["sft_tiny", "train.per_device=1"]
