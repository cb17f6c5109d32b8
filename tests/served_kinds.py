"""Fakes that behave as the servers of docs/servers.md do, one for each row of its table."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from fake_server import ChatRequest, scripted

Shape = Callable[[str], dict[str, Any]]
"""What a server makes of a model's text."""


@dataclass(frozen=True)
class Kind:
    """One row of the table."""

    options: Mapping[str, Any] = field(default_factory=dict)
    """Of the fake server."""
    shape: Shape = lambda text: {"content": text}
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Of the engine."""
    notes: tuple[str, ...] = ()
    """Beginnings of the notes that a run shows; all of them."""
    recorded: Mapping[str, Any] = field(default_factory=dict)
    """Of the server's entry in run.yaml."""
    error: str = ""
    """What ends the run, where it must not go on."""


def reply(shape: Shape) -> Callable[[ChatRequest], dict[str, Any]]:
    """A model that zooms once and answers, behind this server."""
    return lambda asked: shape(scripted(asked))


def _thoughts(text: str) -> tuple[str, str]:
    found = re.fullmatch(r"<think>(.*?)</think>(.*)", text, re.DOTALL)
    assert found, text
    return found[1], found[2]


def reasoning(name: str) -> Shape:
    """A parser of thoughts."""

    def shape(text: str) -> dict[str, Any]:
        thoughts, rest = _thoughts(text)
        return {"content": rest, name: thoughts}

    return shape


def no_end_found(text: str) -> dict[str, Any]:
    """A parser of thoughts for another checkpoint: all is thought."""
    return {"content": None, "reasoning": text}


def tool_calls(text: str) -> dict[str, Any]:
    """A parser of calls."""
    before, mark, call = text.partition("<tool_call>")
    if not mark:
        return {"content": text}
    called = json.loads(call.removesuffix("</tool_call>"))
    function = {"name": called["name"], "arguments": json.dumps(called["arguments"])}
    calls = [{"id": "chatcmpl-tool-1", "type": "function", "function": function}]
    return {"content": before or None, "tool_calls": calls, "finish_reason": "tool_calls"}


def parts(text: str) -> dict[str, Any]:
    """Content in parts, thoughts among them."""
    thoughts, rest = _thoughts(text)
    return {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": thoughts}]}, {"type": "text", "text": rest}]}


def details(text: str) -> dict[str, Any]:
    """OpenRouter's thoughts."""
    thoughts, rest = _thoughts(text)
    return {"content": rest, "reasoning": thoughts, "reasoning_details": [{"type": "reasoning.text", "text": thoughts}]}


def refusing(*refusals: tuple[str, int, str]) -> Callable[[ChatRequest], tuple[int, str] | None]:
    """Refuses the first of these fields that a request has; (name, status, words)."""
    return lambda asked: next(((status, says) for name, status, says in refusals if name in asked.body), None)


def greedy(asked: ChatRequest) -> tuple[int, str] | None:
    return (
        (422, "Input validation error: `temperature` must be strictly positive") if asked.body.get("temperature") == 0 else None
    )


def negative(asked: ChatRequest) -> tuple[int, str] | None:
    return (400, "The top_k `-1` cannot be a negative integer.") if asked.body["top_k"] < 0 else None


_UNKNOWN = "Unrecognized request argument supplied: {}"
_OPENAI = refusing(
    *((name, 400, _UNKNOWN.format(name)) for name in ("top_k", "min_p", "repetition_penalty")),
    (
        "max_tokens",
        400,
        "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
    ),
    (
        "temperature",
        400,
        "Unsupported value: 'temperature' does not support 0.0 with this model. Only the default (1) value is supported.",
    ),
)
_OWN_THREE = "the server may have used its own top_k, min_p, repetition_penalty"

KINDS: dict[str, Kind] = {
    "vLLM": Kind({"owner": "vllm", "root": "/models/cof-7b"}, recorded={"owned_by": "vllm", "root": "/models/cof-7b"}),
    "vLLM, reasoning parser": Kind(
        {"owner": "vllm"}, reasoning("reasoning"), notes=("thoughts that the server had moved to `reasoning`",)
    ),
    "vLLM, reasoning parser that finds no end": Kind(
        {"owner": "vllm"}, no_end_found, notes=("whole texts that the server had moved to `reasoning`",)
    ),
    "vLLM, tool parser": Kind({"owner": "vllm"}, tool_calls, notes=("replies whose calls the server had moved to `tool_calls`",)),
    "vLLM, several names": Kind(
        {"owner": "vllm", "models": ["first", "alias"], "answers_as": lambda asked: "first"}, settings={"served_name": "alias"}
    ),
    "SGLang": Kind(
        {"owner": "sglang", "beside": {"metadata": {"weight_version": "1"}}},
        reasoning("reasoning_content"),
        notes=("thoughts that the server had moved to `reasoning_content`", "fields of replies that were not read: metadata"),
    ),
    "llama.cpp": Kind(
        {"owner": "llamacpp", "beside": {"timings": {"predicted_n": 3}}},
        reasoning("reasoning_content"),
        notes=("thoughts that the server had moved to `reasoning_content`", "fields of replies that were not read: timings"),
    ),
    "Ollama": Kind(
        {"owner": "library"},
        reasoning("reasoning"),
        notes=(f"{_OWN_THREE}, chat_template_kwargs: it takes these fields", "thoughts that the server had moved to `reasoning`"),
    ),
    "Ollama, a small num_ctx": Kind(
        {"owner": "library", "beside": {"usage": {"prompt_tokens": 20, "completion_tokens": 5}}}, error="shrinks images or cuts prompts"
    ),
    "LM Studio": Kind(
        {"owner": "organization_owner", "beside": {"stats": {}}},
        notes=("the server may have used its own min_p, chat_template_kwargs: it takes these fields",),
    ),
    "LM Studio, images shrunk": Kind(
        {"owner": "organization_owner", "beside": {"usage": {"prompt_tokens": 20, "completion_tokens": 5}}},
        error="shrinks images or cuts prompts",
    ),
    "LMDeploy": Kind({"owner": "lmdeploy", "fault": negative}, recorded={"sent_as": {"top_k": {"top_k": 0}}}),
    "LiteLLM before vLLM": Kind({"owner": "openai", "answers_as": lambda asked: "hosted_vllm/cof-7b"}),
    "LiteLLM before a hosted model": Kind(
        {
            "owner": "openai",
            "fault": refusing(
                *((name, 400, f"litellm.UnsupportedParamsError: openai does not support parameters: ['{name}']") for name in ("top_k", "min_p", "repetition_penalty"))
            ),
        },
        notes=(f"{_OWN_THREE}: it refused to be told",),
    ),
    "TGI": Kind(
        {"owner": "tgi", "finish": "eos_token", "fault": greedy}, notes=("the server may have used its own temperature: it refused",)
    ),
    "OpenAI": Kind(
        {"owner": "openai", "answers_as": lambda asked: "gpt-5-2026-08-07", "fault": _OPENAI},
        notes=(f"{_OWN_THREE}, temperature: it refused to be told",),
        recorded={"sent_as": {"max_tokens": "max_completion_tokens"}},
    ),
    "Azure": Kind(
        {
            "owner": "azure",
            "answers_as": lambda asked: "gpt-4o-2024-11-20",
            "beside": {"prompt_filter_results": [{"prompt_index": 0}]},
        },
        notes=("fields of replies that were not read: prompt_filter_results",),
    ),
    "OpenRouter": Kind(
        {"owner": "", "beside": {"provider": "Host"}},
        details,
        notes=("thoughts that the server had moved to `reasoning`", "fields of replies that were not read: provider"),
    ),
    "Mistral": Kind({"owner": "mistralai"}, parts, notes=("thoughts that the server had moved to `content`",)),
    "Anthropic, compatible": Kind(
        {"owner": "anthropic", "finish": "end_turn", "fault": refusing(("frequency_penalty", 400, "frequency_penalty: Extra inputs are not permitted"))},
        notes=("the server may have used its own frequency_penalty: it refused",),
    ),
    "Gemini, compatible": Kind(
        {"owner": "google", "fault": refusing(("min_p", 400, 'Invalid JSON payload received. Unknown name "min_p": Cannot find field.'))},
        notes=("the server may have used its own min_p: it refused",),
    ),
    "any other": Kind(
        {"owner": "some-company", "fault": refusing(("top_k", 400, "Bad request"))},
        notes=(f"{_OWN_THREE}: it refused to be told",),
    ),
}  # fmt: skip
