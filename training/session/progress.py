"""What a training run says while it runs: how many steps there are, a bar, and a readable line for each logged step."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Mapping
from typing import Any

from tqdm import tqdm

LINE: Mapping[str, str] = {
    "loss": "loss",
    "mean_token_accuracy": "token accuracy",
    "reward": "reward",
    "rollout/zooms": "zooms",
    "rollout/tool_errors": "tool errors",
    "rollout/truncated": "truncated",
    "rollout/unscored": "unscored",
    "kl": "KL",
    "grad_norm": "gradient norm",
    "learning_rate": "learning rate",
}
"""Metrics of a line, in their order, and what they are called there; `metrics.jsonl` holds all."""


def line(step: int, steps: int, logs: Mapping[str, Any], left_s: float) -> str:
    """A logged step as people read it, with the time that the rest takes."""
    known = [f"{said} {float(logs[name]):.4g}" for name, said in LINE.items() if isinstance(logs.get(name), int | float)]
    return "  ".join([f"step {step:>{len(str(steps))}}/{steps}", *known, f"left {left_s / 60:.1f} min"])


def replace_progress_output(trainer: Any) -> None:
    """Have a trainer of transformers say `line`s under a bar, in place of everything that it logs."""
    from transformers import PrinterCallback, ProgressCallback, TrainerCallback

    class Speaker(TrainerCallback):  # type: ignore[misc]  # transformers is untyped here
        """Speaks from the main process, on stderr."""

        def on_train_begin(self, args: Any, state: Any, control: Any, **more: Any) -> None:
            self._since, self._first = time.monotonic(), state.global_step
            here = state.is_world_process_zero
            self._bar = tqdm(
                desc="train",
                unit="step",
                total=state.max_steps,
                initial=self._first,
                file=sys.stderr,
                disable=None if here else True,
            )
            if here:
                done = f", {self._first} of them done" if self._first else ""
                tqdm.write(f"training: {state.max_steps} steps, {state.num_train_epochs} epochs{done}", file=sys.stderr)

        def on_step_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
            self._bar.update(state.global_step - self._bar.n)

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **more: Any) -> None:
            if state.is_world_process_zero and logs and "loss" in logs:
                seconds, done = time.monotonic() - self._since, state.global_step - self._first
                left_s = seconds / max(1, done) * (state.max_steps - state.global_step)
                tqdm.write(line(state.global_step, state.max_steps, logs, left_s), file=sys.stderr)

        def on_train_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
            self._bar.close()
            if state.is_world_process_zero:
                seconds = time.monotonic() - self._since
                tqdm.write(f"trained {state.global_step - self._first} steps in {seconds:.0f} s", file=sys.stderr)

    logging.getLogger("trl.trainer.grpo_trainer").addFilter(_worth_saying)
    for kind in (PrinterCallback, ProgressCallback):
        trainer.remove_callback(kind)
    trainer.add_callback(Speaker())


def _worth_saying(record: logging.LogRecord) -> bool:
    """Leaves out TRL's page about a rollout without a reward: an answer that nobody could judge is counted in `metrics.jsonl`."""
    return "reward functions returned None" not in record.getMessage()
