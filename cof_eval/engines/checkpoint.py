"""What a checkpoint's own files say: its processor's pixel limits, its chat template, its context, its fingerprint."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..agent.engine import Message, Tool
from ..core.errors import EngineError, EngineUnusableError, UsageError, first_line
from ..core.lazy_imports import TRANSFORMERS, imported_later
from ..core.resolution import OWN_PROCESSOR, PixelLimits
from ..core.settings import ModelSettings
from .families import IMAGE_TOKEN_NAMES, QWEN_VL_TYPES, model_type
from .template_messages import find_image_marks, template_message

_WHOLE_BYTES = 1 << 26
"""A weight file up to this size is read whole for its fingerprint."""
_STEP_BYTES = 1 << 20
"""Of a larger one, a page of every step is."""
_PAGE_BYTES = 1 << 12

_CONFIGURATION = ("*.json", "*.jinja", "*.txt", "*.model")


def find_checkpoint(pretrained: str, *, weights: bool = True) -> Path:
    """The local folder of a checkpoint; a hub id is downloaded (or found in the cache).

    Args:
        pretrained: folder or hub id.
        weights: whether a download includes the weights.

    Raises:
        UsageError: if it is neither a folder with a `config.json` nor a reachable hub id.
    """
    folder = Path(pretrained).expanduser()
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise UsageError(f"{folder} is no checkpoint: it has no config.json; pass the folder that holds the weights")
        return folder
    if pretrained.startswith((".", "/", "~")) or pretrained.count("/") != 1:
        raise UsageError(
            f"no checkpoint at {pretrained!r}; pass a local folder or a hub id such as Qwen/Qwen2.5-VL-7B-Instruct"
        )
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(pretrained, allow_patterns=None if weights else list(_CONFIGURATION)))
    except Exception as error:  # the hub client raises a dozen unrelated types; each means that it is not to be had
        raise UsageError(
            f"{pretrained!r} is no local folder and could not be fetched from the hub ({type(error).__name__}); "
            "check the name and the network, or pass a local folder"
        ) from error


def find_served(pretrained: str) -> Path | None:
    """A served checkpoint's files on this machine, its weights not needed; None if it is known by name only.

    Raises:
        UsageError: if there is a folder of that name, but it is no checkpoint.
    """
    if Path(pretrained).expanduser().is_dir():
        return find_checkpoint(pretrained)
    try:
        return find_checkpoint(pretrained, weights=False)
    except UsageError:
        return None


def find_adapter(lora: str) -> Path:
    """The local folder of a LoRA adapter.

    Raises:
        UsageError: if it holds none.
    """
    folder = Path(lora).expanduser()
    if not (folder / "adapter_config.json").is_file():
        raise UsageError(f"no LoRA adapter at {lora!r}: expected a folder with an adapter_config.json")
    return folder


def fingerprint(folder: Path, *, weights: bool = True) -> str:
    """Identifies a checkpoint by content, wherever it lies: every byte, but only a page of every MiB of large weight files.

    Args:
        folder: with the checkpoint's files.
        weights: whether weight files count.
    """
    digest = hashlib.blake2b(digest_size=16)
    for path in sorted(p for p in folder.iterdir() if p.suffix in (_SMALL | _WEIGHTS if weights else _SMALL) and p.is_file()):
        digest.update(f"{path.name}\0{path.stat().st_size}\0".encode())
        for piece in _pieces(path):
            digest.update(piece)
    return digest.hexdigest()


def identify(settings: ModelSettings) -> dict[str, Any]:
    """The identity of a run's checkpoint: part of every trajectory's key.

    Raises:
        UsageError: if it or its adapter is none.
    """
    identity: dict[str, Any] = {"pretrained": settings.pretrained}
    if settings.engine != "openai":
        parts = [fingerprint(find_checkpoint(settings.pretrained))]
    else:
        folder = find_served(settings.pretrained)
        here = Path(settings.pretrained).expanduser().is_dir()
        known = fingerprint(folder, weights=here) if folder else f"served:{settings.pretrained}"  # by name only
        parts = [known, *([f"served:{settings.served_name}"] if settings.served_name else [])]
    if settings.lora:
        identity["lora"] = settings.lora
        parts.append(fingerprint(find_adapter(settings.lora)))
    return identity | {"fingerprint": "+".join(parts)}


_SMALL = {".json", ".jinja", ".model", ".txt"}
_WEIGHTS = {".safetensors", ".bin"}


def _pieces(path: Path) -> Iterator[bytes]:
    """What of a file enters the fingerprint."""
    size = path.stat().st_size
    with path.open("rb") as file:
        if size <= _WHOLE_BYTES:
            yield file.read()
            return
        for start in [*range(0, size, _STEP_BYTES), size - _PAGE_BYTES]:
            file.seek(start)
            yield file.read(_PAGE_BYTES)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint's processor, loaded: renders prompts and knows its pixel limits."""

    folder: Path
    limits: PixelLimits
    context: int
    """`max_position_embeddings` of the language model."""
    image_token_id: int | None
    """The token that stands for a piece of an image in a prompt; None if the configuration does not tell."""
    processor: Any
    processor_args: Mapping[str, Any] = field(default_factory=dict)
    """The engine's `mm_processor_kwargs`, for processors that are not Qwen-VL's."""

    def render(
        self, messages: tuple[Message, ...], template_kwargs: Mapping[str, Any] | None = None, tools: Sequence[Tool] = ()
    ) -> str:
        """The prompt text, one placeholder an image, ready for the model's next turn.

        Args:
            messages: the conversation.
            template_kwargs: for the chat template (`Protocol.chat_template_kwargs`).
            tools: functions that the template is to offer (native calls).

        Raises:
            EngineError: if the template refuses the conversation.
        """
        chat = [template_message(message, self._marks) for message in messages]
        kwargs = {name: value for name, value in (template_kwargs or {}).items() if self.template_knows(name)}
        if tools:
            kwargs["tools"] = [tool.schema() for tool in tools]
        try:
            return str(self.processor.apply_chat_template(chat, tokenize=False, add_generation_prompt=True, **kwargs))
        except Exception as error:  # a template may raise any exception
            raise EngineError(f"the chat template of {self.folder} refuses the conversation: {first_line(error)}") from error

    def count_visual(self, prompt: Sequence[int]) -> int | None:
        """Visual tokens of a tokenized prompt."""
        return None if self.image_token_id is None else prompt.count(self.image_token_id)

    @property
    def _marks(self) -> tuple[str, ...]:
        return find_image_marks(self.processor.tokenizer) if self.limits.counted else ()

    def template_knows(self, name: str) -> bool:
        """Whether the chat template reads a variable of this name."""
        return name in str(self.processor.chat_template)

    def text_tokens(self, text: str) -> int:
        """Tokens of a text."""
        return len(self.processor.tokenizer.encode(text, add_special_tokens=False))

    @property
    def can_decode(self) -> bool:
        """Whether there is a tokenizer: always."""
        return True

    def decode(self, token_ids: Sequence[int]) -> str:
        """The text of a reply's tokens, control tokens left out, as servers show it."""
        return str(self.processor.tokenizer.decode(list(token_ids), skip_special_tokens=True))


def load_checkpoint(pretrained: str, processor_args: Mapping[str, Any] | None = None) -> Checkpoint:
    """Load a checkpoint's processor (no weights).

    Args:
        pretrained: folder or hub id.
        processor_args: the engine's `mm_processor_kwargs`, whose pixel limits replace a Qwen-VL checkpoint's.

    Raises:
        UsageError: if it is no checkpoint of a model that sees.
        EngineUnusableError: if its processor does not load.
    """
    folder = find_checkpoint(pretrained)
    kind = model_type(folder)
    try:
        with imported_later(TRANSFORMERS):
            from transformers import AutoConfig, AutoProcessor

            processor = AutoProcessor.from_pretrained(str(folder))
            config = AutoConfig.from_pretrained(str(folder))
        sized = kind in QWEN_VL_TYPES
        limits = _limits(processor.image_processor) if sized else OWN_PROCESSOR
        context = int(config.get_text_config().max_position_embeddings)
        image_token = int(config.image_token_id) if sized else _image_token(config)
        if not sized and not hasattr(processor, "image_processor"):
            raise EngineUnusableError("transformers knows no image processor for it; serve it, and use engine=openai")
    except Exception as error:  # transformers raises many kinds for damaged files
        raise EngineUnusableError(f"the processor of {folder} does not load: {first_line(error)}") from error
    if not sized:
        return Checkpoint(folder, limits, context, image_token, processor, dict(processor_args or {}))
    overridden = _overridden(limits, processor_args or {})
    processor.image_processor.size = {"shortest_edge": overridden.min_pixels, "longest_edge": overridden.max_pixels}
    return Checkpoint(folder, overridden, context, image_token, processor)


def _image_token(config: Any) -> int | None:
    """The id of the token that stands for a piece of an image, under the names that it has."""
    ids = (getattr(config, name, None) for name in IMAGE_TOKEN_NAMES)
    return next((int(each) for each in ids if each is not None), None)


def _limits(image_processor: Any) -> PixelLimits:
    size = image_processor.size
    factor = int(image_processor.patch_size) * int(image_processor.merge_size)
    return PixelLimits(factor, int(size["shortest_edge"]), int(size["longest_edge"]))


def _overridden(limits: PixelLimits, processor_args: Mapping[str, Any]) -> PixelLimits:
    """The limits with those of the engine's `mm_processor_kwargs` in their place."""
    try:
        size = processor_args.get("size") or {}
        least = processor_args.get("min_pixels", size.get("shortest_edge", limits.min_pixels))
        most = processor_args.get("max_pixels", size.get("longest_edge", limits.max_pixels))
        return PixelLimits(limits.factor, int(least), int(most))
    except (AttributeError, TypeError, ValueError) as error:  # UsageErrors are ValueErrors
        raise UsageError(f"engine_args: mm_processor_kwargs={processor_args!r} cannot be used: {error}") from error
