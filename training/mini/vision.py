"""First stage: the vision encoder learns, on crowded scenes, what each visual token shows.

A small head on the merged tokens tells the plate's colour, the dot's, and the place; it is dropped afterwards. Question and answer
pairs alone teach an untrained encoder nothing in any affordable time.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from cof_eval.benchmarks.vstar_mini import TRAINING
from cof_eval.mini.world import COLOURS, Scene

from .checkpoint import WIDTH
from .pixels import Labels, crowded, label, patches, shown
from .session import Session

SIZE = (252, 196)
"""px; what a scene shown at 224 has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How long and how fast."""

    stage: str = "vision"
    """Names its checkpoint."""
    steps: int
    crowds: tuple[tuple[int, float, float], ...] = ((30, 2, 60),)
    """(plates, least and largest side in px) of scenes, each kind as often as the others."""
    batch: int = 16
    learning_rate: float = 2e-3
    warmup: int = 100


class Head(nn.Module):  # type: ignore[misc]  # torch is not followed by mypy
    """Reads plate, dot and place from a merged token."""

    def __init__(self) -> None:
        super().__init__()
        self.plate = nn.Linear(WIDTH, len(COLOURS) + 1)
        self.dot = nn.Linear(WIDTH, len(COLOURS) + 1)
        self.place = nn.Linear(WIDTH, 2)

    def forward(self, tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Logits of the plate's and the dot's colour, and the place, for tokens of shape (n, width)."""
        return self.plate(tokens), self.dot(tokens), self.place(tokens)


def dense_loss(head: Head, tokens: torch.Tensor, labels: list[Labels]) -> tuple[torch.Tensor, dict[str, float]]:
    """The loss of all tokens, and how much of each kind is right."""
    plate, dot, place = (
        torch.from_numpy(np.concatenate([getattr(one, name) for one in labels])) for name in ("plate", "dot", "place")
    )
    said_plate, said_dot, said_place = head(tokens)
    there = plate < len(COLOURS)
    weight = torch.ones(len(COLOURS) + 1)
    weight[-1] = 0.3
    off = (said_place - place).abs()
    loss = functional.cross_entropy(said_plate, plate, weight=weight) + functional.cross_entropy(
        said_dot, dot, ignore_index=-100
    )
    loss = loss + 10 * functional.smooth_l1_loss(said_place, place, beta=0.05)
    legible = there & (dot < len(COLOURS))
    return loss, {
        "loss": loss.item(),
        "plate": _share(said_plate.argmax(-1) == plate, there),
        "nothing": _share(said_plate.argmax(-1) == plate, ~there),
        "dot": _share(said_dot.argmax(-1) == dot, legible),
        "place": float(off[there].detach().mean()),
    }


def _share(right: torch.Tensor, among: torch.Tensor) -> float:
    return float(right[among].float().mean()) if among.any() else float("nan")


def build_head(seed: int) -> Head:
    """An untrained head, without touching the caller's random state."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Head()


def train_vision(model: Any, head: Head, session: Session, plan: Plan) -> None:
    """Train the vision encoder and its head in place, going on where the session stopped."""
    visual = model.model.visual
    module = nn.ModuleDict({"visual": visual, "head": head})
    for step, optimizer in session.steps(
        plan.stage, module, steps=plan.steps, learning_rate=plan.learning_rate, warmup=plan.warmup
    ):
        rng = Random(f"{TRAINING}/{plan.stage}/{step}")
        scenes = [_scene(rng, plan) for _ in range(plan.batch)]
        values, grids = patches([shown(scene, SIZE) for scene in scenes])
        tokens = visual(values, grid_thw=grids).pooler_output
        loss, said = dense_loss(head, tokens, [label(scene, SIZE) for scene in scenes])
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        optimizer.step()
        session.log(said)


def _scene(rng: Random, plan: Plan) -> Scene:
    count, least, largest = rng.choice(plan.crowds)
    return crowded(rng, SIZE, count, sides=(least, largest))
