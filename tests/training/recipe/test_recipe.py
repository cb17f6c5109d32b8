from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cof_eval.agent.protocols import BoxFrame
from cof_eval.agent.zoom import CropSource
from training.recipe.recipe import RecipeError, Stage
from training.recipe.recipe_file import RECIPES, load_recipe, parse_changes, to_yaml

SHIPPED = sorted(p.stem for p in RECIPES.glob("*.yaml"))


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_recipe_is_read_and_written_without_loss(name: str, tmp_path: Path) -> None:
    recipe = load_recipe(Path(name))
    file = tmp_path / f"{name}.yaml"
    file.write_text(to_yaml(recipe))
    assert load_recipe(file) == recipe


def test_the_papers_settings_are_the_papers() -> None:
    recipe = load_recipe(Path("sft_7b"))
    train, machine = recipe.train, recipe.machine
    assert (recipe.stage, recipe.model) == (Stage.SFT, "Qwen/Qwen2.5-VL-7B-Instruct")
    assert (recipe.tune.rank, recipe.tune.projector, recipe.max_tokens) == (32, True, 81_920)
    assert (train.learning_rate, train.schedule, train.warmup, train.epochs) == (1e-5, "cosine", 0.1, 3)
    assert (train.per_device, recipe.accumulate, machine.devices, machine.sharding) == (2, 2, 8, "zero3")
    assert (recipe.min_pixels, recipe.max_pixels) == (12_544, 14_745_600)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"train.batch": 30}, "train.batch=30 = 30 is not divisible by train.per_device=2 x machine.devices=8 = 16"),
        ({"lr": 1, "train.lr": 2}, "unknown lr; known: stage, model"),
        ({"lr": 1, "train.lr": 2}, "unknown train.lr; known in train: learning_rate"),
        ({"data": [{"format": "run", "path": "x", "zoom": 1}]}, r"unknown data\[0\].zoom; known in data\[0\]: format, path"),
        ({"data": [{"format": "csv", "path": "x"}]}, r"data\[0\].format='csv' is unknown; known: messages, questions, run"),
        ({"machine.device": "tpu"}, "machine.device='tpu' is unknown; known: cuda, cpu"),
        ({"train.batch": "many"}, "Expected `int`, got `str` - at `.*train.batch`"),
        ({"train.learning_rate": 0}, "train.learning_rate=0.0 must be positive"),
        ({"train.warmup": 100}, "fraction of the steps"),
        ({"tune.dropout": 1}, "tune.dropout=1.0 must lie in"),
        ({"machine.devices": 1}, "this recipe has devices: 1"),
        ({"machine.device": "cpu"}, "machine.sharding needs GPUs"),
        ({"keep.last": 1}, "keep.last=1 must be at least 2"),
        ({"protocol": "sof"}, "unknown protocol 'sof'; known: cof"),
        ({"protocol_args": {"turns": 3}}, "unknown turns"),
        ({"protocol": "nowhere.yaml"}, "protocol file nowhere.yaml cannot be read"),
        ({"max_pixels": 100}, "contradict each other"),
        ({"grpo": {}}, "stage sft has no use for a section grpo"),
        ({"stage": "grpo"}, "stage grpo needs a section grpo"),
        ({"data": []}, "data is empty"),
        ({"data": [{"format": "run", "path": "x", "coverage": 2}]}, "coverage=2.0 must lie between 0 and 1"),
        ({"data": [{"format": "run", "path": "x", "zooms": [3, 1]}]}, "must be .from, to."),
        ({"model.x": 1}, "model.x cannot be set: model is no section"),
    ],
)
def test_a_recipe_that_cannot_be_used_says_what_is_wrong(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(RecipeError, match=says) as error:
        load_recipe(Path("sft_7b"), changes)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("text", "says"), [("- 1", "is no recipe"), ("a: [", "cannot be read"), ("a: 1", "unknown a; known")])
def test_a_file_that_is_no_recipe_is_refused(text: str, says: str, tmp_path: Path) -> None:
    file = tmp_path / "r.yaml"
    file.write_text(text)
    with pytest.raises(RecipeError, match=says):
        load_recipe(file)


def test_a_missing_recipe_names_those_that_there_are() -> None:
    with pytest.raises(RecipeError, match="sft_7b, sft_tiny"):
        load_recipe(Path("sft_70b"))


def test_changes_are_read_as_yaml() -> None:
    assert parse_changes(["train.batch=8", "out=x=y", "keep.report_to=[wandb]"]) == {
        "train.batch": 8,
        "out": "x=y",
        "keep.report_to": ["wandb"],
    }
    with pytest.raises(RecipeError, match="expected key=value"):
        parse_changes(["fast"])


def test_a_protocol_may_be_a_users_own_file(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("base: cof\nframe: milli\ncrop_source: native\n")
    recipe = load_recipe(Path("grpo_tiny"), {"protocol": str(tmp_path / "mine.yaml"), "protocol_args": {"max_turns": 2}})
    protocol = recipe.protocol_settings()
    assert (protocol.name, protocol.frame, protocol.crop_source) == ("mine+max_turns=2", BoxFrame.MILLI, CropSource.NATIVE)
    (tmp_path / "r.yaml").write_text(to_yaml(recipe))
    assert load_recipe(tmp_path / "r.yaml").protocol_settings() == protocol


def test_exponents_may_be_written_as_people_write_them(tmp_path: Path) -> None:
    file = tmp_path / "r.yaml"
    file.write_text("stage: sft\nmodel: m\nout: o\ndata: [{format: run, path: p}]\ntrain: {learning_rate: 2e-6}\n")
    assert load_recipe(file).train.learning_rate == 2e-6
