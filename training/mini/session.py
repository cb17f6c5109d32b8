"""A training session in a folder: steps that resume where they stopped, a line of progress with the time left, and metrics."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from cof_eval.core.files import whole_file


@dataclass
class Session:
    """The state of one training: every stage has a checkpoint of its own name in the folder."""

    folder: Path
    log_steps: int = 25
    save_s: float = 60.0
    """A checkpoint is written when the last one is this old, seconds."""
    frozen: bool = False
    """Whether stages are only loaded, as far as they were trained."""
    _recent: list[dict[str, float]] = field(default_factory=list)

    def steps(
        self, stage: str, module: nn.Module, *, steps: int, learning_rate: float, warmup: int
    ) -> Iterator[tuple[int, torch.optim.Optimizer]]:
        """The steps of a stage that are still to be done, each with the optimizer at its learning rate.

        The learning rate rises over `warmup` steps and then falls to a tenth along a cosine. Weights and optimizer are stored every
        `save_s` seconds and at the end; a stage that was finished is loaded and yields nothing.
        """
        optimizer = torch.optim.AdamW(
            [p for p in module.parameters() if p.requires_grad], lr=learning_rate, betas=(0.9, 0.98), weight_decay=0.01
        )
        schedule = torch.optim.lr_scheduler.SequentialLR(
            optimizer,
            [
                torch.optim.lr_scheduler.LinearLR(optimizer, 0.05, total_iters=warmup),
                torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(1, steps - warmup), eta_min=learning_rate / 10),
            ],
            milestones=[warmup],
        )
        first = self._load(stage, module, optimizer, schedule)
        started = saved = time.monotonic()
        for step in range(first, first if self.frozen else steps):
            yield step, optimizer
            schedule.step()
            now = time.monotonic()
            if (step + 1) % self.log_steps == 0 or step + 1 == steps:
                left = (now - started) / (step + 1 - first) * (steps - step - 1)
                self._report(stage, step + 1, steps, left)
            if now - saved >= self.save_s or step + 1 == steps:
                self._save(stage, step + 1, module, optimizer, schedule)
                saved = now

    def log(self, measured: dict[str, float]) -> None:
        """Note what one step measured."""
        self._recent.append(measured)

    def _report(self, stage: str, step: int, steps: int, left_s: float) -> None:
        means: dict[str, float] = {}
        for name in self._recent[0] if self._recent else ():
            values = [one[name] for one in self._recent if one[name] == one[name]]
            means[name] = round(sum(values) / len(values), 4) if values else float("nan")
        self._recent.clear()
        with (self.folder / "metrics.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps({"stage": stage, "step": step, **means}) + "\n")
        said = " ".join(f"{name} {value:.3f}" for name, value in means.items())
        print(f"{stage} {step}/{steps} {said} left {left_s / 60:.1f} min", file=sys.stderr, flush=True)

    def _path(self, stage: str) -> Path:
        return self.folder / f"{stage}.pt"

    def _save(self, stage: str, step: int, module: nn.Module, optimizer: Any, schedule: Any) -> None:
        state = {
            "step": step,
            "module": module.state_dict(),
            "optimizer": optimizer.state_dict(),
            "schedule": schedule.state_dict(),
        }
        with whole_file(self._path(stage)) as file:
            torch.save(state, file)

    def _load(self, stage: str, module: nn.Module, optimizer: Any, schedule: Any) -> int:
        if not self._path(stage).is_file():
            return 0
        state = torch.load(self._path(stage), weights_only=True)
        module.load_state_dict(state["module"])
        optimizer.load_state_dict(state["optimizer"])
        schedule.load_state_dict(state["schedule"])
        return int(state["step"])
