"""The meaning of a refused request: the prompt is too long for the server's context, or the server does not take it."""

from __future__ import annotations

from ..core.errors import ContextFullError, EngineError


def refusal(says: str) -> EngineError:
    """The error for a request that a server refuses: the prompt is too long, or it holds what this server does not take."""
    too_long = "maximum context length" in says or "max_model_len" in says or "maximum model length" in says
    return ContextFullError(says) if too_long else EngineError(f"the server refused the request: {says}")
