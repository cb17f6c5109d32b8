"""Second stage: with the vision encoder fixed, the language model learns to look plates up, to place them, and to compare places.

Features of a pool of scenes are computed once. A sequence is one image and many look-ups, so that most of what is computed
is taught; answers and calls from thoughts are taught along with it, without any image.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

import torch
from torch import nn

from cof_eval.benchmarks.synthetic import questions
from cof_eval.benchmarks.synthetic.world import COLOURS, NATIVE, Scene
from cof_eval.benchmarks.vstar_mini import TRAINING
from cof_eval.core.records import Size

from . import lessons
from .chat_tokens import ChatTokenizer, Piece, run_model
from .pixels import patches, shown
from .session import Session
from .vision import SIZE


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneSampling:
    """Scenes shown at one size."""

    size: Size
    pool: int
    """Scenes whose features are kept."""
    images: int
    """In one step."""
    share: float = 1.0
    """Of the steps."""
    smallest: float = 0.0
    """The fraction of the range of sizes that is excluded, from the smallest on."""


SMALL = (SceneSampling(size=SIZE, pool=4_000, images=32, smallest=0.75),)
"""Plates whose dots can be read, at the size that costs least."""
FEW = (SceneSampling(size=SIZE, pool=4_000, images=10, smallest=0.75),)
ALL_SIZES = (
    SceneSampling(size=SIZE, pool=2_000, images=10, share=0.4),
    SceneSampling(size=(504, 392), pool=800, images=6, share=0.3),
    SceneSampling(size=(756, 588), pool=300, images=4, share=0.2),
    SceneSampling(size=NATIVE, pool=120, images=2, share=0.1),
)
FEWER = (
    SceneSampling(size=SIZE, pool=600, images=2, share=0.5),
    SceneSampling(size=(504, 392), pool=200, images=2, share=0.3),
    SceneSampling(size=(756, 588), pool=60, images=1, share=0.2),
)
"""To keep what was learned while something else is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguagePlan:
    """How long and how fast."""

    stage: str
    """Names its checkpoint."""
    steps: int
    views: tuple[SceneSampling, ...] = SMALL
    lists: float = 0.0
    """Fraction of the images whose plates are only listed."""
    turns: int = 8
    """Questions about each other image."""
    full: float = 0.0
    """Fraction of the questions that are asked as in the benchmark, with options."""
    texts: int = 12
    """Questions without image in a step."""
    calls: int = 0
    """Calls without image in a step."""
    learning_rate: float = 2e-3
    warmup: int = 50


@dataclass(frozen=True, slots=True)
class Pool:
    """Scenes and what the vision encoder makes of them."""

    size: Size
    """Of the images, px."""
    scenes: list[Scene]
    features: torch.Tensor
    """(scenes, tokens, width)."""


@torch.no_grad()  # type: ignore[untyped-decorator]  # torch is not followed by mypy
def fill_pool(model: Any, views: SceneSampling, *, seed: str) -> Pool:
    """Draw scenes and encode them."""
    size, features = views.size, []
    rng, at_once = Random(f"{TRAINING}/{seed}/{size}"), max(1, 32 * SIZE[0] * SIZE[1] // (size[0] * size[1]))
    scenes = [lessons.scene_with_one_of_each(rng, smallest=views.smallest) for _ in range(views.pool)]
    for first in range(0, views.pool, at_once):
        values, grids = patches(
            [shown(scene, size, fine=1 if size == NATIVE else 2) for scene in scenes[first : first + at_once]]
        )
        tokens = model.model.visual(values, grid_thw=grids).pooler_output
        features.append(tokens.view(len(grids), -1, tokens.shape[-1]))
    return Pool(size, scenes, torch.cat(features))


def train_language(model: Any, tokenizer: Any, session: Session, plan: LanguagePlan) -> None:
    """Train the language model in place, the vision encoder fixed, going on where the session stopped."""
    chat_tokenizer = ChatTokenizer(tokenizer)
    pools: list[Pool] = []
    module = nn.ModuleDict({"language": model.model.language_model, "lm_head": model.lm_head})
    for step, optimizer in session.steps(
        plan.stage, module, steps=plan.steps, learning_rate=plan.learning_rate, warmup=plan.warmup
    ):
        rng = Random(f"{TRAINING}/{plan.stage}/{step}")
        pools = pools or [fill_pool(model, views, seed=plan.stage) for views in plan.views]
        (which,) = rng.choices(range(len(pools)), [views.share for views in plan.views])
        pool, chosen = pools[which], rng.sample(range(plan.views[which].pool), plan.views[which].images)
        lists = rng.random() < plan.lists  # all of a step, so that its sequences are of about the same length
        about = [_about(pool, i, plan, rng, lists=lists) for i in chosen]
        loss, said = measured(model, chat_tokenizer, about, pool.features[chosen], pool.size)
        if plan.texts:
            answers, answered = measured(model, chat_tokenizer, [lessons.answer_from_thought(rng) for _ in range(plan.texts)])
            loss, said = loss + answers, {**said, "side": answered["side"], "option": answered["colour"]}
        if plan.calls:
            calls, called = measured(model, chat_tokenizer, [lessons.call_from_thought(rng) for _ in range(plan.calls)])
            loss, said = loss + calls, {**said, "call": called["digit"]}
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        optimizer.step()
        session.log(said)


def _about(pool: Pool, index: int, plan: LanguagePlan, rng: Random, *, lists: bool) -> list[Piece]:
    """What is said about one scene."""
    scene, tokens = pool.scenes[index], pool.features.shape[1]
    if lists:
        return lessons.look_up_turns(scene, tokens, rng)
    full = sum(rng.random() < plan.full for _ in range(plan.turns))
    turns = [*lessons.short_turns(scene, plan.turns - full, rng), *(lessons.full_turn(scene, rng) for _ in range(full))]
    rng.shuffle(turns)
    return lessons.conversation(turns, tokens)


def measured(
    model: Any,
    chat_tokenizer: ChatTokenizer,
    conversations: list[list[Piece]],
    features: torch.Tensor | None = None,
    size: Size = SIZE,
) -> tuple[torch.Tensor, dict[str, float]]:
    """The loss of conversations, about images of these features or without any, and the fraction of colours, digits and sides that were right."""
    batch = chat_tokenizer.batch(conversations)
    loss, telling, right = chat_tokenizer.loss(run_model(model, chat_tokenizer, batch, features, size), batch["labels"])
    names = [chat_tokenizer.tokenizer.decode([i]).strip() for i in telling.tolist()]
    groups: dict[str, Callable[[str], bool]] = {
        "colour": lambda n: n in COLOURS,
        "digit": str.isdigit,
        "side": lambda n: n in questions.SIDES,
    }
    said = {"loss": loss.item()}
    for group, belongs in groups.items():
        found = [ok for name, ok in zip(names, right.tolist(), strict=True) if belongs(name)]
        said[group] = sum(found) / len(found) if found else float("nan")
    return loss, said
