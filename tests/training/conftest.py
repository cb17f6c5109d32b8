"""What tests of training share: scenes, a model that learned to zoom by heart, and trainers on both."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from memorised import RESOLUTION, ZOOMING, write_memorised

from cof_eval.benchmarks import BENCHMARKS, Item
from cof_eval.demo.scenes import write_scenes
from cof_eval.protocols import Protocol


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
    from training.zoom_trainer import ZoomTrainer

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
    from cof_eval.run import RunFolder
    from training.conversation import adopt_template
    from training.prompts import prompt_rows
    from training.rollout_log import RolloutLog
    from training.scorer import Scorer
    from training.zoom_environment import ZoomRoom

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
        environment_factory=ZoomRoom(protocol=protocol, limits=loaded.limits, runner=runner, keep_image=log.keep_image),
        scorer=scorer,
        log=log,
    )
    limits = protocol.limits(loaded.limits)
    return SimpleNamespace(trainer=trainer, run=run, runner=runner, checkpoint=loaded, limits=limits, protocol=protocol)
