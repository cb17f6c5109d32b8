"""A server's reply as one generated turn."""

from __future__ import annotations

from ..agent.engine import Request, Response
from ..core.errors import EngineError
from ..core.records import Finish
from ..servers import Completion, Server
from .native_calls import read_calls


def read_response(done: Completion, request: Request, image_token_id: int | None) -> Response:
    """The turn of a reply.

    Args:
        done: the reply and the server that gave it.
        request: the request that it answers.
        image_token_id: of the checkpoint's tokenizer, to count visual tokens; None if unknown.

    Raises:
        EngineError: if the server ended the turn for a reason of its own.
    """
    choice, usage = done.reply.choices[0], done.reply.usage
    calls = read_calls(choice.message) if request.tools else ()
    finish = _finish(choice.finish_reason, native=bool(request.tools))
    if choice.finish_reason in _CALLED and not calls:
        raise EngineError(f"the server ended the request with finish reason {choice.finish_reason!r}, but gave no call")
    details = usage.prompt_tokens_details
    return Response(
        text=_with_stop(choice.message.text, request, done.server) if choice.finish_reason == "stop" else choice.message.text,
        tool_calls=calls,
        finish=finish,
        prompt_tokens=usage.prompt_tokens,
        cached_tokens=(details and details.cached_tokens) or 0,
        output_tokens=usage.completion_tokens,
        visual_tokens=_count_visual(done.reply.prompt_token_ids, image_token_id),
        engine_s=done.seconds,
    )


_CALLED = ("tool_calls", "function_call")
"""Finish reasons of a turn that ends with native calls."""


def _finish(reason: str | None, *, native: bool) -> Finish:
    if reason in ("stop", "length"):
        return Finish(reason)
    if native and reason in _CALLED:
        return Finish.STOP
    raise EngineError(f"the server ended the request with finish reason {reason!r}")


def _count_visual(prompt: list[int] | None, image_token_id: int | None) -> int | None:
    return None if prompt is None or image_token_id is None else prompt.count(image_token_id)


def _with_stop(text: str, request: Request, server: Server) -> str:
    """A turn with the closing tag that ended it, which servers other than vLLM cut off."""
    if server.is_vllm or not request.stop_kept:
        return text
    for ending in request.stop:
        opening = ending.replace("</", "<")
        if ending.startswith("</") and text.rfind(opening) > text.rfind(ending):
            return text + ending
    return text
