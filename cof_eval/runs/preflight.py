"""What can be known to go wrong before anything is generated: tokens against the context, image and pixel limits, memory.

A conversation's worst case is known from the protocol and the images: the largest one as shown at each resolution, and zooms on
nearly all of it. Where that does not fit, rollouts may stop as `context_full`; where not even the first turn fits, none can answer.
"""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from ..agent.engine import Engine
from ..agent.protocols import Crops, Protocol
from ..agent.rollout import MESSAGE_TOKENS
from ..agent.showing import size_shown
from ..agent.zoom import CropSource
from ..core.errors import ImageError
from ..core.records import Question, Size
from ..core.resolution import COUNTED, PixelLimits, Resolution, effective_cap, resolution_rank
from ..core.settings import ModelSettings
from ..engines.checkpoint import find_checkpoint
from ..engines.gpus import BESIDE_WEIGHTS, USED, Gpu, cache_gib, find_gpus, offered_gib, weights_gib
from .finding import Finding, Level
from .template_probe import check_template


@dataclass(frozen=True, slots=True)
class Budget:
    """Tokens of the longest conversation at one resolution."""

    context: int
    """Tokens that fit."""
    first_turn: int
    """Text, the largest shown image, and the reply."""
    zoom: int
    """Each further turn: the largest crop, the format instruction, and the reply."""
    crop: int
    """Visual tokens of the largest crop."""

    @property
    def zooms(self) -> int:
        """Largest crops that fit after the first turn."""
        return max(0, (self.context - self.first_turn) // self.zoom)


def budget(protocol: Protocol, engine: Engine, resolution: Resolution, natives: Collection[Size] = ()) -> Budget:
    """The longest conversation at a resolution.

    Args:
        protocol: how many turns, which crops, how long a reply.
        engine: whose tokens, limits and context.
        resolution: at which images are shown.
        natives: (width, height) of the native images, px; without any, images as large as the limits allow are expected.
    """
    limits = protocol.limits(engine.limits)
    shown = max(_shown_areas(natives, resolution, protocol, limits), default=effective_cap(resolution, limits))
    native = min(limits.max_pixels, max(map(math.prod, natives), default=limits.max_pixels))
    whole = shown if protocol.crop_source is CropSource.SHOWN else native
    least = max(protocol.crop_min_pixels, limits.min_pixels, *(fit.min_pixels for fit in protocol.crop_fits), 0)
    crop = max(least, min(limits.max_pixels, int(whole * protocol.enlarge**2)))  # everything, enlarged
    tools = sum(engine.text_tokens(tool.text) for tool in protocol.tools)
    text = tools + engine.text_tokens(protocol.system) + engine.text_tokens(protocol.prompt("")) + _QUESTION_TOKENS
    reply = protocol.max_new_tokens + MESSAGE_TOKENS
    return Budget(
        min(protocol.context, engine.context),
        text + 2 * MESSAGE_TOKENS + limits.area_tokens(shown) + reply,
        engine.text_tokens(protocol.crop_turn + protocol.closing + protocol.format)
        + MESSAGE_TOKENS
        + limits.area_tokens(crop)
        + reply,
        limits.area_tokens(crop),
    )


def _shown_areas(natives: Collection[Size], resolution: Resolution, protocol: Protocol, limits: PixelLimits) -> Iterator[int]:
    """Pixels of the shown images, px²; an image that is too thin to be shown asks for no context."""
    for size in natives:
        with contextlib.suppress(ImageError):
            yield math.prod(size_shown(size, resolution, protocol, limits))


_QUESTION_TOKENS = 200
"""Room for a question with its options."""


def preflight(
    settings: ModelSettings,
    protocol: Protocol,
    engine: Engine,
    resolutions: Collection[Resolution],
    natives: Collection[Size],
    questions: Sequence[Question],
) -> list[Finding]:
    """Everything that can be checked before an engine starts; a run, `cof-eval ask` and `cof-eval doctor` all tell this list.

    Args:
        settings: the model's arguments.
        protocol: how the model is asked.
        engine: not started yet.
        resolutions: at which images are shown.
        natives: (width, height) of the native images, px.
        questions: those that have an image.
    """
    served = None if settings.served_name else getattr(engine, "served_name", None)
    findings = [
        *check_served(settings.pretrained, served),
        *check_assumed(getattr(engine, "assumed", "")),
        *check_protocol(protocol, engine, resolutions, natives),
    ]
    if settings.engine != "openai":  # a server's memory is its own concern
        folder = find_checkpoint(settings.pretrained)
        findings += check_memory(folder, settings.engine_args, engine.context, find_gpus())
    findings += check_template(protocol, getattr(engine, "checkpoint", None))
    return findings + check_boxes(protocol, questions)


def check_protocol(
    protocol: Protocol, engine: Engine, resolutions: Collection[Resolution], natives: Collection[Size] = ()
) -> list[Finding]:
    """What a protocol asks of an engine, in the order of the sweep; `natives` as in `budget`."""
    ordered = sorted(set(resolutions), key=lambda each: resolution_rank(each.name))
    if not ordered:
        return []
    return [
        *check_factor(protocol, engine),
        check_images(protocol, engine),
        check_pixels(protocol, engine, ordered),
        *check_context(protocol, engine, ordered, natives),
    ]


def check_factor(protocol: Protocol, engine: Engine) -> list[Finding]:
    """Whether the protocol is made for checkpoints of this kind, as far as pixels a visual token tell."""
    factor = engine.limits.factor
    if protocol.factor in (None, factor) or engine.limits.counted:
        return []
    says = (
        f"a visual token of this checkpoint spans {factor} pixels, of those that {protocol.name} is made for {protocol.factor}: it was "
        "trained with other prompts and boxes. Choose its own protocol"
    )
    return [Finding(Level.WARNING, "protocol", says)]


def check_boxes(protocol: Protocol, questions: Sequence[Question]) -> list[Finding]:
    """Whether the questions have the annotated boxes that oracle crops are cut at."""
    missing = sum(not question.boxes for question in questions)
    if protocol.crops is not Crops.ORACLE or not missing:
        return []
    says = f"{missing:,} of {len(questions):,} questions have no annotated boxes: they stay unscored. Use a benchmark that has them"
    return [Finding(Level.WARNING if missing < len(questions) else Level.FAILED, "oracle crops", says)]


def check_served(pretrained: str, served: str | None) -> list[Finding]:
    """Whether a server that was not told which model to use serves the one that the run is named after."""
    if served is None or PurePath(served).name == PurePath(pretrained).name:
        return []
    says = (
        f"the server's only model is {served!r}, the run is named after {pretrained!r}: results are the server's model's. "
        f"If that is meant, say so with --served-name {served}"
    )
    return [Finding(Level.WARNING, "served model", says)]


def check_assumed(assumed: str) -> list[Finding]:
    """Whether the image processor's sizes are only assumed."""
    if not assumed:
        return []
    return [
        Finding(
            Level.WARNING, "image sizes", f"{assumed}. If that is wrong, name a folder with the checkpoint's files with --model"
        )
    ]


def check_context(
    protocol: Protocol, engine: Engine, resolutions: Sequence[Resolution], natives: Collection[Size] = ()
) -> Iterator[Finding]:
    """Whether conversations fit the context: one finding for neighbouring resolutions that come out alike."""
    further = protocol.max_turns - 1
    beside = ", images aside" if engine.limits.counted else ""

    def level(most: Budget) -> Level:
        if most.first_turn > most.context:
            return Level.FAILED
        return Level.WARNING if most.zooms < further else Level.OK

    budgets = [(resolution.name, budget(protocol, engine, resolution, natives)) for resolution in resolutions]
    for found, group in itertools.groupby(budgets, lambda each: level(each[1])):
        names, needs = zip(*group, strict=True)
        first, context = _span(most.first_turn for most in needs), needs[0].context
        if found is Level.FAILED:
            says = (
                f"the largest image needs {first} tokens, {context:,} fit: such questions stop as context_full. "
                'Raise engine_args={"max_model_len": …} and the protocol\'s context, or leave this resolution out'
            )
        elif found is Level.WARNING:
            says = (
                f"{first} tokens for the first turn, then {_span(most.zooms for most in needs)} of {further} zooms on nearly "
                f"everything fit {context:,}: a few rollouts may stop as context_full (counted as truncated)"
            )
        else:
            says = f"at most {max(most.first_turn + further * most.zoom for most in needs):,} of {context:,} tokens{beside}"
        yield Finding(found, "context at " + "–".join(dict.fromkeys((names[0], names[-1]))), says)


def _span(numbers: Iterable[int]) -> str:
    """The least and the most of them."""
    few = sorted(set(numbers))
    return " to ".join(f"{number:,}" for number in dict.fromkeys((few[0], few[-1])))


def check_memory(folder: Path, engine_args: Mapping[str, Any], context: int, gpus: list[Gpu]) -> list[Finding]:
    """Whether a checkpoint's weights and the cache of one longest conversation fit the GPUs that an engine in process takes.

    An estimate: the size of the weights' files and a tenth more, and the cache as `config.json` tells it.
    """
    weights, cache = weights_gib(str(folder)), cache_gib(folder, context)
    if weights is None or cache is None:
        return []
    needed = weights * BESIDE_WEIGHTS + cache
    says = f"about {needed:.1f} GiB ({weights:.1f} of weights, {cache:.1f} for one conversation of {context:,} tokens)"
    if not gpus:
        return [Finding(Level.OK, "memory", f"{says}; no GPU is found, so on the CPU")]
    count = min(len(gpus), int(engine_args.get("tensor_parallel_size", 1)))
    offered = offered_gib(gpus, count, float(engine_args.get("gpu_memory_utilization", USED)))
    if needed <= offered:
        return [Finding(Level.OK, "memory", f"{says} of {offered:.0f} GiB")]
    cure = 'engine_args={"tensor_parallel_size": …}, a smaller max_model_len, or free memory'
    return [Finding(Level.FAILED, "memory", f"{says}; {count} of {len(gpus)} GPUs offer {offered:.0f} GiB. Use {cure}")]


def check_images(protocol: Protocol, engine: Engine) -> Finding:
    """Whether the engine takes as many images as the protocol may show."""
    if engine.max_images >= protocol.max_images:
        return Finding(Level.OK, "images", f"{protocol.max_images} in one conversation")
    says = (
        f"the engine takes {engine.max_images} images in one conversation, the protocol shows up to {protocol.max_images}: zooms beyond "
        f'are refused. Start the engine with limit_mm_per_prompt {{"image": {protocol.max_images}}}'
    )
    return Finding(Level.WARNING, "images", says)


def check_pixels(protocol: Protocol, engine: Engine, resolutions: Sequence[Resolution]) -> Finding:
    """Whether the processor's cap is smaller than what the protocol and the largest resolution ask for."""
    limits = engine.limits
    if limits.counted:
        return Finding(Level.OK, "pixels", COUNTED)
    wanted = max(min(r.max_pixels or protocol.max_pixels, protocol.max_pixels) for r in resolutions)
    if wanted <= limits.max_pixels:
        return Finding(Level.OK, "pixels", f"up to {wanted:,} px² are shown as they are")
    says = (
        f"the processor caps images at {limits.max_pixels:,} px², the largest resolution asks for {wanted:,}: shown images are reduced to the "
        f'cap. To lift it: engine_args={{"mm_processor_kwargs": {{"max_pixels": {wanted}}}}}'
    )
    return Finding(Level.WARNING, "pixels", says)
