"""Why a server ended a reply, in each server's words."""

from __future__ import annotations

from collections.abc import Mapping

from ..core.records import Finish

FINISHES: Mapping[str, Finish] = {
    "stop": Finish.STOP,
    "eos": Finish.STOP,
    "eos_token": Finish.STOP,  # TGI
    "stop_sequence": Finish.STOP,  # TGI, Anthropic
    "end_turn": Finish.STOP,  # Anthropic
    "tool_calls": Finish.STOP,  # a tool parser found calls
    "function_call": Finish.STOP,
    "tool_use": Finish.STOP,  # Anthropic
    "length": Finish.LENGTH,
    "max_tokens": Finish.LENGTH,  # Anthropic, Gemini
    "model_length": Finish.LENGTH,  # Mistral: the context is full
    "max_output_tokens": Finish.LENGTH,
}


def finish_of(reason: str | None) -> Finish | None:
    """The finish that a server's word means; None if it means that the reply cannot be used."""
    return FINISHES.get(reason.lower()) if reason else None
