"""Whether a recipe can fit: memory of a device, and tokens of the longest conversation, known before any weight is loaded.

Memory is an estimate from the model's shape, good to about a fifth: it is meant to stop what cannot work, not to fill a
device to the last gigabyte.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from cof_eval.agent.protocols import CallsPerTurn, Protocol
from cof_eval.agent.rollout import MESSAGE_TOKENS
from cof_eval.core.resolution import parse_resolution
from cof_eval.runs.finding import Finding, Level

from .recipe import Device, Method, Precision, Recipe, RecipeError, Sharding
from .shapes import Shape

GIB = 2**30
PIXELS_A_TOKEN = 28 * 28
QUESTION_TOKENS = 200
"""Room for a question with its options."""

_TRAINED_BYTES = 16
"""Of one trained weight: itself, its gradient, and two moments, in 32 bits each (or 16-bit weight and gradient with a
32-bit master copy, as DeepSpeed keeps them)."""
_LIVE_WEIGHTS = 1_000_000_000
"""Weights that ZeRO-3 gathers at most on a device at a time (its `stage3_max_live_parameters`)."""
_LOSS_TOKENS = 1024
"""Positions whose logits exist at the same time: TRL computes the loss in tiles."""
_OVERHEAD = {Device.CUDA: 1.5 * GIB, Device.CPU: 0.5 * GIB}
"""Libraries, buffers, fragmentation."""

CountTokens = Callable[[str], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Bytes on one device, by what takes them."""

    weights: float
    training: float
    """Of trained weights: gradients, optimizer states, and the weights themselves."""
    activations: float
    generation: float
    """What the rollout engine takes (GRPO)."""
    overhead: float

    @property
    def total(self) -> float:
        """All of it."""
        return self.weights + self.training + self.activations + self.generation + self.overhead

    def __str__(self) -> str:
        named = {"weights": self.weights, "training": self.training, "activations": self.activations}
        named |= {"generation": self.generation} if self.generation else {}
        named |= {"overhead": self.overhead}
        return f"{self.total / GIB:.1f} GiB (" + ", ".join(f"{k} {v / GIB:.1f}" for k, v in named.items()) + ")"


def trained_weights(recipe: Recipe, shape: Shape) -> int:
    """How many weights change."""
    if recipe.tune.method is Method.LORA:
        return shape.adapter(recipe.tune.rank, projector=recipe.tune.projector)
    return shape.language + shape.embeddings + (shape.projector if recipe.tune.projector else 0)


def memory(recipe: Recipe, shape: Shape, tokens: int) -> Memory:
    """The estimate for one device.

    Args:
        recipe: says what is trained how.
        shape: of the model.
        tokens: of the longest row.
    """
    machine = recipe.machine
    wide = 2 if machine.precision is Precision.BF16 else 4
    spread_states = machine.devices if machine.sharding is not Sharding.NONE else 1
    spread_weights = machine.devices if machine.sharding is Sharding.ZERO3 else 1
    trained = trained_weights(recipe, shape)
    frozen = shape.total - (trained if recipe.tune.method is Method.FULL else 0)
    if recipe.grpo and recipe.grpo.kl and recipe.tune.method is Method.FULL:
        frozen += shape.total  # the checkpoint that the KL loss compares with; an adapter is just switched off
    gathered = min(shape.total, _LIVE_WEIGHTS) * wide if machine.sharding is Sharding.ZERO3 else 0
    return Memory(
        weights=frozen * wide / spread_weights + gathered,
        training=trained * (wide / spread_weights + (_TRAINED_BYTES - wide) / spread_states),
        activations=_activations(recipe, shape, tokens * recipe.train.per_device, wide),
        generation=recipe.grpo.generation_share * machine.memory_gib * GIB if _colocated(recipe) and recipe.grpo else 0.0,
        overhead=_OVERHEAD[machine.device],
    )


def check(recipe: Recipe, shape: Shape, count: CountTokens, *, longest: int | None = None) -> list[Finding]:
    """Everything that can be known to go wrong.

    Args:
        recipe: to be checked.
        shape: of its model.
        count: tokens of a text (an estimate where the tokenizer is not at hand).
        longest: tokens of the longest row, where the data is known; else the recipe's limit.
    """
    return [_check_memory(recipe, shape, longest), *_check_tokens(recipe, shape, count)]


def check_machine(recipe: Recipe) -> Iterator[Finding]:
    """The hardware that the recipe is written for and this machine lacks."""
    if recipe.machine.device is Device.CPU:
        return
    import importlib.util

    import torch

    if not torch.cuda.is_available():
        yield Finding(Level.FAILED, "device", "the recipe wants GPUs and this machine has none; use one of the tiny recipes")
        return
    there = torch.cuda.device_count()
    memory_gib = min(torch.cuda.get_device_properties(i).total_memory for i in range(there)) / GIB
    if there < recipe.machine.devices:
        yield Finding(Level.FAILED, "device", f"the recipe wants {recipe.machine.devices} GPUs, this machine has {there}")
    if memory_gib < 0.95 * recipe.machine.memory_gib:
        says = (
            f"GPUs here have {memory_gib:.0f} GiB, the recipe counts on {recipe.machine.memory_gib:g}: set machine.memory_gib"
        )
        yield Finding(Level.FAILED, "device", says)
    if recipe.machine.sharding is not Sharding.NONE and importlib.util.find_spec("deepspeed") is None:
        yield Finding(Level.FAILED, "deepspeed", f"machine.sharding={recipe.machine.sharding} needs it: pip install deepspeed")


def demand(findings: Sequence[Finding]) -> None:
    """Continue only if nothing failed.

    Raises:
        RecipeError: saying what cannot fit.
    """
    failed = [f"{finding.what}: {finding.says}" for finding in findings if finding.level is Level.FAILED]
    if failed:
        raise RecipeError("; ".join(failed))


def _activations(recipe: Recipe, shape: Shape, tokens: int, wide: int) -> float:
    """What the backward pass needs: every layer's input, and all of one layer at a time; or all of every layer."""
    layer = tokens * (10 * shape.hidden + 3 * shape.inner) * wide
    kept = tokens * shape.hidden * wide * shape.layers + layer if recipe.machine.recompute else layer * shape.layers
    logits = min(tokens, _LOSS_TOKENS) * shape.vocabulary * 4 * 3
    image = min(recipe.max_pixels // PIXELS_A_TOKEN, tokens) * shape.merged
    vision = image * (8 * shape.vision_hidden + 3 * shape.vision_inner) * wide  # nothing is kept of a frozen tower
    return float(kept + logits + vision)


def _colocated(recipe: Recipe) -> bool:
    return recipe.grpo is not None and recipe.grpo.generation.value == "vllm"


def _check_memory(recipe: Recipe, shape: Shape, longest: int | None) -> Finding:
    limit = recipe.grpo.max_prompt_tokens + recipe.grpo.max_completion_tokens if recipe.grpo else recipe.max_tokens
    tokens = longest if longest is not None and recipe.grpo is None else limit
    needed, there = memory(recipe, shape, tokens), recipe.machine.memory_gib * GIB
    says = f"{needed} of {recipe.machine.memory_gib:g} GiB a device, rows of {tokens:,} tokens"
    if needed.total <= there:
        return Finding(Level.OK, "memory", says)
    least = memory(recipe, shape, 0)
    if longest is None and least.total <= there:
        fitting = int(tokens * (there - least.total) / max(needed.total - least.total, 1))
        return Finding(Level.WARNING, "memory", f"{says}: rows of more than about {fitting:,} tokens will not fit")
    return Finding(Level.FAILED, "memory", f"{says}: {_cures(recipe)}")


def _cures(recipe: Recipe) -> str:
    ways = ["more devices with machine.sharding: zero3"] if recipe.machine.device is Device.CUDA else []
    ways += ["machine.recompute: true"] if not recipe.machine.recompute else []
    ways += ["train.per_device: 1"] if recipe.train.per_device > 1 else []
    ways += ["tune.method: lora"] if recipe.tune.method is Method.FULL else []
    return "choose " + ", or ".join([*ways, "a smaller max_tokens or model"])


def _check_tokens(recipe: Recipe, shape: Shape, count: CountTokens) -> Iterator[Finding]:
    protocol = recipe.protocol_settings()
    text = count(protocol.system) + count(protocol.prompt("")) + QUESTION_TOKENS + 3 * MESSAGE_TOKENS
    most = min(recipe.max_pixels, protocol.max_pixels)
    least = min(max(recipe.min_pixels, protocol.min_pixels), most)
    if recipe.grpo is None:
        yield _one(
            "conversation",
            text + least // PIXELS_A_TOKEN,
            text + most // PIXELS_A_TOKEN,
            recipe.max_tokens,
            "max_tokens",
        )
        yield _fits("context", recipe.max_tokens, shape.context, "max_tokens")
        return
    shown = min(most, parse_resolution(recipe.grpo.resolution).max_pixels or most)
    prompt, completion = recipe.grpo.max_prompt_tokens, recipe.grpo.max_completion_tokens
    yield _one("prompt", text + least // PIXELS_A_TOKEN, text + shown // PIXELS_A_TOKEN, prompt, "max_prompt_tokens")
    words = count(protocol.crop_turn + protocol.closing.replace("{format}", protocol.format))
    crop = min(recipe.grpo.crop_pixels, most) // PIXELS_A_TOKEN + words + 2 * MESSAGE_TOKENS
    turns, zooms = protocol.max_turns if protocol.zooms else 1, _most_zooms(protocol)
    needed = turns * protocol.max_new_tokens + zooms * crop
    says = f"{turns} turns of {protocol.max_new_tokens:,} tokens and {zooms} crops of {crop:,} are {needed:,} tokens"
    if needed <= completion:
        yield Finding(Level.OK, "completion", f"{says}, {completion:,} fit")
    else:
        cure = "raise grpo.max_completion_tokens, or lower grpo.crop_pixels or protocol_args max_turns"
        yield Finding(Level.FAILED, "completion", f"{says}, {completion:,} fit: crops would vanish in silence; {cure}")
    yield _fits("context", prompt + completion, shape.context, "grpo.max_prompt_tokens + grpo.max_completion_tokens")


def _most_zooms(protocol: Protocol) -> int:
    """Crops of the longest rollout."""
    if not protocol.zooms or protocol.max_turns == 1:
        return 0
    images = protocol.max_images - 1
    return images if protocol.calls_per_turn is CallsPerTurn.ALL else min(images, protocol.max_turns - 1)


def _one(what: str, least: int, most: int, limit: int, name: str) -> Finding:
    if least > limit:
        return Finding(Level.FAILED, what, f"the smallest takes {least:,} tokens, {limit:,} fit: raise {name}")
    if most > limit:
        says = f"with the largest image it takes {most:,} tokens, {limit:,} fit: such rows are dropped; raise {name} or lower max_pixels"
        return Finding(Level.WARNING, what, says)
    return Finding(Level.OK, what, f"opens with at most {most:,} of {limit:,} tokens")


def _fits(what: str, needed: int, there: int, name: str) -> Finding:
    if needed <= there:
        return Finding(Level.OK, what, f"{needed:,} of the model's {there:,} tokens")
    return Finding(Level.FAILED, what, f"{name} = {needed:,}, the model's context is {there:,} tokens: lower it")
