"""A recipe: everything that decides a training run, in one YAML file, checked before anything is loaded.

Here are its values and what they must be by themselves; `recipe_file` reads and writes them, and what depends on the
checkpoint and the machine (memory, token budget) is checked by `fits`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from cof_eval.agent.protocols import Protocol, parse_protocol
from cof_eval.core.errors import UsageError


class RecipeError(UsageError):
    """A recipe that cannot be used, or cannot fit its machine."""


class Stage(StrEnum):
    """What is trained how."""

    SFT = "sft"
    GRPO = "grpo"


class Method(StrEnum):
    """Which weights change."""

    LORA = "lora"
    FULL = "full"


class Precision(StrEnum):
    """What weights and activations are computed in."""

    BF16 = "bf16"
    FP32 = "fp32"


class Device(StrEnum):
    """What computes."""

    CUDA = "cuda"
    CPU = "cpu"


class Sharding(StrEnum):
    """How weights, gradients and optimizer states are spread over the devices."""

    NONE = "none"
    """Each device holds all (DDP)."""
    ZERO2 = "zero2"
    """Gradients and optimizer states are spread (DeepSpeed)."""
    ZERO3 = "zero3"
    """Weights too (DeepSpeed)."""


class Format(StrEnum):
    """What a data source looks like."""

    MESSAGES = "messages"
    """Conversations with images: columns `messages` and `images`, as Chain-of-Focus published its SFT data."""
    QUESTIONS = "questions"
    """Questions with their answers: `question`, `groundtruth`, `image`, `data_source`, as its RL data; or the V* layout."""
    RUN = "run"
    """A run folder of this harness: its good trajectories."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSource:
    """Where training rows come from."""

    format: Format
    path: str
    """File or folder (parquet, JSON, JSONL, a run folder), or a hub id of a dataset."""
    images: str | None = None
    """Folder that image paths are relative to (default: next to the file), or where a run's native images are."""
    limit: int | None = None
    """At most so many rows, from the first on."""
    zooms: tuple[int, int] = (0, 99)
    """Format `run`: keep trajectories with this many executed calls (from, to)."""
    coverage: float = 0.0
    """Format `run`: keep zoomed trajectories whose crops hold at least this fraction (0-1) of each annotated target."""
    errors: bool = False
    """Format `run`: whether trajectories with calls that failed are kept."""

    def __post_init__(self) -> None:
        _at_least("limit", self.limit, 1)
        if not 0 <= self.coverage <= 1:
            raise RecipeError(f"data: coverage={self.coverage} must lie between 0 and 1")
        if not 0 <= self.zooms[0] <= self.zooms[1]:
            raise RecipeError(f"data: zooms={list(self.zooms)} must be [from, to] with 0 <= from <= to")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tune:
    """Which weights change. The vision tower never does."""

    method: Method = Method.LORA
    rank: int = 32
    alpha: int = 64
    dropout: float = 0.0
    projector: bool = True
    """Whether the projector between the vision tower and the language model is trained too."""

    def __post_init__(self) -> None:
        _at_least("tune.rank", self.rank, 1)
        _at_least("tune.alpha", self.alpha, 1)
        if not 0 <= self.dropout < 1:
            raise RecipeError(f"tune.dropout={self.dropout} must lie in [0, 1)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Train:
    """The optimization."""

    learning_rate: float = 1e-5
    schedule: str = "cosine"
    """A learning rate schedule of transformers: cosine, linear, constant, constant_with_warmup, …"""
    warmup: float = 0.1
    """Fraction of the steps that warm up."""
    epochs: float = 3.0
    max_steps: int | None = None
    """This many steps instead of `epochs`, for any size of the data."""
    batch: int = 32
    """Rows (SFT) or prompts (GRPO) that one optimizer step learns from, over all devices."""
    per_device: int = 1
    """Rows (SFT) or rollouts (GRPO) that a device computes at once; the rest of the batch is accumulated."""
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("batch", "per_device", "max_steps"):
            _at_least(f"train.{name}", getattr(self, name), 1)
        for name in ("learning_rate", "epochs", "max_grad_norm"):
            if not getattr(self, name) > 0 or not math.isfinite(getattr(self, name)):
                raise RecipeError(f"train.{name}={getattr(self, name)} must be positive")
        if not 0 <= self.warmup < 1:
            raise RecipeError(f"train.warmup={self.warmup} is a fraction of the steps; expected 0 <= warmup < 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What the recipe is written for."""

    device: Device = Device.CUDA
    devices: int = 1
    """Processes, one for each device."""
    memory_gib: float = 80.0
    """Memory of one device."""
    precision: Precision = Precision.BF16
    sharding: Sharding = Sharding.NONE
    recompute: bool = True
    """Whether activations are computed again on the way back (gradient checkpointing)."""

    def __post_init__(self) -> None:
        _at_least("machine.devices", self.devices, 1)
        if self.memory_gib <= 0:
            raise RecipeError(f"machine.memory_gib={self.memory_gib} must be positive")
        if self.device is Device.CPU and self.sharding is not Sharding.NONE:
            raise RecipeError("machine.sharding needs GPUs (DeepSpeed); use sharding: none with device: cpu")
        if self.sharding is not Sharding.NONE and self.devices == 1:
            raise RecipeError(f"machine.sharding={self.sharding} spreads over several devices; this recipe has devices: 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Keep:
    """What is written while training."""

    every_steps: int = 50
    """A checkpoint to resume from, optimizer state included."""
    last: int = 2
    """How many of them are kept; two at least, so that one is whole whenever a run is killed."""
    log_steps: int = 1
    """A line of metrics."""
    report_to: tuple[str, ...] = ()
    """Trackers of TRL in addition to our own file: wandb, trackio, tensorboard, mlflow, …"""

    def __post_init__(self) -> None:
        for name, least in (("every_steps", 1), ("last", 2), ("log_steps", 1)):
            _at_least(f"keep.{name}", getattr(self, name), least)


class Generation(StrEnum):
    """What generates rollouts."""

    VLLM = "vllm"
    """In the training processes, sharing their devices (colocated)."""
    TRANSFORMERS = "transformers"


@dataclass(frozen=True, slots=True, kw_only=True)
class Grpo:
    """What only reinforcement learning needs. Turns, images and tokens of a turn are the protocol's."""

    group: int = 6
    """Rollouts of one prompt."""
    temperature: float = 1.0
    kl: float = 0.001
    """Weight of the KL loss against the starting checkpoint; 0 leaves it out."""
    max_prompt_tokens: int = 25_600
    """System message, shown image and question; longer rows are dropped."""
    max_completion_tokens: int = 32_756
    """Everything after the prompt: all turns, and the crops and texts handed back."""
    resolution: str = "native"
    """At which resolution images are shown."""
    crop_pixels: int = 5120 * 28 * 28
    """Largest area of a crop, px²."""
    rewards: Mapping[str, float] = field(default_factory=lambda: {"accuracy": 0.9, "format": 0.1})
    """Reward functions and their weights."""
    judge: str = "equivalence"
    """Judge card for answers."""
    judge_url: str | None = None
    """Base URL of the judge's server; without one, rules alone decide."""
    generation: Generation = Generation.VLLM
    generation_share: float = 0.4
    """Fraction of a device's memory that vLLM takes."""

    def __post_init__(self) -> None:
        for name in ("group", "max_prompt_tokens", "max_completion_tokens", "crop_pixels"):
            _at_least(f"grpo.{name}", getattr(self, name), 2 if name == "group" else 1)
        if not self.temperature > 0:
            raise RecipeError(f"grpo.temperature={self.temperature} must be positive: equal rollouts teach nothing")
        if self.kl < 0:
            raise RecipeError(f"grpo.kl={self.kl} must not be negative")
        if not 0 < self.generation_share < 1:
            raise RecipeError(f"grpo.generation_share={self.generation_share} must lie between 0 and 1")
        if not self.rewards:
            raise RecipeError("grpo.rewards is empty; expected for instance {accuracy: 0.9, format: 0.1}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """One training run."""

    name: str
    """The file's name without its ending."""
    stage: Stage
    model: str
    """Checkpoint to start from: a local folder or a hub id."""
    out: str
    """Folder of the run."""
    data: tuple[DataSource, ...]
    protocol: str = "cof"
    """Whose conversations are learned: prompts, tool, frame of the boxes, crops. A name, or the path of a YAML file."""
    protocol_args: Mapping[str, Any] = field(default_factory=dict)
    """Settings of the protocol to change, as in `cof-eval run --protocol-args`."""
    max_tokens: int = 81_920
    """Longest conversation, image tokens included; longer rows are dropped, never cut."""
    min_pixels: int = 12_544
    """Smallest image area, px²."""
    max_pixels: int = 14_745_600
    """Largest image area, px²."""
    tune: Tune = field(default_factory=Tune)
    train: Train = field(default_factory=Train)
    machine: Machine = field(default_factory=Machine)
    keep: Keep = field(default_factory=Keep)
    grpo: Grpo | None = None
    """Required for stage `grpo`, refused for `sft`."""

    def __post_init__(self) -> None:
        for name in ("model", "out", "data"):
            if not getattr(self, name):
                raise RecipeError(f"{name} is empty")
        _at_least("max_tokens", self.max_tokens, 1)
        if not 0 < self.min_pixels <= self.max_pixels:
            raise RecipeError(f"min_pixels={self.min_pixels} and max_pixels={self.max_pixels} contradict each other")
        if (self.stage is Stage.GRPO) != (self.grpo is not None):
            raise RecipeError(
                "stage grpo needs a section grpo" if self.grpo is None else "stage sft has no use for a section grpo"
            )
        _whole_batches(self)
        self.protocol_settings()  # an unknown protocol or setting is an error here

    @property
    def accumulate(self) -> int:
        """Backward passes of one optimizer step on each device."""
        return self.samples // (self.train.per_device * self.machine.devices)

    @property
    def samples(self) -> int:
        """Rows (SFT) or rollouts (GRPO) of one optimizer step."""
        return self.train.batch * (self.grpo.group if self.grpo else 1)

    def protocol_settings(self) -> Protocol:
        """The protocol whose conversations are trained on.

        Raises:
            UsageError: if its calls are not in the text, where training has them.
        """
        protocol = parse_protocol(self.protocol, self.protocol_args)
        if protocol.native:
            raise UsageError(
                f"protocol {protocol.name!r} calls its tool natively; training writes calls in the text: add calls: text"
            )
        return protocol


def _whole_batches(recipe: Recipe) -> None:
    """Every device does the same number of whole backward passes in each step."""
    train, devices = recipe.train, recipe.machine.devices
    at_once = train.per_device * devices
    if recipe.samples % at_once:
        what = f"train.batch={train.batch}" + (f" x grpo.group={recipe.grpo.group}" if recipe.grpo else "")
        raise RecipeError(
            f"{what} = {recipe.samples} is not divisible by train.per_device={train.per_device} x machine.devices={devices} "
            f"= {at_once}; choose a batch that is a multiple of it"
        )


def _at_least(name: str, value: int | None, least: int) -> None:
    if value is not None and value < least:
        raise RecipeError(f"{name}={value} must be at least {least}")
