"""Hugging Face transformers in this process: no vLLM needed (a laptop, a Mac), at a fraction of its speed.

Turns that wait are generated together, one batch after the other: there is no continuous batching here. Greedy decoding
gives what vLLM gives; a turn that samples runs alone, so that its seed alone decides.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..agent.engine import Request, Response, cut_at_stop
from ..agent.protocols import Protocol
from ..core.errors import EngineError, EngineUnusableError, UsageError, first_line
from ..core.lazy_imports import TRANSFORMERS, imported_later
from ..core.records import Finish
from ..core.resolution import PixelLimits
from . import EngineSettings
from .checkpoint import Checkpoint, find_adapter

KNOWN_ARGS = ("attn_implementation", "device", "dtype", "max_batch", "mm_processor_kwargs")
_MAX_BATCH = 8


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A turn that waits for the next batch."""

    request: Request
    reply: asyncio.Future[Response]
    since: float


class TransformersEngine:
    """An `Engine` over `transformers`' `generate` (transformers 5)."""

    def __init__(self, settings: EngineSettings, protocol: Protocol, checkpoint: Checkpoint) -> None:
        """Check the arguments; nothing is loaded yet.

        Raises:
            UsageError: for an unknown engine argument.
        """
        unknown = sorted(set(settings.engine_args) - set(KNOWN_ARGS))
        if unknown:
            raise UsageError(
                f"engine_args of engine transformers: unknown {', '.join(unknown)}; known: {', '.join(KNOWN_ARGS)}"
            )
        self._settings = settings
        self._args = dict(settings.engine_args)
        self._max_batch = int(self._args.get("max_batch", _MAX_BATCH))
        self._checkpoint = checkpoint
        self._context = min(protocol.context, checkpoint.context)
        self._max_images = protocol.max_images
        self._model: Any = None
        self._grammars: Any = None
        self._waiting: asyncio.Queue[_Waiting] = asyncio.Queue()
        self._pump: asyncio.Task[None] | None = None

    @property
    def checkpoint(self) -> Checkpoint | None:
        """The checkpoint's files."""
        return self._checkpoint

    @property
    def limits(self) -> PixelLimits:
        """The checkpoint's."""
        return self._checkpoint.limits

    @property
    def context(self) -> int:
        """The checkpoint's, within the protocol's."""
        return self._context

    @property
    def max_images(self) -> int:
        """The protocol's."""
        return self._max_images

    def text_tokens(self, text: str) -> int:
        """Tokens of a text by the checkpoint's tokenizer."""
        return self._checkpoint.text_tokens(text)

    async def start(self) -> None:
        """Load the weights.

        Raises:
            EngineUnusableError: if they do not load.
        """
        try:
            self._model = await asyncio.to_thread(_load, self._checkpoint, self._args, self._settings.lora)
        except Exception as error:  # torch and transformers raise many types; all mean that it does not load
            reason = first_line(error)
            raise EngineUnusableError(f"{self._checkpoint.folder} does not load: {reason}") from error
        self._pump = asyncio.create_task(self._serve())

    async def generate(self, request: Request) -> Response:
        """Generate one turn, together with others that wait; see `Engine.generate`."""
        reply: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        await self._waiting.put(_Waiting(request, reply, time.monotonic()))
        return await reply

    async def close(self) -> None:
        """Stop serving and let the weights go."""
        if self._pump is not None:
            self._pump.cancel()
            await asyncio.gather(self._pump, return_exceptions=True)
        self._model = self._pump = None

    async def _serve(self) -> None:
        """Generate batch after batch of the waiting requests."""
        held: _Waiting | None = None
        while True:
            batch = [held or await self._waiting.get()]
            held = None
            while len(batch) < self._max_batch and not self._waiting.empty():
                following = self._waiting.get_nowait()
                if not _together(batch[0].request, following.request):
                    held = following
                    break
                batch.append(following)
            await self._answer([w for w in batch if not w.reply.cancelled()])

    async def _answer(self, batch: Sequence[_Waiting]) -> None:
        if not batch:
            return
        try:
            responses = await asyncio.to_thread(self._batch, batch)
        except Exception as error:  # a turn that fails, for want of memory for instance, fails no other turn, and not the run
            if len(batch) > 1:
                for waiting in batch:
                    await self._answer([waiting])
            elif not batch[0].reply.done():
                reason = first_line(error)
                batch[0].reply.set_exception(EngineError(f"transformers failed: {reason}"))
            return
        for waiting, response in zip(batch, responses, strict=True):
            if not waiting.reply.done():
                waiting.reply.set_result(response)

    def _batch(self, batch: Sequence[_Waiting]) -> list[Response]:
        import torch

        requests = [w.request for w in batch]
        first = requests[0]
        inputs = self._inputs(requests).to(self._model.device)
        if first.seed is not None:
            torch.manual_seed(first.seed)
        sampling = _sampling(first)
        if first.stop:
            sampling |= {"stop_strings": list(first.stop), "tokenizer": self._checkpoint.processor.tokenizer}
        width = inputs["input_ids"].shape[1]
        with torch.inference_mode():
            output = self._model.generate(
                **inputs,
                max_new_tokens=first.max_tokens,
                do_sample=first.temperature > 0,
                repetition_penalty=first.repetition_penalty,
                logits_processor=[*_penalties(first, width), *self._constraints(requests)],
                **sampling,
            )
        rows = zip(batch, inputs["input_ids"], inputs["attention_mask"], output[:, width:], strict=True)
        return [self._response(w, ids[mask.bool()].tolist(), new.tolist()) for w, ids, mask, new in rows]

    def _inputs(self, requests: Sequence[Request]) -> Any:
        images = [[part.image for part in request.images] for request in requests]
        return self._checkpoint.processor(
            text=[self._checkpoint.render(request.messages, request.template_kwargs) for request in requests],
            images=images if any(images) else None,
            padding=True,
            padding_side="left",
            add_special_tokens=False,  # the template wrote them
            return_tensors="pt",
            **self._checkpoint.processor_args,
        )

    def _constraints(self, requests: Sequence[Request]) -> list[Any]:
        """A grammar for each turn that has a pattern; batches hold turns with or without one, never both."""
        if requests[0].pattern is None:
            return []
        import xgrammar
        from xgrammar.contrib.hf import LogitsProcessor

        if self._grammars is None:
            size = int(self._model.config.get_text_config().vocab_size)
            info = xgrammar.TokenizerInfo.from_huggingface(self._checkpoint.processor.tokenizer, vocab_size=size)
            self._grammars = xgrammar.GrammarCompiler(info)
        return [LogitsProcessor([self._grammars.compile_regex(request.pattern) for request in requests])]

    def _response(self, waiting: _Waiting, prompt: list[int], new: list[int]) -> Response:
        ends = self._model.generation_config.eos_token_id
        stops = set(ends if isinstance(ends, list) else [ends])
        end = next((i for i, token in enumerate(new) if token in stops), None)
        kept = new if end is None else new[:end]
        text = self._checkpoint.processor.tokenizer.decode(kept, skip_special_tokens=True)
        cut = cut_at_stop(text, waiting.request)
        stopped = end is not None or any(ending in text for ending in waiting.request.stop)
        return Response(
            text=cut,
            finish=Finish.STOP if stopped else Finish.LENGTH,
            prompt_tokens=len(prompt),
            cached_tokens=0,
            output_tokens=len(kept) + (end is not None),
            visual_tokens=self._checkpoint.count_visual(prompt),
            engine_s=time.monotonic() - waiting.since,
        )


def _together(a: Request, b: Request) -> bool:
    """Whether two turns may share a batch: decoded alike, and greedily."""
    return a.temperature == b.temperature == 0 and _decoding(a) == _decoding(b)


def _decoding(request: Request) -> tuple[object, ...]:
    penalties = (request.repetition_penalty, request.presence_penalty, request.frequency_penalty)
    return (request.max_tokens, request.stop, request.pattern is None, *penalties)


def _sampling(request: Request) -> dict[str, Any]:
    """How `generate` is to draw tokens; nothing for greedy decoding."""
    if request.temperature == 0:
        return {}
    drawn = {"temperature": request.temperature, "top_p": request.top_p, "top_k": request.top_k}
    return {**drawn, **({"min_p": request.min_p} if request.min_p > 0 else {})}


def _penalties(request: Request, width: int) -> list[Any]:
    """Processors that lower the logits of tokens already in a reply, as vLLM does it: the prompt does not count.

    Args:
        request: whose penalties.
        width: tokens of the prompt.
    """
    if not request.presence_penalty and not request.frequency_penalty:
        return []

    def lower(tokens: Any, logits: Any) -> Any:
        reply = tokens[:, width:]
        counts = logits.new_zeros(logits.shape).scatter_add_(1, reply, logits.new_ones(reply.shape))
        return logits - request.presence_penalty * (counts > 0) - request.frequency_penalty * counts

    return [lower]


def _load(checkpoint: Checkpoint, args: dict[str, Any], lora: str | None) -> Any:
    import torch
    from transformers import AutoModelForImageTextToText

    options = {"attn_implementation": args["attn_implementation"]} if "attn_implementation" in args else {}
    with imported_later(TRANSFORMERS):
        model = AutoModelForImageTextToText.from_pretrained(str(checkpoint.folder), dtype=args.get("dtype", "auto"), **options)
    if lora:
        from peft import PeftModel

        model = PeftModel.from_pretrained(model, str(find_adapter(lora)))
    return model.to(args.get("device") or _device(torch)).eval()


def _device(torch: Any) -> str:
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"
