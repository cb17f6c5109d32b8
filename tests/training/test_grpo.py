"""`python -m training.grpo`: from a recipe to a checkpoint, through a kill, with everything it did on disk."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from commands import clean_environment
from memorised import CALL

from cof_eval.benchmarks import Item
from cof_eval.engines.checkpoint import load_checkpoint
from cof_eval.report import report_runs, write_report
from cof_eval.runs.folder import load_run
from training.grpo import check_pixels, grpo_arguments, main, rollout_protocol
from training.recipe.recipe import Recipe, RecipeError
from training.recipe.recipe_file import load_recipe
from training.session.metrics import Metrics, load_metrics
from training.session.model import open_checkpoint
from training.session.session import check_fits

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
RECIPES = sorted(path.stem for path in (ROOT / "training" / "recipes").glob("grpo_*.yaml"))
STEPS = 6


@pytest.fixture(scope="session")
def command(memorised: Path, scenes: list[Item]) -> list[str]:
    """The words of a small run on the scenes, but for its folder; its checkpoints lie within and between epochs."""
    folder = Path(str(scenes[0].image.path)).parents[1]
    changes = {
        "model": memorised, "data": f"[{{format: questions, path: {folder}}}]", "keep.every_steps": 3, "train.epochs": 9,
        "train.max_steps": STEPS, "grpo.rewards": "{agar: 0.9, format: 0.1}", "grpo.kl": 0.01,
    }  # fmt: skip
    return ["grpo_tiny", *(f"{key}={value}" for key, value in changes.items())]


@pytest.fixture(scope="session")
def uninterrupted(command: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing disturbed."""
    folder = tmp_path_factory.mktemp("grpo") / "whole"
    assert main([*command, f"out={folder}"]) == 0
    return folder


def test_a_recipe_becomes_a_checkpoint_with_metrics_and_curves(uninterrupted: Path) -> None:
    metrics = load_metrics(uninterrupted)
    assert [record.step for record in metrics] == list(range(1, STEPS + 1))
    for name in ("reward", "rewards/agar/mean", "rollout/zooms", "time/generation_s", "time/reward_s", "kl"):
        assert all(name in record.values for record in metrics), name
    assert any(record.values["rollout/zooms"] > 0 for record in metrics)
    assert any(record.values["grad_norm"] > 0 for record in metrics)
    assert (uninterrupted / "curves.png").read_bytes().startswith(b"\x89PNG")
    made = load_checkpoint(str(uninterrupted / "model"))
    assert "<|im_start|>assistant" in str(made.processor.chat_template)


def test_the_run_folder_of_its_rollouts_can_be_reported(uninterrupted: Path, tmp_path: Path) -> None:
    run = load_run(uninterrupted / "rollouts")
    assert len(run.trajectories) == len(run.rows) == STEPS * 4
    assert any(turn.text == CALL for t in run.trajectories.values() for turn in t.turns)
    assert "grpo_tiny · rollouts" in write_report(report_runs([run]), tmp_path)[1].read_text()


def test_a_run_that_was_killed_goes_on_as_if_it_had_not_been(
    uninterrupted: Path, command: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    words = [*command, f"out={tmp_path / 'killed'}"]
    _kill_after(tmp_path / "killed" / "checkpoint-3" / "recipe.yaml", [sys.executable, "-m", "training.grpo", *words])
    assert not (tmp_path / "killed" / "finished.json").exists()
    assert main(words) == 0
    whole, resumed = load_metrics(uninterrupted), load_metrics(tmp_path / "killed")
    assert [record.step for record in resumed] == [record.step for record in whole]
    for ours, theirs in zip(resumed, whole, strict=True):  # sums over several threads differ in their last digits
        assert _comparable(ours)[1] == pytest.approx(_comparable(theirs)[1], rel=1e-4, abs=1e-6)
    before, after = load_run(uninterrupted / "rollouts"), load_run(tmp_path / "killed" / "rollouts")
    assert {key: t.turns for key, t in after.trajectories.items()} == {key: t.turns for key, t in before.trajectories.items()}
    assert main(words) == 0
    assert "finished already" in capfd.readouterr().err


def _kill_after(file: Path, command: list[str]) -> None:
    environment = clean_environment(PYTHONPATH=str(ROOT))
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while not file.exists():
            assert process.poll() is None, "the run ended before it could be killed"
            time.sleep(0.01)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=60)


def _comparable(record: Metrics) -> tuple[int, dict[str, float]]:
    """What a step found, without how long it took."""
    timed = ("time/", "step_time", "step_s", "tokens_per_s", "profiling/")
    return record.step, {name: value for name, value in record.values.items() if not name.startswith(timed)}


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_fits_what_it_is_written_for(name: str, memorised: Path) -> None:
    models = {"grpo_7b": "Qwen/Qwen2.5-VL-7B-Instruct", "grpo_3b_1gpu": "Qwen/Qwen2.5-VL-3B-Instruct", "grpo_tiny": memorised}
    check_fits(load_recipe(Path(name), {"model": str(models[name])}), here=False)


def test_the_papers_settings_stand_in_its_recipe() -> None:
    recipe = load_recipe(Path("grpo_7b"))
    assert recipe.grpo is not None
    assert (recipe.grpo.group, recipe.grpo.temperature, recipe.grpo.kl, recipe.train.batch) == (6, 1.0, 0.001, 64)
    assert (recipe.grpo.max_prompt_tokens, recipe.grpo.max_completion_tokens) == (25_600, 32_756)
    assert (recipe.train.learning_rate, recipe.train.epochs, recipe.machine.devices) == (1e-6, 15, 8)
    protocol = rollout_protocol(recipe)
    assert (protocol.max_turns, protocol.max_pixels, protocol.temperature) == (4, 5120 * 28 * 28, 1.0)


def _changed(memorised: Path, **changes: object) -> Recipe:
    return load_recipe(Path("grpo_tiny"), {"model": str(memorised), **{k.replace("__", "."): v for k, v in changes.items()}})


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"grpo.rewards": "{agra: 1.0}"}, "grpo.rewards: unknown agra; known: accuracy, format, agar, agar_released"),
        ({"grpo.max_completion_tokens": "400"}, "crops would vanish in silence"),
        ({"train.per_device": "3"}, "is not divisible"),
        ({"grpo.group": "1"}, "grpo.group=1 must be at least 2"),
        ({"grpo.judge": "nobody"}, "unknown judge card 'nobody'"),
        ({"protocol": "mini_o3"}, "rollouts read turns and end them as the default of these settings has it"),
        ({"protocol": "pixel_reasoner"}, "sets call_dialect, call_place"),
        ({"protocol": "cof_forced"}, "forces the text of turns (turn_patterns)"),
        ({"stage": "sft"}, "stage sft has no use for a section grpo"),
    ],
)
def test_a_recipe_that_cannot_work_says_so_before_anything_loads(
    changes: dict[str, str], says: str, memorised: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    words = [f"{key}={value}" for key, value in changes.items()]
    assert main(["grpo_tiny", f"model={memorised}", f"out={tmp_path / 'out'}", *words]) == 2
    assert says in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "out").exists()


def test_vllm_is_told_the_limits_of_a_turn_and_never_to_sample_an_image(memorised: Path, tmp_path: Path) -> None:
    recipe = _changed(memorised, grpo__generation="vllm")
    arguments = grpo_arguments(recipe, open_checkpoint(recipe), tmp_path)
    image = open_checkpoint(recipe).image_token_id
    assert arguments.generation_kwargs == {"max_tokens": 96, "logit_bias": {image: -100.0}}
    assert (arguments.use_vllm, arguments.vllm_mode, arguments.vllm_max_model_length) == (True, "colocate", 2048)


def test_images_that_vllm_would_resize_are_refused(memorised: Path) -> None:
    recipe = _changed(memorised, grpo__generation="vllm", max_pixels=3840 * 3840 + 1)
    with pytest.raises(RecipeError, match="boxes would be in another frame"):
        check_pixels(recipe, open_checkpoint(recipe))
