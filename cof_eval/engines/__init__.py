"""The engines behind the seam: one visible dict, each imported only when used."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, fields
from importlib.util import find_spec
from typing import Any

from ..agent.engine import Engine
from ..agent.protocols import Protocol
from ..core.errors import UsageError
from ..core.settings import ModelSettings
from ..servers import parse_urls
from .checkpoint import find_adapter, find_checkpoint, find_served, load_checkpoint
from .families import check_frame, model_type


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """What an engine needs to know."""

    pretrained: str
    """Checkpoint: a local folder or a hub id. For a served model: the same, if its processor is to be read here."""
    lora: str | None = None
    """Folder of a LoRA adapter."""
    base_url: str | None = None
    """Of OpenAI-compatible servers, each ending in `/v1`; separated by commas, semicolons or spaces."""
    served_name: str | None = None
    """The served model's name; the server's only model if not given."""
    api_key: str = field(default="EMPTY", repr=False)
    """Sent to the server, written nowhere."""
    max_pixels: int | None = None
    """The processor's cap where the checkpoint's own files are not at hand, px²."""
    seed: int = 0
    concurrency: int = 64
    engine_args: Mapping[str, Any] = field(default_factory=dict)
    """Passed to the engine as they are; for engine openai, how images travel and how patient it is."""

    @classmethod
    def of(cls, settings: ModelSettings, api_key: str) -> EngineSettings:
        """What an engine needs of a model's arguments."""
        shared = {f.name for f in fields(cls)} & {f.name for f in fields(settings)}
        return cls(api_key=api_key, **{name: getattr(settings, name) for name in shared})


async def _vllm(settings: EngineSettings, protocol: Protocol) -> Engine:
    from .vllm import VllmEngine

    checkpoint = load_checkpoint(settings.pretrained, settings.engine_args.get("mm_processor_kwargs"))
    return VllmEngine(settings, protocol, checkpoint)


async def _transformers(settings: EngineSettings, protocol: Protocol) -> Engine:
    from .transformers import TransformersEngine

    checkpoint = load_checkpoint(settings.pretrained, settings.engine_args.get("mm_processor_kwargs"))
    return TransformersEngine(settings, protocol, checkpoint)


async def _openai(settings: EngineSettings, protocol: Protocol) -> Engine:
    from .openai import OpenAIEngine

    return await OpenAIEngine.connect(settings, protocol)


ENGINES: dict[str, Callable[[EngineSettings, Protocol], Awaitable[Engine]]] = {
    "vllm": _vllm,
    "openai": _openai,
    "transformers": _transformers,
}


NATIVE = {"openai"}
"""Engines that take `Request.tools`: a parser of calls is a server's work."""

_SERVED_ONLY = {
    "base_url": "leave it out, or use engine=openai",
    "served_name": "leave it out, or use engine=openai",
    "max_pixels": 'use engine_args={"mm_processor_kwargs": {"max_pixels": …}}',
}
_FOREIGN: dict[str, dict[str, str]] = {
    "vllm": _SERVED_ONLY,
    "transformers": _SERVED_ONLY,
    "openai": {"lora": "serve the adapter, and name it with served_name"},
}
"""Model arguments that an engine would ignore, and what to do instead."""


def check_engine(settings: ModelSettings, protocol: Protocol) -> None:
    """Find wrong settings of the engine and its checkpoint before anything is loaded.

    Raises:
        UsageError: if the engine is unknown, would ignore an argument or cannot call as the protocol does, or the checkpoint is none that
            it can run.
    """
    if settings.engine not in ENGINES:
        raise UsageError(f"unknown engine {settings.engine!r}; known: {', '.join(ENGINES)}")
    _check_calls(settings.engine, protocol)
    for name, cure in _FOREIGN[settings.engine].items():
        if getattr(settings, name):
            raise UsageError(f"engine={settings.engine} has no use for {name}: {cure}")
    if settings.engine == "openai":
        _check_served(settings)
    folder = find_served(settings.pretrained) if settings.engine == "openai" else find_checkpoint(settings.pretrained)
    if folder:
        model_type(folder)
    if settings.lora:
        find_adapter(settings.lora)
    if settings.engine == "vllm" and find_spec("vllm") is None:
        raise UsageError(
            "engine=vllm needs vLLM, which is not installed here (the light profile has none): use --engine transformers, --engine openai "
            "with a server's --base-url, or set up with `make setup PROFILE=gpu` or PROFILE=cpu"
        )


def _check_calls(engine: str, protocol: Protocol) -> None:
    if protocol.native and engine not in NATIVE:
        raise UsageError(
            f"protocol {protocol.name!r} calls its tool natively (calls=native), and engine={engine} has no parser for such calls: serve the "
            "model (vllm serve MODEL --enable-auto-tool-choice --tool-call-parser NAME) and use engine=openai with its base URL"
        )


def _check_served(settings: ModelSettings) -> None:
    from .openai import parse_served_args

    if not settings.base_url:
        raise UsageError("engine=openai needs a base URL, for instance --base-url http://127.0.0.1:8000/v1")
    parse_urls(settings.base_url)
    parse_served_args(settings.engine_args)


async def open_engine(name: str, settings: EngineSettings, protocol: Protocol) -> Engine:
    """The engine called `name`, its checkpoint or server looked at, no weights loaded.

    Raises:
        UsageError: for any other name, listing the known ones, and for a protocol that needs to know sizes which the model's own
            processor decides.
        EngineUnusableError: if its server or its checkpoint's processor cannot be used.
    """
    if name not in ENGINES:
        raise UsageError(f"unknown engine {name!r}; known: {', '.join(ENGINES)}")
    _check_calls(name, protocol)
    engine = await ENGINES[name](settings, protocol)
    try:
        check_frame(protocol, engine.limits, native=name in NATIVE)
    except UsageError:
        await engine.close()
        raise
    return engine
