"""vLLM in this process: continuous batching over all rollouts and turns.

Prompts are rendered with the checkpoint's own template. Images are passed as PIL objects with their pixel hash as a stable
id. So vLLM finds the images of earlier turns in the processor cache and, through the prefix cache, in the KV cache.
"""

from __future__ import annotations

import itertools
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..agent.engine import Request, Response
from ..agent.protocols import Protocol
from ..core.errors import ContextFullError, EngineError, EngineUnusableError, UsageError
from ..core.records import Finish
from ..core.resolution import PixelLimits
from . import EngineSettings
from .checkpoint import Checkpoint

_SHUTDOWN_S = 10.0
"""Time that the engine process is given to end by itself."""
_CPU_CACHE_BYTES = 4 * 2**30
"""KV cache on a CPU if the user does not size it: a 7B model's conversation of 32k tokens in float32 fits (vLLM's
`kv_cache_memory_bytes`; the variable VLLM_CPU_KVCACHE_SPACE wins over it)."""


class VllmEngine:
    """An `Engine` over vLLM's `AsyncLLM` (vllm 0.30 to 0.32)."""

    def __init__(self, settings: EngineSettings, protocol: Protocol, checkpoint: Checkpoint) -> None:
        """Check the arguments; nothing is loaded yet.

        Raises:
            UsageError: if an engine argument cannot be used.
        """
        self._checkpoint = checkpoint
        self._arguments = _arguments(settings, protocol, checkpoint)
        self._context = int(self._arguments["max_model_len"])
        self._max_images = int(self._arguments["limit_mm_per_prompt"]["image"])
        self._lora_folder = settings.lora
        self._lora: Any = None
        self._llm: Any = None
        self._ids = itertools.count()

    async def start(self) -> None:
        """Load the weights; takes tens of seconds and more.

        Raises:
            UsageError: if vLLM does not know an engine argument.
            EngineUnusableError: if vLLM does not start.
        """
        try:
            from vllm.engine.arg_utils import AsyncEngineArgs
            from vllm.platforms import current_platform
            from vllm.v1.engine.async_llm import AsyncLLM
        except ImportError as error:
            raise EngineUnusableError(
                f"vLLM does not import ({error}); run `make setup`, or install cof-eval[vllm] (GPU) or cof-eval[cpu], or use engine=openai"
            ) from error
        try:
            parsed = AsyncEngineArgs(**(_on_cpu(self._arguments) if current_platform.is_cpu() else self._arguments))
        except TypeError as error:
            raise UsageError(f"engine_args: {error}; see vLLM's engine arguments for the known ones") from error
        try:
            self._llm = AsyncLLM.from_engine_args(parsed)
        except Exception as error:  # vLLM wraps worker failures in many types; all mean that it does not start
            reason = str(error).strip() or type(error).__name__
            raise EngineUnusableError(f"vLLM did not start: {reason} (its log above says more)") from error
        self._context = int(self._llm.model_config.max_model_len)
        self._lora = _lora_request(self._lora_folder)

    @property
    def checkpoint(self) -> Checkpoint | None:
        """The checkpoint's files."""
        return self._checkpoint

    @property
    def limits(self) -> PixelLimits:
        """The checkpoint's, or those of `engine_args={"mm_processor_kwargs": …}`."""
        return self._checkpoint.limits

    @property
    def context(self) -> int:
        """`max_model_len`."""
        return self._context

    @property
    def max_images(self) -> int:
        """`limit_mm_per_prompt`."""
        return self._max_images

    def text_tokens(self, text: str) -> int:
        """Tokens of a text by the checkpoint's tokenizer."""
        return self._checkpoint.text_tokens(text)

    async def generate(self, request: Request) -> Response:
        """Generate one turn; see `Engine.generate`."""
        from vllm.v1.engine.exceptions import EngineDeadError, EngineGenerateError

        started = time.monotonic()
        output: Any = None
        try:
            name = f"{request.conversation}-{next(self._ids)}"
            prompt = await self._rendered(self._prompt(request))
            async for part in self._llm.generate(prompt, _sampling(request), name, lora_request=self._lora):
                output = part
        except EngineDeadError as error:
            raise EngineUnusableError(f"vLLM's engine process died ({error}); its log above says why") from error
        except (EngineGenerateError, ValueError, RuntimeError) as error:
            raise _as_engine_error(error) from error
        if output is None or not output.finished:
            raise EngineError("vLLM ended the request without a result")
        return self._response(output, time.monotonic() - started)

    async def close(self) -> None:
        """Stop the engine process."""
        if self._llm is not None:
            self._llm.shutdown(timeout=_SHUTDOWN_S)
            self._llm = None

    async def _rendered(self, prompt: dict[str, Any]) -> Any:
        """The prompt tokenized and its images processed, off the event loop; vLLM no longer takes raw prompts."""
        from vllm.renderers.inputs.preprocess import parse_model_prompt

        parsed = parse_model_prompt(self._llm.model_config, prompt)
        renderer, tokens = self._llm.renderer, None
        if self.limits.counted:  # the template wrote the tokens that begin a prompt: the tokenizer must not add them again
            tokens = replace(renderer.default_cmpl_tok_params, add_special_tokens=False)
        (rendered,) = await renderer.render_cmpl_async([parsed], tokens)
        return rendered

    def _prompt(self, request: Request) -> dict[str, Any]:
        prompt: dict[str, Any] = {"prompt": self._checkpoint.render(request.messages, request.template_kwargs)}
        if request.images:
            prompt["multi_modal_data"] = {"image": [part.image for part in request.images]}
            prompt["multi_modal_uuids"] = {"image": [part.hash for part in request.images]}
        return prompt

    def _response(self, output: Any, engine_s: float) -> Response:
        reply, prompt = output.outputs[0], output.prompt_token_ids
        if reply.finish_reason not in ("stop", "length"):
            raise EngineError(f"vLLM ended the request with finish reason {reply.finish_reason!r}")
        return Response(
            text=reply.text,
            finish=Finish(reply.finish_reason),
            prompt_tokens=len(prompt),
            cached_tokens=int(output.num_cached_tokens or 0),
            output_tokens=len(reply.token_ids),
            visual_tokens=self._checkpoint.count_visual(prompt),
            engine_s=engine_s,
        )


def _arguments(settings: EngineSettings, protocol: Protocol, checkpoint: Checkpoint) -> dict[str, Any]:
    """Arguments for vLLM: the protocol's needs, overridden by the user's."""
    arguments: dict[str, Any] = {
        "model": str(checkpoint.folder),
        "max_model_len": min(protocol.context, checkpoint.context),
        "limit_mm_per_prompt": {"image": protocol.max_images, "video": 0},
        "enable_prefix_caching": True,
        "seed": settings.seed,
        "disable_log_stats": True,
    }
    if settings.lora:
        arguments |= {"enable_lora": True, "max_lora_rank": _lora_rank(settings.lora)}
    arguments |= dict(settings.engine_args)
    if "image" not in (arguments["limit_mm_per_prompt"] or {}):
        raise UsageError('engine_args: limit_mm_per_prompt must say how many images a prompt may hold, e.g. {"image": 6}')
    return arguments


def _on_cpu(arguments: dict[str, Any]) -> dict[str, Any]:
    """With a KV cache of a fixed size: vLLM would claim 92% of the memory, and not start where other programs use some."""
    sized = {"kv_cache_memory_bytes", "gpu_memory_utilization"} & arguments.keys()
    return arguments if sized else arguments | {"kv_cache_memory_bytes": _CPU_CACHE_BYTES}


def _lora_rank(folder: str) -> int:
    import json

    config = Path(folder) / "adapter_config.json"
    if not config.is_file():
        raise UsageError(f"{folder} is no LoRA adapter: it has no adapter_config.json")
    rank = int(json.loads(config.read_text())["r"])
    return next((r for r in (8, 16, 32, 64, 128, 256, 320, 512) if r >= rank), rank)


def _lora_request(folder: str | None) -> Any:
    if folder is None:
        return None
    from vllm.lora.request import LoRARequest

    return LoRARequest("adapter", 1, str(Path(folder).resolve()))


def _sampling(request: Request) -> Any:
    from vllm.sampling_params import RequestOutputKind, SamplingParams, StructuredOutputsParams

    return SamplingParams(
        max_tokens=request.max_tokens,
        temperature=request.temperature,
        top_p=request.top_p,
        top_k=request.top_k or -1,
        min_p=request.min_p,
        repetition_penalty=request.repetition_penalty,
        presence_penalty=request.presence_penalty,
        frequency_penalty=request.frequency_penalty,
        stop=list(request.stop),
        include_stop_str_in_output=request.stop_kept,
        seed=request.seed,
        structured_outputs=StructuredOutputsParams(regex=request.pattern) if request.pattern else None,
        output_kind=RequestOutputKind.FINAL_ONLY,
    )


def _as_engine_error(error: Exception) -> EngineError:
    text = str(error).strip() or type(error).__name__
    too_long = "max_model_len" in text or "maximum model length" in text or "maximum context length" in text
    return ContextFullError(text) if too_long else EngineError(f"vLLM refused the request: {text}")
