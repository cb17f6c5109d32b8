"""Whether a refusal means that the prompt does not fit the model's context, in each server's words. Pure.

The same model must stop as `context_full` on every server, so a new server's words are a line of `WORDINGS`. What only looks
similar (a rate limit in tokens per minute, an image too large, too long a reply asked for) is told apart.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

CODES = frozenset(
    {"context_length_exceeded", "exceed_context_size_error", "model_max_prompt_tokens_exceeded", "input_too_long"}
)
"""Errors' own names: OpenAI, Azure, Groq, OpenRouter; llama.cpp; Copilot; routers."""

WORDINGS: Mapping[str, str] = {
    "vLLM": r"maximum (context|model) length|max_model_len|model's context length is only",
    "SGLang": r"longer than the model's context length|exceeds the model's (maximum )?context length|multimodal prompt is too long",
    "llama.cpp": r"exceeds? the available context|context size (has been |was |is )?exceeded|exceeds? (the )?context size",
    "LM Studio": r"(when context the overflows|context length of only|context the overflows|greater than the context length)",
    "TGI": r"`?inputs`? tokens \+ `?max_new_tokens`? must be|`?inputs`? must have less than \d+ tokens",
    "LMDeploy": r"(exceeds?|longer than|greater than|larger than|over|>=?)[^.\n]{0,40}(session[_ ]len|max(imum)?[_ ]session)|input_?length_?error|"
    r"input is too long",
    "TensorRT-LLM": r"(max_seq_len|max_input_len|max_num_tokens)",
    "Anthropic": r"prompt is too long|input length and `?max_tokens`? exceed context limit|exceeds? (the )?(model's )?context (limit|window)",
    "Gemini": r"input token count[^.\n]{0,60}exceeds the maximum number of tokens",
    "xAI": r"maximum prompt length is",
    "Cohere": r"too many tokens: [^\n]{0,80}prompt",
    "Moonshot": r"exceeded model token limit",
    "DashScope": r"range of input length should be",
    "Zhipu": r"prompt exceeds max(imum)? length",
    "Mistral": r"prompt contains \d+ tokens[^\n]{0,80}too large",
}
"""By the server that says so, a pattern of its words (any case). Several others say what one of these says."""

_ANY = re.compile("|".join(f"(?:{pattern})" for pattern in WORDINGS.values()), re.IGNORECASE)
_TOO_LONG = r"(exceed|too long|too large|too many|longer than|larger than|greater than|more than|overflow|does not fit|doesn't fit|reduce the)"
_CONTEXT = (
    r"(context[ _-]?(length|window|size|limit)|(prompt|input)[ _-]?(length|tokens?)|(tokens|length) (of|in) the (prompt|input))"
)
_OTHERS = re.compile(
    rf"\b(prompt|input|conversation)( is| was|:)? too long|{_TOO_LONG}[^\n]{{0,200}}{_CONTEXT}|{_CONTEXT}[^\n]{{0,200}}{_TOO_LONG}",
    re.IGNORECASE,
)
"""Any other server's words: a limit, and what is over it."""

_NOT_CONTEXT = re.compile(
    r"per[ _-]?(min|minute|hour|day)\b|\b[TR]P[MD]\b|rate[ _-]?limit|quota|"
    r"image[^\n.]{0,60}(too large|exceed|larger than|pixels|bytes|\bMB\b)|(too large|exceed)[^\n.]{0,30}\b(image|pixels|bytes|MB)\b|"
    r"batch size|payload|request entity|completion tokens\b(?![^\n]*context)",
    re.IGNORECASE,
)
_READ_CHARS = 20_000


def is_overflow(status: int, says: str, code: str = "") -> bool:
    """Whether a refusal means that prompt and reply do not fit the context.

    Args:
        status: the HTTP status; older versions of llama.cpp say it with 500.
        says: the error's message, in the server's words.
        code: the error's own name, where it has one (`code` or `type`).
    """
    if status in (401, 403, 408, 409, 429):
        return False
    text = says[:_READ_CHARS]
    if code in CODES or any(name in text for name in CODES):
        return True
    if _NOT_CONTEXT.search(text) and not re.search(WORDINGS["vLLM"], text, re.IGNORECASE):
        return False
    if _ANY.search(text):
        return True
    return status < 500 and bool(_OTHERS.search(text))
