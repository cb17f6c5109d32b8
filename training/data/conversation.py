"""The conversation contract: evaluation, SFT and GRPO see the same messages, rendered by the same template to the same tokens.

Messages come from `cof_eval.agent.conversation`, which evaluation uses too. TRL wants them as dicts, takes images next to
them, and hands crops back in `tool` turns where Chain-of-Focus has `user` turns; the template renders both alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cof_eval.agent.conversation import Conversation
from cof_eval.agent.engine import Message, TextPart
from cof_eval.agent.zoom import TOOL_NAME
from cof_eval.core.records import Call

TEMPLATE_FILE = Path(__file__).resolve().parent / "chat_template.jinja"

WRITTEN = "written"
"""The argument that holds a whole turn as the model wrote it, where TRL parsed it as a call."""

_NO_THOUGHT = r"(?!(?:<think>.*?</think>|(?!</?think>).)*</think>)"
"""Ahead: no `</think>` without its opening tag, which would make everything before it a thought."""
_ANSWERS = rf"(?:<think>.*?</think>|(?!<think>.*?</think>).)*?<answer>(?!\s*(?:</answer>|<answer>|\Z)){_NO_THOUGHT}"
"""From a turn's start: an answer outside the thoughts; such a turn ends the rollout, whatever it calls."""

RESPONSE_TEMPLATE: dict[str, Any] = {
    "defaults": {"role": "assistant"},
    "start_anchor": "<|im_start|>assistant\n",
    "fields": {
        "tool_calls": {
            "open_pattern": rf"(?i)\A(?!{_ANSWERS})(?=.*<tool_call>.*<\|im_end\|>)",  # a turn that was cut calls nothing
            "close_pattern": r"(?=<\|im_end\|>)",
            "repeats": True,
            "content": "text",
            "content_args": {"strip": False},
            "transform": {"type": "function", "function": {"name": TOOL_NAME, "arguments": {WRITTEN: "{content}"}}},
        },
        "content": {"close_pattern": r"<\|im_end\|>\s*", "content": "text", "content_args": {"strip": False}},
    },
}
"""How TRL reads a turn: one with calls and no answer is one call of the tool, with the turn's whole text as its argument.

So the environment reads calls exactly as evaluation does (`take`). Malformed calls are answered; they do not end the
rollout in silence. Rendering the parsed turn again gives back the text that was sampled.
"""


def load_template() -> str:
    """The chat template's source."""
    return TEMPLATE_FILE.read_text(encoding="utf-8").rstrip("\n")


def adopt_template(processor: Any) -> Any:
    """Give a processor and its tokenizer the contract's templates; returns the processor. Saving it keeps them."""
    template = load_template()
    processor.chat_template = template
    processor.tokenizer.chat_template = template
    processor.tokenizer.response_template = RESPONSE_TEMPLATE
    return processor


def add_turn(conversation: Conversation, text: str) -> tuple[tuple[Call, ...], Message]:
    """Add a turn to a conversation and carry out its calls, as a rollout of the evaluation does.

    Returns:
        The calls, and the user message that answers them.
    """
    conversation.add_assistant_turn(text)
    calls, (told,) = conversation.execute_calls(conversation.protocol.read(text).calls)
    return calls, told


def parts_for_trl(message: Message, *, filled: bool) -> list[dict[str, Any]]:
    """A message's content; `filled` puts each image into its part, else it is a placeholder for the next of a list."""
    return [
        {"type": "text", "text": part.text}
        if isinstance(part, TextPart)
        else {"type": "image", **({"image": part.image} if filled else {})}
        for part in message.parts
    ]


def messages_for_trl(messages: Sequence[Message], *, filled: bool = False) -> list[dict[str, Any]]:
    """Messages as TRL and transformers take them."""
    return [{"role": message.role.value, "content": parts_for_trl(message, filled=filled)} for message in messages]
