"""What tests of training share: scenes, a model that learned to zoom by heart, and trainers on both."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from memorised import RESOLUTION, ZOOMING, write_memorised
from tiny_run import tiny_recipe

from cof_eval.agent.protocols import Protocol
from cof_eval.benchmarks import BENCHMARKS, Item
from cof_eval.benchmarks.synthetic.scenes import write_scenes
from training.data.conversation import adopt_template
from training.recipe.recipe_file import to_yaml
from training.tiny import write_tiny


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`checkpoint/`, `vstar/` and `conversations/` of the tiny recipes."""
    folder = tmp_path_factory.mktemp("tiny")
    write_tiny(folder, count=12)
    return folder


@pytest.fixture(scope="session")
def processor(tiny_data: Path) -> Any:
    """The tiny checkpoint's processor with the contract's template, for images as small as the tests like."""
    from transformers import AutoProcessor

    loaded = adopt_template(AutoProcessor.from_pretrained(str(tiny_data / "checkpoint")))
    loaded.image_processor.size = {"shortest_edge": 3136, "longest_edge": 12_845_056}
    return loaded


@pytest.fixture(scope="session")
def recipe_file(tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`sft_tiny` for eight steps, kept every second."""
    file = tmp_path_factory.mktemp("recipe") / "tiny.yaml"
    file.write_text(to_yaml(tiny_recipe(tiny_data, file.parent / "run", **{"train.max_steps": 8, "keep.every_steps": 2})))
    return file


@pytest.fixture(scope="session")
def trained(recipe_file: Path) -> Path:
    """The folder of a run that nothing interrupted."""
    from training.sft import main

    assert main([str(recipe_file)]) == 0
    return recipe_file.parent / "run"


@pytest.fixture(scope="session")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> list[Item]:
    """Four generated questions with images."""
    return BENCHMARKS["vstar"].load(write_scenes(tmp_path_factory.mktemp("scenes") / "vstar", count=4, seed=0))


@pytest.fixture(scope="session")
def memorised(scenes: list[Item], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny checkpoint that mostly zooms and then answers A or B."""
    return write_memorised(tmp_path_factory.mktemp("memorised") / "model", scenes, ZOOMING, RESOLUTION)


@pytest.fixture
def trainer(memorised: Path, scenes: list[Item], tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Makes a GRPO trainer on the scenes; its run folder, runner and processor hang on the result."""
    from training.rl.zoom_trainer import ZoomTrainer

    opened: list[Any] = []

    def make(kind: type[ZoomTrainer] = ZoomTrainer, *, protocol: Protocol = ZOOMING, **options: Any) -> SimpleNamespace:
        made = _make(kind, memorised, scenes, tmp_path / f"run-{len(opened)}", protocol, options)
        opened.append(made)
        return made

    yield make
    for made in opened:
        made.run.close()
        made.runner.close()


def _make(
    kind: Any, checkpoint: Path, scenes: list[Item], folder: Path, protocol: Protocol, options: dict[str, Any]
) -> SimpleNamespace:
    from trl import GRPOConfig

    from cof_eval.engines.checkpoint import load_checkpoint
    from cof_eval.judging import Judge, judge_settings, load_card
    from cof_eval.runs.folder import RunFolder
    from training.data.conversation import adopt_template
    from training.rl.prompts import prompt_rows
    from training.rl.rollout_log import RolloutLog
    from training.rl.scorer import Scorer
    from training.rl.zoom_environment import ZoomEnvironmentFactory

    loaded, runner = load_checkpoint(str(checkpoint)), asyncio.Runner()
    judge = Judge(load_card("equivalence"))
    run = RunFolder(folder / "rollouts", {"model": {"pretrained": "memorised"}, "judge": judge_settings(judge)})
    log, scorer = RolloutLog(run), Scorer(judge, runner)
    arguments = {
        "output_dir": str(folder), "max_steps": 2, "num_generations": 2, "per_device_train_batch_size": 4, "beta": 0.0,
        "gradient_accumulation_steps": 1, "max_completion_length": 700, "max_tool_calling_iterations": protocol.max_turns - 1,
        "generation_kwargs": {"max_new_tokens": protocol.max_new_tokens}, "use_cpu": True, "bf16": False, "seed": 1,
        "gradient_checkpointing": False, "logging_steps": 1, "report_to": "none", "save_strategy": "no",
        "remove_unused_columns": False, "disable_tqdm": True, "reward_weights": [0.9, 0.1],
    }  # fmt: skip
    trainer = kind(
        str(checkpoint),
        [scorer.reward("accuracy"), scorer.reward("format")],
        GRPOConfig(**arguments | options),
        prompt_rows(scenes, protocol, loaded.limits, RESOLUTION),
        processing_class=adopt_template(loaded.processor),
        environment_factory=ZoomEnvironmentFactory(
            protocol=protocol, limits=loaded.limits, runner=runner, keep_image=log.keep_image
        ),
        scorer=scorer,
        log=log,
    )
    limits = protocol.limits(loaded.limits)
    return SimpleNamespace(trainer=trainer, run=run, runner=runner, checkpoint=loaded, limits=limits, protocol=protocol)
