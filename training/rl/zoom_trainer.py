"""TRL's GRPO trainer, watched: ends and judges the rollouts of each batch, logs them, and takes the time of its stages.

Nothing of the algorithm changes. The methods that are overridden belong to TRL 1.16 (the project pins it) and hand on
what they are given; `tests/training/rl/test_zoom_trainer.py` checks what is relied on.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from trl import GRPOTrainer
from trl.trainer.utils import RepeatSampler

from cof_eval.core.errors import EngineUnusableError
from cof_eval.core.records import Outcome, Row, Trajectory, Verdict, digest
from training.rl.rollout_log import LoggedRollout, RolloutLog
from training.rl.scorer import Scorer
from training.rl.zoom_environment import SampledCompletion, end_rollouts


class EpochSampler(RepeatSampler):  # type: ignore[misc]
    """TRL's sampler with an order that seed and epoch alone decide: a run that is resumed draws the prompts it would have drawn."""

    def set_epoch(self, epoch: int) -> None:
        """The trainer says which epoch begins."""
        if self.shuffle:
            self.generator.manual_seed((self.seed or 0) * 1_000_003 + epoch)


class ZoomTrainer(GRPOTrainer):  # type: ignore[misc]
    """A GRPO trainer whose environments are `ZoomEnvironment`s and whose dataset rows come from `prompts.prompt_rows`."""

    def __init__(self, *arguments: Any, scorer: Scorer, log: RolloutLog, **options: Any) -> None:
        """As `GRPOTrainer`, with what judges and what keeps the rollouts."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="You are using 'environment_factory'")  # known: TRL is pinned for it
            super().__init__(*arguments, **options)
        self._scorer = scorer
        self._log = log
        self._ended: list[Trajectory] = []

    def _get_train_sampler(self, dataset: Any = None) -> EpochSampler:
        """TRL's sampler, made to begin any epoch as an uninterrupted run would."""
        return EpochSampler(
            data_source=self.train_dataset if dataset is None else dataset,
            mini_repeat_count=self.num_generations,
            batch_size=self.args.generation_batch_size // self.num_generations,
            repeat_count=self.num_iterations * self.args.steps_per_generation,
            shuffle=self.shuffle_dataset,
            seed=self.args.seed,
        )

    def _generate(self, prompts: list[Any]) -> Any:
        """Sample the completions; on return, every rollout has ended."""
        with self._timed("generation"):
            sampled = super()._generate(prompts)
        prompt_ids, completion_ids, own, *_ = sampled
        turns = [
            SampledCompletion(*ids).turns(self._text, self.eos_token_ids, self._image_pad_token_id)
            for ids in zip(prompt_ids, completion_ids, own, strict=True)
        ]
        self._ended = end_rollouts(self.environments, turns)
        return sampled

    def _calculate_rewards(self, inputs: list[dict[str, Any]], *arguments: Any) -> Any:
        """Judge and reward the batch, and log its rollouts."""
        with self._timed("reward"):
            verdicts = self._scorer.score(self._ended, [row["group"] for row in inputs])
            rewards = super()._calculate_rewards(inputs, *arguments)
        if self.model.training:
            self._log.write(self.state.global_step, list(self._logged(inputs, self._ended, verdicts)))
        self._count(self._ended, verdicts)
        return rewards

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> Any:
        """Score a batch, and make sure that the update will see its images."""
        batch = super()._generate_and_score_completions(inputs)
        if "pixel_values" not in batch:
            raise EngineUnusableError(
                "the trainer dropped the images of a batch, because image placeholders and image features did not match; "
                "raise max_completion_length, and keep placeholders from being sampled"
            )
        return batch

    def _text(self, ids: Sequence[int]) -> str:
        return str(self._tokenizer.decode(ids, skip_special_tokens=True))

    def _logged(
        self, rows: Sequence[dict[str, Any]], trajectories: Sequence[Trajectory], verdicts: Sequence[Verdict]
    ) -> Iterator[LoggedRollout]:
        """Each rollout with its place in the run: which sample of its question it is, over all steps."""
        step, first = self.state.global_step, self.accelerator.process_index * len(rows)
        for i, (row, trajectory, verdict) in enumerate(zip(rows, trajectories, verdicts, strict=True), start=first):
            repeat = step * self.num_generations + i % self.num_generations
            key = digest("grpo", self.args.seed, step, i, trajectory.key)
            place: Row = row["row"]
            self._log.keep_image(trajectory.shown.hash, row["images"][0])
            yield LoggedRollout(
                replace(place, repeat=repeat, trajectory=key), replace(trajectory, key=key, repeat=repeat), verdict
            )

    def _count(self, trajectories: Sequence[Trajectory], verdicts: Sequence[Verdict]) -> None:
        """Add what the rollouts were like to the step's metrics."""
        metrics = self._metrics["train" if self.model.training else "eval"]
        counts: dict[str, list[float]] = {
            "rollout/turns": [len(t.turns) for t in trajectories],
            "rollout/zooms": [t.zooms for t in trajectories],
            "rollout/tool_errors": [t.tool_errors for t in trajectories],
            "rollout/truncated": [t.stop.truncated for t in trajectories],
            "rollout/unscored": [v.verdict is Outcome.UNSCORED for v in verdicts],
        }
        for name, values in counts.items():
            metrics[name].append(self._mean(values))

    def _mean(self, values: Sequence[float]) -> float:
        import torch

        local = torch.tensor(list(values), dtype=torch.float32, device=self.accelerator.device)
        return float(self.accelerator.gather(local).mean())

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        """Add a stage's seconds to the step's metrics."""
        started = time.perf_counter()
        yield
        self._metrics["train" if self.model.training else "eval"][f"time/{stage}_s"].append(time.perf_counter() - started)
