"""First stage: the vision encoder learns, on crowded scenes, what each visual token shows.

A small head on the merged tokens tells the plate's colour, the dot's, and the place; it is dropped afterwards. Question and answer
pairs alone teach an untrained encoder nothing in any affordable time. Its attention reaches no further than 112 px, so that small windows
of scenes at every scale show it all that it will ever see.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from cof_eval.benchmarks.synthetic.world import COLOURS
from cof_eval.benchmarks.vstar_mini import TRAINING

from .checkpoint import WIDTH
from .pixels import COLUMNS, ROWS, Labels, draw_crowd, label, patches, window
from .session import Session

SIZE = (252, 196)
"""px; what a scene shown at 224 has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VisionPlan:
    """How long and how fast."""

    stage: str = "vision"
    """Names its checkpoint."""
    steps: int
    batch: int = 16
    learning_rate: float = 2e-3
    warmup: int = 100


class Head(nn.Module):  # type: ignore[misc]  # torch is not followed by mypy
    """Reads plate, dot and place from a merged token."""

    def __init__(self) -> None:
        super().__init__()
        self.plate = nn.Linear(WIDTH, len(COLOURS) + 1)
        self.dot = nn.Linear(WIDTH, len(COLOURS) + 1)
        self.column = nn.Linear(WIDTH, COLUMNS)
        self.row = nn.Linear(WIDTH, ROWS)

    def forward(self, tokens: torch.Tensor) -> dict[str, torch.Tensor]:
        """Logits of the plate's and the dot's colour, and of the place's column and row, for tokens of shape (n, width)."""
        return {name: layer(tokens) for name, layer in self.named_children()}


def dense_loss(head: Head, tokens: torch.Tensor, labels: list[Labels]) -> tuple[torch.Tensor, dict[str, float]]:
    """The loss of all tokens, and how much of each kind is right."""
    told = head(tokens)
    truth = {name: torch.from_numpy(np.concatenate([getattr(one, name) for one in labels])) for name in told}
    there = truth["plate"] < len(COLOURS)
    weight = torch.ones(len(COLOURS) + 1)
    weight[-1] = 0.3
    loss = functional.cross_entropy(told["plate"], truth["plate"], weight=weight)
    loss = loss + functional.cross_entropy(told["dot"], truth["dot"], ignore_index=-100)
    for name in ("column", "row"):
        each = functional.cross_entropy(told[name], truth[name], reduction="none")
        loss = loss + 0.5 * each[there].mean() + 0.2 * each.mean()
    right = {name: logits.argmax(-1) == truth[name] for name, logits in told.items()}
    legible = there & (truth["dot"] < len(COLOURS))
    return loss, {
        "loss": loss.item(),
        "plate": _share(right["plate"], there),
        "nothing": _share(right["plate"], ~there),
        "dot": _share(right["dot"], legible),
        "column": _share(right["column"], there),
        "row": _share(right["row"], there),
    }


def _share(right: torch.Tensor, among: torch.Tensor) -> float:
    return float(right[among].float().mean()) if among.any() else float("nan")


def build_head(seed: int) -> Head:
    """An untrained head, without touching the caller's random state."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Head()


def train_vision(model: Any, head: Head, session: Session, plan: VisionPlan) -> None:
    """Train the vision encoder and its head in place, resuming where the session stopped."""
    visual = model.model.visual
    module = nn.ModuleDict({"visual": visual, "head": head})
    for step, optimizer in session.steps(
        plan.stage, module, steps=plan.steps, learning_rate=plan.learning_rate, warmup=plan.warmup
    ):
        rng = Random(f"{TRAINING}/{plan.stage}/{step}")
        crowds = [draw_crowd(rng) for _ in range(plan.batch)]
        values, grids = patches([window(*crowd) for crowd in crowds])
        tokens = visual(values, grid_thw=grids).pooler_output
        loss, said = dense_loss(head, tokens, [label(*crowd) for crowd in crowds])
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        optimizer.step()
        session.log(said)
