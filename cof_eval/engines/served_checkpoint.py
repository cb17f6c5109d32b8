"""What is known of a served model from its checkpoint's own files, without transformers: importing it takes seconds.

Only plain cases are read here, as stock Qwen-VL checkpoints are written; anything else is left to the processor itself.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.resolution import OWN_PROCESSOR, PixelLimits
from .checkpoint import Checkpoint, find_checkpoint, load_checkpoint
from .families import IMAGE_TOKEN_NAMES, QWEN_VL_TYPES, model_type, read_config


@dataclass(frozen=True, slots=True)
class ServedCheckpoint:
    """A checkpoint's limits and tokenizer: all that is needed where a server renders the prompts."""

    limits: PixelLimits
    context: int
    """`max_position_embeddings` of the language model."""
    image_token_id: int | None
    tokenizer: Any

    def text_tokens(self, text: str) -> int:
        """Tokens of a text; without a tokenizer, one for two bytes (from above)."""
        if self.tokenizer is None:
            return len(text.encode()) // 2 + 1
        return len(self.tokenizer.encode(text, add_special_tokens=False).ids)

    @property
    def can_decode(self) -> bool:
        """Whether there is a tokenizer."""
        return self.tokenizer is not None

    def decode(self, token_ids: Sequence[int]) -> str:
        """The text of a reply's tokens, control tokens left out, as servers show it."""
        return str(self.tokenizer.decode(list(token_ids), skip_special_tokens=True))


def load_served(pretrained: str) -> ServedCheckpoint | Checkpoint:
    """What is to be known of a served model; its whole processor where its files are not plain.

    Raises:
        UsageError: if it is no checkpoint of a model that sees.
        EngineUnusableError: if a Qwen-VL checkpoint's files cannot be read.
    """
    folder = find_checkpoint(pretrained, weights=False)
    sized = model_type(folder) in QWEN_VL_TYPES
    try:
        return _read(folder, sized=sized)
    except Exception:  # tokenizers raises plain ones; whatever it is, the processor knows better or says what is wrong
        if sized:
            return load_checkpoint(str(folder))
        return ServedCheckpoint(OWN_PROCESSOR, _UNTOLD, None, None)  # the server's own code may know what ours does not


def _read(folder: Path, *, sized: bool) -> ServedCheckpoint:
    """From the JSON files; an error of any kind where they do not plainly say it."""
    config = read_config(folder)
    parts = (config, *(config.get(name) or {} for name in ("text_config", "llm_config")))
    (context,) = {part["max_position_embeddings"] for part in parts if _CONTEXT in part}
    (image_token,) = {config[name] for name in IMAGE_TOKEN_NAMES if config.get(name) is not None}
    limits = _limits(_image_processor(folder)) if sized else OWN_PROCESSOR
    return ServedCheckpoint(limits, int(context), int(image_token), _tokenizer(folder))


def _tokenizer(folder: Path) -> Any:
    from tokenizers import Tokenizer

    file = folder / "tokenizer.json"
    if not file.is_file():
        raise ValueError("the tokenizer is kept in another format")
    tokenizer = Tokenizer.from_file(str(file))
    added = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8")).get("added_tokens_decoder") or {}
    if any(tokenizer.token_to_id(token["content"]) != int(number) for number, token in added.items()):
        raise ValueError("tokenizer.json lacks tokens that tokenizer_config.json adds")
    tokenizer.no_truncation()
    return tokenizer


_CONTEXT = "max_position_embeddings"
_UNTOLD = 1 << 30
"""A context that is not known: the server's and the protocol's hold."""


def _image_processor(folder: Path) -> Mapping[str, Any]:
    """The image processor's settings; they are in one of two files, by the version that wrote them."""
    old, new = folder / "preprocessor_config.json", folder / "processor_config.json"
    whole = json.loads(new.read_text(encoding="utf-8")) if new.is_file() else {}
    parts = [part for part in (whole.get("image_processor"),) if part]
    parts += [json.loads(old.read_text(encoding="utf-8"))] if old.is_file() else []
    (found,) = parts
    return dict(found)


def _limits(settings: Mapping[str, Any]) -> PixelLimits:
    size = settings.get("size") or {}
    least = {value for value in (settings.get("min_pixels"), size.get("shortest_edge")) if value is not None}
    most = {value for value in (settings.get("max_pixels"), size.get("longest_edge")) if value is not None}
    ((low,), (high,)) = least, most
    return PixelLimits(int(settings["patch_size"]) * int(settings["merge_size"]), int(low), int(high))
