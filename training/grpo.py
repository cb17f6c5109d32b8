"""Reinforcement learning with a zoom tool: `python -m training.grpo RECIPE [key=value …]`. The same command resumes after a crash.

TRL's `GRPOTrainer` on rollouts that are the evaluation's own: its agent, its tool, its prompts and its verdicts. Every
rollout is kept in the run folder `rollouts/`, which `cof-eval report` opens.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import msgspec

from cof_eval.agent.protocols import Precedence, Protocol
from cof_eval.agent.protocols.protocol import default_settings
from cof_eval.agent.reply import AnswerSyntax, CallSyntax, Reading
from cof_eval.agent.zoom import BadCall
from cof_eval.benchmarks import Item
from cof_eval.core.images import ImageSource
from cof_eval.core.provenance import git_commit, machine, versions
from cof_eval.core.resolution import parse_resolution
from cof_eval.core.settings import api_key, judge_url
from cof_eval.engines.checkpoint import Checkpoint, fingerprint
from cof_eval.judging import Judge, judge_settings, load_card, start_judge
from cof_eval.runs.folder import RunFolder

from .data.prepare import PreparedData
from .data.rows import TrainingRow
from .recipe.recipe import Generation, Grpo, Recipe, RecipeError, Stage
from .rl.prompts import prompt_rows
from .rl.rewards import REWARDS
from .rl.rollout_log import RolloutLog
from .rl.scorer import Scorer
from .rl.zoom_environment import ZoomEnvironmentFactory
from .session import session
from .session.folder import TrainingFolder
from .session.model import adapter_config, load_weights

_READ = (CallSyntax.TOOL_CALL, AnswerSyntax.TAG, Precedence.ANSWER)
"""How turns are read in rollouts with a tool: what `conversation.RESPONSE_TEMPLATE` and `rewards.well_formed` say."""

_AS_BY_DEFAULT = (
    *(f.name for f in fields(Reading) if f.name not in ("call_syntax", "answer_syntax")),
    *("at_limit", "answer_turns_all", "stop", "stop_kept", "zoom_tokens", "presence_penalty", "frequency_penalty"),
)
"""Settings that TRL's rollouts cannot follow at another value than their default."""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    return session.parser(Stage.GRPO)


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    words = sys.argv[1:] if arguments is None else arguments
    return session.run_command(Stage.GRPO, words, refuse=check_stage, build=build_trainer)


def check_stage(recipe: Recipe) -> None:
    """Whether GRPO can work by this recipe at all.

    Raises:
        UsageError: saying what it cannot do.
    """
    check_protocol(recipe.protocol_settings())
    check_rewards(recipe)


def check_protocol(protocol: Protocol) -> None:
    """Whether rollouts can follow the protocol: the template tells TRL which turns are calls, and it reads one syntax.

    Raises:
        RecipeError: naming what it cannot follow.
    """
    if protocol.turn_patterns:
        raise RecipeError(
            f"protocol {protocol.name!r} forces the text of turns (turn_patterns); rollouts must be sampled freely"
        )
    defaults = default_settings()
    others = [name for name in _AS_BY_DEFAULT if getattr(protocol, name) != defaults[name]]
    others += ["bad_call"] if protocol.bad_call is BadCall.ANSWER else []
    if protocol.zooms and others:
        raise RecipeError(
            f"protocol {protocol.name!r} sets {', '.join(others)}; rollouts read turns and end them as the default of these settings has it"
        )
    given = (protocol.call_syntax, protocol.answer_syntax, protocol.precedence)
    if protocol.zooms and given != _READ:
        raise RecipeError(
            f"protocol {protocol.name!r} has call_syntax, answer_syntax, precedence = {', '.join(given)}; rollouts are read with "
            f"{', '.join(_READ)} (or no tool, as in direct)"
        )


def check_rewards(recipe: Recipe) -> None:
    """Whether the recipe's rewards and judge exist.

    Raises:
        RecipeError: naming the unknown reward, and the known ones.
        UsageError: for an unknown judge card.
    """
    grpo = settings(recipe)
    unknown = sorted(set(grpo.rewards) - set(REWARDS))
    if unknown:
        raise RecipeError(f"grpo.rewards: unknown {', '.join(unknown)}; known: {', '.join(REWARDS)}")
    load_card(grpo.judge)


def settings(recipe: Recipe) -> Grpo:
    """The recipe's section `grpo`, which a recipe of this stage always has."""
    assert recipe.grpo is not None, "a recipe of stage grpo without a section grpo is refused when it is read"
    return recipe.grpo


def rollout_protocol(recipe: Recipe) -> Protocol:
    """The protocol as rollouts use it: sampling, and crops no larger than the recipe says."""
    protocol, grpo = recipe.protocol_settings(), settings(recipe)
    crops = min(protocol.max_pixels, recipe.max_pixels, grpo.crop_pixels)
    return replace(protocol, temperature=grpo.temperature, max_pixels=crops)


@contextmanager
def build_trainer(recipe: Recipe, checkpoint: Checkpoint, prepared: PreparedData, folder: TrainingFolder) -> Iterator[Any]:
    """TRL's trainer for a recipe and its data, with a judge and a run folder that are open as long as it is used."""
    from .rl.zoom_trainer import ZoomTrainer

    grpo, protocol = settings(recipe), rollout_protocol(recipe)
    check_pixels(recipe, checkpoint)
    arguments = grpo_arguments(recipe, checkpoint, folder.path)  # before the weights: DeepSpeed spreads them as they are loaded
    with asyncio.Runner() as runner:
        judge = runner.run(start_judge(grpo.judge, grpo.judge_url or judge_url(), api_key()))
        try:
            with _rollouts(recipe, checkpoint, judge, folder, main=arguments.process_index == 0) as log:
                scorer = Scorer(judge, runner)
                yield ZoomTrainer(
                    load_weights(recipe, checkpoint.folder),
                    [scorer.reward(name) for name in grpo.rewards],
                    arguments,
                    prompt_rows(
                        items(prepared.rows()), recipe.protocol_settings(), checkpoint.limits, parse_resolution(grpo.resolution)
                    ),
                    processing_class=checkpoint.processor,
                    peft_config=adapter_config(recipe),
                    environment_factory=ZoomEnvironmentFactory(
                        protocol=protocol, limits=checkpoint.limits, runner=runner, keep_image=log.keep_image
                    ),
                    callbacks=session.callbacks(recipe, folder),
                    scorer=scorer,
                    log=log,
                )
        finally:
            runner.run(judge.close())


def grpo_arguments(recipe: Recipe, checkpoint: Checkpoint, out: Path) -> Any:
    """A recipe in TRL's words."""
    from trl import GRPOConfig

    grpo, protocol = settings(recipe), rollout_protocol(recipe)
    return GRPOConfig(
        **session.common_arguments(recipe, out),
        num_generations=grpo.group,
        temperature=grpo.temperature,
        top_p=protocol.top_p,
        repetition_penalty=protocol.repetition_penalty,
        beta=grpo.kl,
        max_completion_length=grpo.max_completion_tokens,
        max_tool_calling_iterations=protocol.max_turns - 1 if protocol.zooms else 0,
        generation_kwargs=_turn_limits(recipe, checkpoint),
        reward_weights=list(grpo.rewards.values()),
        use_vllm=grpo.generation is Generation.VLLM,
        vllm_mode="colocate",
        vllm_gpu_memory_utilization=grpo.generation_share,
        vllm_max_model_length=grpo.max_prompt_tokens + grpo.max_completion_tokens,
    )


def _turn_limits(recipe: Recipe, checkpoint: Checkpoint) -> dict[str, Any]:
    """A turn's tokens, in the words of what generates; vLLM must also be told never to sample an image placeholder."""
    tokens = recipe.protocol_settings().max_new_tokens
    if settings(recipe).generation is Generation.TRANSFORMERS:
        return {"max_new_tokens": tokens}
    return {"max_tokens": tokens, "logit_bias": {checkpoint.image_token_id: -100.0}}


def check_pixels(recipe: Recipe, checkpoint: Checkpoint) -> None:
    """VLLM reads the checkpoint's own processor: it must leave alone what the recipe shows."""
    if settings(recipe).generation is not Generation.VLLM:
        return
    from cof_eval.engines.checkpoint import load_checkpoint

    own = load_checkpoint(str(checkpoint.folder)).limits
    if recipe.max_pixels > own.max_pixels or recipe.min_pixels < own.min_pixels:
        raise RecipeError(
            f"the recipe shows images of {recipe.min_pixels:,} to {recipe.max_pixels:,} px², and vLLM resizes to the checkpoint's "
            f"own {own.min_pixels:,} to {own.max_pixels:,}: boxes would be in another frame; set min_pixels and max_pixels within"
        )


def items(rows: list[TrainingRow]) -> list[Item]:
    """The questions of prepared rows, and where their images are."""
    return [Item(row.question, ImageSource(path=row.images[0].path)) for row in rows if row.question is not None]


@dataclass(frozen=True, slots=True)
class _RolloutSettings:
    """What a run folder says about how its trajectories came about."""

    recipe: Recipe
    checkpoint: Checkpoint
    judge: Judge

    def settings(self) -> dict[str, Any]:
        """run.yaml of the rollouts."""
        recipe, checkpoint = self.recipe, self.checkpoint
        return {
            "label": f"{recipe.name} · rollouts",
            "model": {"pretrained": recipe.model, "fingerprint": fingerprint(checkpoint.folder)},
            "protocol": msgspec.to_builtins(rollout_protocol(recipe)),
            "engine": {
                "name": f"trl-{settings(recipe).generation}",
                "engine_args": {},
                "limits": msgspec.to_builtins(checkpoint.limits),
                "max_images": recipe.protocol_settings().max_images,
                "context": checkpoint.context,
                "served": None,
            },
            "seed": recipe.train.seed,
            "judge": judge_settings(self.judge),
            "tasks": {},
            "data": {},
            "notes": ["rollouts of a training run: the model changes from step to step"],
            "versions": versions(),
            "machine": machine(),
            "commit": git_commit(),
        }


@contextmanager
def _rollouts(
    recipe: Recipe, checkpoint: Checkpoint, judge: Judge, folder: TrainingFolder, *, main: bool
) -> Iterator[RolloutLog]:
    """The log of the rollouts; only the main process has the run folder open."""
    if not main:
        yield RolloutLog(None)
        return
    with RunFolder(folder.path / "rollouts", _RolloutSettings(recipe, checkpoint, judge).settings()) as run:
        yield RolloutLog(run)


if __name__ == "__main__":
    sys.exit(main())
