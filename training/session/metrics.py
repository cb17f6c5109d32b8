"""What a training run measured: one record a logged step, on disk before the next begins."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cof_eval.core.journal import Journal, read_journal

FILE = "metrics.jsonl"


@dataclass(frozen=True, slots=True)
class Metrics:
    """The metrics of one optimizer step."""

    step: int
    epoch: float
    values: dict[str, float]
    """As TRL names them (`loss`, `grad_norm`, `learning_rate`, `mean_token_accuracy`, …), and `step_s` and `tokens_per_s`."""


def load_metrics(folder: Path) -> list[Metrics]:
    """The metrics of a run, by step; of a step that was done again after a crash, the last.

    Raises:
        RunError: if the file is damaged.
    """
    by_step = {record.step: record for record in read_journal(folder / FILE, Metrics)}
    return [by_step[step] for step in sorted(by_step)]


def metrics_callback(folder: Path) -> Any:
    """A callback of transformers' `Trainer` that writes `metrics.jsonl` (from the main process only)."""
    from transformers import TrainerCallback

    class Writer(TrainerCallback):  # type: ignore[misc]  # transformers is untyped here
        """Writes each step that is logged with a loss."""

        def __init__(self) -> None:
            self._journal: Journal[Metrics] | None = None
            self._clock = Clock()

        def on_train_begin(self, args: Any, state: Any, control: Any, **more: Any) -> None:
            if state.is_world_process_zero:
                self._journal = Journal(folder / FILE, Metrics)
            self._clock.start(state.global_step)

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **more: Any) -> None:
            if self._journal is not None and logs and "loss" in logs:
                values = numbers(logs) | self._clock.lap(state.global_step, logs.get("num_tokens"))
                self._journal.append(Metrics(state.global_step, float(state.epoch or 0.0), values))

        def on_train_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
            if self._journal is not None:
                self._journal.close()

    return Writer()


def numbers(logs: Mapping[str, Any]) -> dict[str, float]:
    """The finite numbers of a log; the epoch stands elsewhere."""
    found = {name: float(value) for name, value in logs.items() if isinstance(value, int | float) and name != "epoch"}
    return {name: value for name, value in found.items() if math.isfinite(value)}


class Clock:
    """Seconds of a step and tokens of a second, between two logs."""

    def start(self, step: int) -> None:
        """Begin, at a step that is done already."""
        self._step, self._tokens, self._since = step, 0.0, time.monotonic()

    def lap(self, step: int, tokens: float | None) -> dict[str, float]:
        """What was measured since the last lap; `tokens` counts all that were trained on in this session or before."""
        now = time.monotonic()
        steps, seconds = max(1, step - self._step), max(now - self._since, 1e-9)
        values = {"step_s": seconds / steps}
        if tokens is not None:
            values |= {"tokens_per_s": (tokens - self._tokens) / seconds} if self._tokens else {}
            self._tokens = tokens
        self._step, self._since = step, now
        return values
