"""Conversations as tokens: what is taught in them, and how the language model answers about images whose features are known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional

from cof_eval.agent.protocols import DIRECT
from cof_eval.benchmarks.synthetic import questions
from cof_eval.benchmarks.synthetic.world import COLOURS
from cof_eval.core.records import Size

from .pixels import FACTOR

IGNORED = -100
_FAINT = 0.1
"""Weight of all words other than colours, digits and sides."""
_TELLING = (*COLOURS, *questions.SIDES, *"0123456789")


@dataclass(frozen=True, slots=True)
class Piece:
    """Part of a conversation; the loss is taken on what is taught."""

    text: str
    taught: bool = False


class ChatTokenizer:
    """Turns conversations into batches for one tokenizer."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self.image_token = tokenizer.convert_tokens_to_ids("<|image_pad|>")
        self.pad = tokenizer.pad_token_id
        words = [form for word in _TELLING for form in (word, f" {word}")]
        self.telling = torch.tensor(sorted({ids[0] for word in words if len(ids := tokenizer(word)["input_ids"]) == 1}))

    def batch(self, conversations: Sequence[Sequence[Piece]]) -> dict[str, torch.Tensor]:
        """Token ids, labels and attention mask, padded on the right."""
        rows = [self._row(pieces) for pieces in conversations]
        longest = max(len(ids) for ids, _ in rows)
        ids = torch.tensor([ids + [self.pad] * (longest - len(ids)) for ids, _ in rows])
        labels = torch.tensor([labels + [IGNORED] * (longest - len(labels)) for _, labels in rows])
        mask = torch.tensor([[1] * len(ids) + [0] * (longest - len(ids)) for ids, _ in rows])
        return {"input_ids": ids, "labels": labels, "attention_mask": mask}

    def _row(self, pieces: Sequence[Piece]) -> tuple[list[int], list[int]]:
        ids: list[int] = []
        labels: list[int] = []
        for piece, found in zip(pieces, self.tokenizer([p.text for p in pieces])["input_ids"], strict=True):
            ids += found
            labels += found if piece.taught else [IGNORED] * len(found)
        return ids, labels

    def loss(self, logits: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """The weighted loss; labels of telling tokens; and which of them are right."""
        logits, labels = logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten()
        taught = labels != IGNORED
        logits, labels = logits[taught], labels[taught]
        telling = torch.isin(labels, self.telling)
        weight = torch.where(telling, 1.0, _FAINT)
        each = functional.cross_entropy(logits, labels, reduction="none")
        right = logits.argmax(-1) == labels
        return (each * weight).sum() / weight.sum(), labels[telling], right[telling]


def opening(image_tokens: int, system: str = DIRECT.system) -> str:
    """A conversation's beginning, up to what is asked."""
    image = f"<|vision_start|>{'<|image_pad|>' * image_tokens}<|vision_end|>" if image_tokens else ""
    return f"<|im_start|>system\n{system}<|im_end|>\n<|im_start|>user\n{image}"


def exchange(question: str, answer: str, *, first: bool) -> tuple[Piece, Piece]:
    """A question and its answer, as the chat template writes them."""
    header = "" if first else "\n<|im_start|>user\n"
    return Piece(f"{header}{question}<|im_end|>\n<|im_start|>assistant\n"), Piece(f"{answer}<|im_end|>", taught=True)


def run_model(
    model: Any, chat_tokenizer: ChatTokenizer, batch: dict[str, torch.Tensor], features: torch.Tensor | None, size: Size
) -> torch.Tensor:
    """Logits of a batch whose images, if any, have these features (images, tokens, width)."""
    ids = batch["input_ids"]
    embedded = model.get_input_embeddings()(ids)
    image = ids == chat_tokenizer.image_token
    if features is not None:
        embedded = embedded.masked_scatter(image[..., None], features.flatten(0, 1))
    places = positions(ids, image, None if features is None else (size[1] // FACTOR, size[0] // FACTOR))
    out = model.model.language_model(
        input_ids=None, inputs_embeds=embedded, position_ids=places, attention_mask=batch["attention_mask"], use_cache=False
    )
    return torch.as_tensor(model.lm_head(out.last_hidden_state))


def positions(ids: torch.Tensor, image: torch.Tensor, grid: tuple[int, int] | None) -> torch.Tensor:
    """(3, batch, length) rotary positions where each row has one image of `grid` (rows, columns) at the same place, or none."""
    steps = torch.arange(ids.shape[1])
    if grid is None:
        return steps.expand(3, *ids.shape)
    first, count = int(image[0].int().argmax()), grid[0] * grid[1]
    y, x = torch.meshgrid(torch.arange(grid[0]), torch.arange(grid[1]), indexing="ij")
    seen = torch.stack([torch.zeros(count, dtype=torch.long), y.flatten(), x.flatten()]) + first
    after = steps[first + count :] - count + max(grid)
    row = torch.cat([steps[:first].expand(3, -1), seen, after.expand(3, -1)], dim=1)
    return row[:, None, :].expand(3, ids.shape[0], -1)
