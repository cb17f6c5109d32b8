"""SFT on the tiny recipe: what is learned from, that it is learned, that a killed run goes on, and what comes out."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from tiny_run import LIMIT_S, ROOT, environment, row, sft, tiny_recipe, write_rows

from cof_eval.core.errors import RunError
from cof_eval.engines.checkpoint import load_checkpoint
from training.data.conversation import load_template
from training.data.prepare import prepare
from training.data.rows import TrainingRow
from training.recipe.recipe import Method
from training.recipe.recipe_file import load_recipe, to_yaml
from training.session.folder import RECIPE, TrainingFolder
from training.session.metrics import load_metrics
from training.session.model import PROJECTOR, VISION, adapter_config, load_weights, open_checkpoint
from training.sft import dataset, main

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def batch(trained: Path, processor: Any) -> dict[str, Any]:
    """Two conversations as TRL's collator gives them, one with a zoom and one without."""
    from trl.trainer.sft_trainer import DataCollatorForVisionLanguageModeling

    recipe = load_recipe(trained / RECIPE)
    checkpoint = open_checkpoint(recipe)
    rows = dataset(prepare(recipe, checkpoint, trained / "data").rows(), recipe.protocol_settings().limits(checkpoint.limits))
    collate = DataCollatorForVisionLanguageModeling(checkpoint.processor, assistant_only_loss=True)
    return dict(collate([rows[0], rows[1]]))


def test_the_loss_falls(trained: Path) -> None:
    losses = [record.values["loss"] for record in load_metrics(trained)]
    assert len(losses) == 8
    assert sum(losses[-2:]) < 0.8 * sum(losses[:2])


def test_only_what_the_assistant_says_is_learned(trained: Path, batch: dict[str, Any], processor: Any) -> None:
    rows = [json.loads(line) for line in (trained / "data" / "rows.jsonl").read_text().splitlines()[:2]]
    assert [len(r["images"]) for r in rows] == [2, 1]
    for ids, labels, written in zip(batch["input_ids"], batch["labels"], rows, strict=True):
        turns = [message["parts"][0] for message in written["messages"] if message["role"] == "assistant"]
        assert processor.tokenizer.decode(ids[labels != -100]) == "".join(f"{turn}<|im_end|>" for turn in turns)
        assert (labels[ids == processor.image_token_id] == -100).all()


def test_adapter_and_merged_checkpoint_give_equal_logits(trained: Path, batch: dict[str, Any]) -> None:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForImageTextToText

    recipe = load_recipe(trained / RECIPE)
    inputs = {name: value for name, value in batch.items() if name != "labels"}

    def logits(model: Any) -> Any:
        with torch.no_grad():
            return model.eval()(**inputs).logits

    base = AutoModelForImageTextToText.from_pretrained(recipe.model)
    before = logits(base)
    adapted = logits(PeftModel.from_pretrained(base, str(trained / "adapter")))
    merged = logits(AutoModelForImageTextToText.from_pretrained(str(trained / "model")))
    assert (adapted - merged).abs().max() < 1e-4
    assert (before - merged).abs().max() > 0.1


def test_the_checkpoint_is_whole(trained: Path, tiny_data: Path) -> None:
    checkpoint = load_checkpoint(str(trained / "model"))
    assert checkpoint.processor.chat_template == load_template()
    assert checkpoint.limits == load_checkpoint(str(tiny_data / "checkpoint")).limits  # wider than the recipe's
    for name in ("generation_config.json",):
        assert (trained / "model" / name).read_bytes() == (tiny_data / "checkpoint" / name).read_bytes()
    assert not (trained / "model" / "adapter_config.json").exists()
    assert not (trained / "README.md").exists()  # TRL's form names no base and no data
    assert (trained / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_metrics_say_how_fast_it_was(trained: Path) -> None:
    records = load_metrics(trained)
    assert [record.step for record in records] == list(range(1, 9))
    assert all(record.values["step_s"] > 0 for record in records)
    assert all(record.values["tokens_per_s"] > 0 for record in records[1:])


def test_a_killed_run_goes_on_with_the_losses_of_one_that_was_not(trained: Path, recipe_file: Path, tmp_path: Path) -> None:
    words = (recipe_file, f"out={tmp_path / 'run'}")
    killed = sft(*words)
    wait_for(tmp_path / "run" / "checkpoint-2" / RECIPE, killed)
    killed.send_signal(signal.SIGKILL)
    killed.communicate(timeout=LIMIT_S)
    assert not (tmp_path / "run" / "finished.json").exists()
    unfinished = tmp_path / "run" / "checkpoint-9"
    unfinished.mkdir()  # as a kill while it is written leaves one

    assert main([str(word) for word in words]) == 0
    assert not unfinished.exists()
    whole, resumed = load_metrics(trained), load_metrics(tmp_path / "run")
    for name in ("loss", "grad_norm", "learning_rate", "num_tokens", "mean_token_accuracy"):
        assert [r.values[name] for r in resumed] == [r.values[name] for r in whole], name
    weights = [folder / "model" / "model.safetensors" for folder in (trained, tmp_path / "run")]
    assert weights[0].read_bytes() == weights[1].read_bytes()


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + LIMIT_S
    while not path.exists():
        assert process.poll() is None and time.monotonic() < deadline, f"{path} was never written"
        time.sleep(0.01)


def test_a_finished_run_is_not_trained_again(trained: Path, capsys: Any) -> None:
    assert main([str(trained / RECIPE)]) == 0
    assert "finished already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["train.learning_rate=1"], "was begun with another recipe: train.learning_rate was 0.005, now 1.0"),
        (["lr=1"], "unknown lr; known"),
        (["machine.memory_gib=0.1"], "memory: "),
        (["model=./nowhere"], "no checkpoint at './nowhere'"),
    ],
)
def test_what_cannot_be_trained_is_one_line(trained: Path, words: list[str], says: str, capsys: Any) -> None:
    assert main([str(trained / RECIPE), *words]) == 2
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert last.startswith("error: ") and says in last


def test_a_protocol_file_that_changes_under_a_run_is_noticed(tiny_data: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text("base: cof\nframe: milli\n")
    recipe = tiny_recipe(tiny_data, tmp_path / "run", protocol=str(mine))
    TrainingFolder(recipe).close()
    TrainingFolder(recipe).close()
    mine.write_text("base: cof\nframe: unit\n")
    with pytest.raises(RunError, match="begun with another recipe: protocol: frame was 'milli', now 'unit'"):
        TrainingFolder(recipe)


def test_checking_a_recipe_says_what_fits_and_trains_nothing(trained: Path, capsys: Any, tmp_path: Path) -> None:
    assert main([str(trained / RECIPE), f"out={tmp_path / 'other'}", "--check"]) == 0
    assert "ok       memory" in capsys.readouterr().err
    assert not (tmp_path / "other").exists()
    assert main(["sft_7b", "--check"]) == 0


def test_a_recipe_of_another_stage_names_its_command(trained: Path, capsys: Any) -> None:
    questions = "data=[{format: questions, path: x}]"
    assert main([str(trained / RECIPE), "stage=grpo", "grpo={}", questions, "train.batch=2"]) == 2
    assert "python -m training.grpo" in capsys.readouterr().err


def test_the_vision_tower_is_never_trained(tiny_data: Path, tmp_path: Path) -> None:
    from peft import get_peft_model

    def learned(**changes: Any) -> set[str]:
        recipe = tiny_recipe(tiny_data, tmp_path, **{key.replace("__", "."): value for key, value in changes.items()})
        model = load_weights(recipe, tiny_data / "checkpoint")
        if recipe.tune.method is Method.LORA:
            model = get_peft_model(model, adapter_config(recipe))
        return {name for name, weight in model.named_parameters() if weight.requires_grad}

    for method in ("lora", "full"):
        with_projector, without = learned(tune__method=method), learned(tune__method=method, tune__projector=False)
        assert (
            {name for name in with_projector if VISION in name}
            == {name for name in with_projector if PROJECTOR in name}
            != set()
        )
        assert not any(VISION in name for name in without)
        assert without and without < with_projector


def test_full_training_needs_no_merge(tiny_data: Path, tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file

    changes = {"tune.method": "full", "train.max_steps": 2, "keep.every_steps": 2, "out": str(tmp_path / "full")}
    file = tmp_path / "full.yaml"
    file.write_text(to_yaml(tiny_recipe(tiny_data, tmp_path / "full", **changes)))
    assert main([str(file)]) == 0
    before, after = (
        load_file(folder / "model.safetensors") for folder in (tiny_data / "checkpoint", tmp_path / "full" / "model")
    )
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert set(before) == set(after)
    assert any("layers.0" in name for name in changed) and not any("visual.blocks" in name for name in changed)


def test_the_longest_row_decides_whether_it_fits(tiny_data: Path, tmp_path: Path, capsys: Any) -> None:
    """A recipe that only fits shorter rows than the data holds stops before any weight is loaded."""
    image = next((tiny_data / "conversations").glob("*.png"))
    data = write_rows(tmp_path, [row(str(image))])
    file = tmp_path / "r.yaml"
    source = [{"format": "messages", "path": str(data), "images": str(image.parent)}]
    file.write_text(to_yaml(tiny_recipe(tiny_data, tmp_path / "run", data=source, **{"machine.memory_gib": 0.53})))
    assert main([str(file)]) == 2
    assert "rows of " in capsys.readouterr().err.splitlines()[-1]


def test_rows_are_shown_at_sizes_that_the_processor_leaves_alone(tiny_data: Path, tmp_path: Path) -> None:
    recipe = tiny_recipe(tiny_data, tmp_path)
    checkpoint = open_checkpoint(recipe)
    rows: list[TrainingRow] = prepare(recipe, checkpoint, tmp_path / "data").rows()
    for example in dataset(rows, recipe.protocol_settings().limits(checkpoint.limits)):
        for image in example["images"]:
            grid = checkpoint.processor.image_processor(images=[image], return_tensors="pt")["image_grid_thw"][0].tolist()
            assert (grid[2] * 14, grid[1] * 14) == image.size


@pytest.mark.parametrize("module", ["training.sft", "training.tiny", "training.session.curves"])
def test_commands_say_how_they_are_used(module: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", module, "--help"], cwd=ROOT, env=dict(environment()), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0 and f"python -m {module}" in done.stdout
