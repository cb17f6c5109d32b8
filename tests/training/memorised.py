"""A tiny model that learned by heart to zoom, or to answer at sight: so that rollouts have turns and images without a script."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cof_eval.agent.conversation import Conversation
from cof_eval.agent.engine import Message
from cof_eval.agent.protocols import Protocol, parse_protocol
from cof_eval.agent.rollout import Subject
from cof_eval.benchmarks import Item
from cof_eval.core.resolution import Resolution, parse_resolution
from cof_eval.engines.checkpoint import load_checkpoint
from cof_eval.engines.tiny_checkpoint import write_checkpoint
from training.data.conversation import add_turn, adopt_template, messages_for_trl
from training.rl.prompts import prompt_rows

RESOLUTION = parse_resolution("224")
ZOOMING: Protocol = parse_protocol(
    "cof", {"max_turns": 3, "max_images": 3, "max_new_tokens": 80, "temperature": 1.0, "max_pixels": 224 * 224}
)
CALL = '<think>small</think> <tool_call>{"name": "image_zoom_in_tool", "arguments": {"bbox_2d": [20, 20, 90, 90]}}</tool_call>'
ANSWERS = ("<think>seen</think> <answer>A</answer>", "<think>seen</think> <answer>B</answer>")


def zoomed_conversation(subject: Subject, protocol: Protocol, limits: Any, turns: Sequence[str]) -> list[Message]:
    """The messages of a rollout whose turns are given; all but the last are calls."""
    assert subject.view is not None
    conversation = Conversation(protocol, limits, subject.question, subject.view, subject.shown_hash)
    for text in turns[:-1]:
        add_turn(conversation, text)
    conversation.add_assistant_turn(turns[-1])
    return conversation.messages


def write_memorised(
    folder: Path, items: Sequence[Item], protocol: Protocol, resolution: Resolution, *, steps: int = 60, seed: int = 0
) -> Path:
    """Write a checkpoint that mostly zooms once and then answers, sometimes at sight, with A or B."""
    import torch
    from transformers import AutoModelForImageTextToText

    write_checkpoint(folder, seed=seed)
    checkpoint = load_checkpoint(str(folder))
    processor, limits = adopt_template(checkpoint.processor), protocol.limits(checkpoint.limits)
    torch.manual_seed(seed)
    model = AutoModelForImageTextToText.from_pretrained(str(folder)).train()
    optimizer = torch.optim.AdamW([p for n, p in model.named_parameters() if "visual" not in n], lr=2e-3)
    rows = prompt_rows(items, protocol, checkpoint.limits, resolution)
    for step in range(steps):
        subject = rows[step % len(items)]["subject"]
        turns = [CALL] * (step % 4 > 0) + [ANSWERS[step // 4 % 2]]
        messages = zoomed_conversation(subject, protocol, limits, turns)
        batch = processor.apply_chat_template(
            messages_for_trl(messages, filled=True), tokenize=True, return_dict=True, return_tensors="pt"
        )
        batch["labels"] = labels(processor, batch["input_ids"][0])[None]
        loss = model(**batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    model.save_pretrained(str(folder))
    processor.save_pretrained(str(folder))
    assert sum(len(message.images) for message in messages) == len(turns)
    return folder


def labels(processor: Any, ids: Any) -> Any:
    """Token ids with everything but the assistant's turns, end marks included, at -100."""
    header = processor.tokenizer.encode("<|im_start|>assistant\n", add_special_tokens=False)
    end = processor.tokenizer.convert_tokens_to_ids("<|im_end|>")
    kept, inside, listed = ids.clone(), False, ids.tolist()
    for i, token in enumerate(listed):
        kept[i] = token if inside else -100
        if inside and token == end:
            inside = False
        elif not inside and listed[max(0, i + 1 - len(header)) : i + 1] == header:
            inside = True
    return kept
