"""The body of a chat request: what the protocol says about decoding, in the words of the server that gets it."""

from __future__ import annotations

from typing import Any

from ..agent.engine import Request
from ..servers import Server, decoding_fields


def chat_body(request: Request, messages: list[dict[str, Any]], server: Server) -> dict[str, Any]:
    """The body of a chat request, whole; the pool takes out what the server refuses (`servers.fields`)."""
    body: dict[str, Any] = {"messages": messages} | decoding_fields(
        server,
        max_tokens=request.max_tokens,
        temperature=request.temperature,
        top_p=request.top_p,
        top_k=request.top_k,
        min_p=request.min_p,
        repetition_penalty=request.repetition_penalty,
        presence_penalty=request.presence_penalty,
        frequency_penalty=request.frequency_penalty,
    )
    if request.seed is not None:
        body["seed"] = request.seed
    if request.stop:
        body["stop"] = list(request.stop)
    if request.template_kwargs:
        body["chat_template_kwargs"] = dict(request.template_kwargs)
    if server.is_vllm:
        kept = request.stop_kept and bool(request.stop or not request.tools)  # with tools, special tokens are not skipped
        body |= {"return_token_ids": True, "include_stop_str_in_output": kept}
    if request.tools:
        body["tools"] = [tool.schema() for tool in request.tools]
    if request.pattern:
        body["structured_outputs"] = {"regex": request.pattern}
    return body
