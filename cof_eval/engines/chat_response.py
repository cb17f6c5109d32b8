"""A server's reply as one generated turn: the text as the model wrote it, wherever the server put its parts.

Numbers must not depend on a server's parsers. Where the server returns the ids of the reply's tokens (vLLM does), the text is decoded
from them, here or by the server: parsers drop what they take for a broken call. Elsewhere thoughts go back before the text, and calls back into it, as the protocol writes them.
What cannot be put back is an error that names the server's flag.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ..agent.engine import Request, Response, cut_at_stop
from ..agent.protocols import Protocol
from ..agent.reply import SYNTAXES, CallSyntax
from ..agent.reply.calls import GROUNDING_TOOL
from ..core.errors import EngineError, EngineUnusableError
from ..core.records import Finish
from ..servers import Completion, Said, ServedCall, Server, finish_of, join_thoughts
from .native_calls import read_calls

REASONING_FLAG = "--reasoning-parser"
TOOL_FLAGS = "--enable-auto-tool-choice and --tool-call-parser (vLLM), --tool-call-parser (SGLang), --jinja (llama.cpp)"
_CURE = f"Start the server without {REASONING_FLAG} and without its tool parser ({TOOL_FLAGS})"
_MOST_TOKENS_PER_BYTE = 1.25
"""A token is a byte at least, but for those that no text shows."""
_MOST_CHARS = 4_000_000
"""A longer text is no reply: ten times what the longest limits of tokens allow."""
_CALLED = ("tool_calls", "function_call", "tool_use")
"""Finish reasons of a turn that ends with calls."""
HIDDEN_TOKENS = 16
"""Tokens that an empty reply may have: an end, and tokens that no text shows."""

Decode = Callable[[Sequence[int]], str]


@dataclass(slots=True, kw_only=True)
class ReplyReader:
    """Reads the replies of one run, and counts what it had to mend."""

    protocol: Protocol
    image_token_id: int | None = None
    """Of the checkpoint's tokenizer, to count visual tokens; None if unknown."""
    decode: Decode | None = None
    """Token ids to text; None without the tokenizer."""
    family_known: bool = False
    """Whether the visual tokens that a prompt needs at least are known."""
    mended: Counter[str] = field(default_factory=Counter)
    """Replies by what was done to them, in words."""

    async def read(self, done: Completion, request: Request) -> Response:
        """The turn of a reply.

        Raises:
            EngineError: if the server ended the turn for a reason of its own, or the reply's text is not to be had.
            EngineUnusableError: if the server showed less than the images that it was sent.
        """
        choice, usage = done.reply.choices[0], done.reply.usage
        finish = finish_of(choice.finish_reason)
        if finish is None:
            raise EngineError(f"the server ended the request with finish reason {choice.finish_reason!r}")
        cached = (usage.prompt_tokens_details and usage.prompt_tokens_details.cached_tokens) or 0
        if isinstance(usage.total_tokens, int) and usage.total_tokens > usage.prompt_tokens + cached + usage.completion_tokens:
            self.mended[
                "replies with more tokens in all than of prompt and completion: hidden thoughts may be billed uncounted"
            ] += 1
        self._check_prompt(usage.prompt_tokens + cached if usage.prompt_tokens else 0, request, done.server)
        calls = read_calls(choice.message) if request.tools else ()
        if choice.finish_reason in _CALLED and not (calls or choice.message.said.calls):
            says = f"the server ended the request with finish reason {choice.finish_reason!r}, but gave no call"
            raise EngineError(says if request.tools else f"{says}; start it without its tool parser: {TOOL_FLAGS}")
        text = await self._text(done, native=bool(calls))
        if len(text) > _MOST_CHARS:
            raise EngineError(f"the reply has {len(text):,} characters; {request.max_tokens:,} tokens were asked for")
        if finish is Finish.STOP:
            text = _with_stop(text, request, done.server)
        cut = cut_at_stop(text, request)
        return Response(
            text=cut,
            tool_calls=calls,
            finish=finish if len(cut) == len(text) else Finish.STOP,
            prompt_tokens=usage.prompt_tokens,
            cached_tokens=cached,
            output_tokens=usage.completion_tokens,
            visual_tokens=self._count_visual(done.reply.prompt_token_ids),
            engine_s=done.seconds,
        )

    async def _text(self, done: Completion, *, native: bool) -> str:
        """All that the model wrote, native calls aside."""
        said = done.reply.choices[0].message.said
        moved = said.thoughts or said.calls or said.refusal or not said.text or _lacks(done, said.text)
        if moved and not native and (text := await self._decoded(done)) is not None:
            if text != said.text:
                self.mended[f"text decoded from token ids: a parser of the server had moved it{_where(said)}"] += 1
            return text
        text = self._joined(done, said, native=native)
        if not native:
            self._check_whole(done, said, text)
        return text

    async def _decoded(self, done: Completion) -> str | None:
        """The text of the reply's tokens, which no parser has touched; None where they are not told."""
        token_ids = done.reply.choices[0].token_ids
        if not token_ids:
            return None
        return self.decode(token_ids) if self.decode else await done.server.detokenize(token_ids)

    def _joined(self, done: Completion, said: Said, *, native: bool) -> str:
        """Text, refusal, calls and thoughts in one."""
        text = said.text
        if said.refusal:
            self.mended["refusals, read as the model's text"] += 1
            text += said.refusal
        if said.calls and not native:
            text = self._with_calls(text, said)
        return self._with_thoughts(text, said) if said.thoughts else text

    def _with_thoughts(self, text: str, said: Said) -> str:
        """Thoughts back before the text. Without one the server found no end of them, so that they are all text."""
        if text:
            self.mended[f"thoughts that the server had moved to `{said.thoughts_in}`, put back before the text"] += 1
        else:
            self.mended[f"whole texts that the server had moved to `{said.thoughts_in}`, read as text"] += 1
        return join_thoughts(said.thoughts, text, opening="<think>" if self._opens_thoughts else "")

    @property
    def _opens_thoughts(self) -> bool:
        """Whether the checkpoint writes the tag that opens its thoughts; else its chat template does."""
        protocol = self.protocol
        return any(
            "<think>" in words for words in (protocol.system, protocol.question, protocol.open_question, protocol.format)
        )

    def _with_calls(self, text: str, said: Said) -> str:
        """Calls back into the text, as the protocol writes them; they must read back as the same calls."""
        calls = [self._written(call, said) for call in said.calls]
        self.mended[
            f"replies whose calls the server had moved to `{said.calls_in}`, written back as the protocol writes them"
        ] += 1
        return "\n".join([text.rstrip("\n"), *calls] if text.strip() else calls)

    def _written(self, call: ServedCall, said: Said) -> str:
        syntax, form = SYNTAXES[self.protocol.call_syntax], self.protocol.call_form
        try:
            arguments = json.loads(call.arguments or "{}")
        except (ValueError, RecursionError):
            arguments = None
        if isinstance(arguments, dict) and self.protocol.call_syntax is not CallSyntax.NONE:
            text = syntax.write(call.name, arguments, form)
            (*read,) = syntax.read(text, form)
            named = len(read) == 1 and read[0].name in (call.name, GROUNDING_TOOL)
            if named and read[0].error is None and read[0].arguments == arguments:
                return text
        raise EngineError(
            f"the server moved a call of {call.name!r} from the text to `{said.calls_in}`, and protocol {self.protocol.name} cannot write "
            f"it back; start the server without its tool parser: {TOOL_FLAGS}"
        )

    def _check_whole(self, done: Completion, said: Said, text: str) -> None:
        """Refuse a text where something else holds what is missing, or which cannot be all that was generated."""
        held = [
            name for name in (*said.ignored, *done.reply.ignored) if name.startswith(("message.", "content.", "tool", "func"))
        ]
        if held and not text:
            raise EngineError(f"the reply has no text, but {', '.join(held)}: a parser of the server moved it there. {_CURE}")
        if finish_of(done.reply.choices[0].finish_reason) is Finish.STOP and _lacks(done, text):
            raise EngineError(
                f"the reply has {len(text)} characters, but {done.reply.usage.completion_tokens:,} tokens were generated: a parser of the "
                f"server dropped what it took for thoughts or a call. {_CURE}"
            )

    def _check_prompt(self, prompt_tokens: int, request: Request, server: Server) -> None:
        """Stop the run if the prompt cannot hold the images: it has fewer tokens than they alone need."""
        predicted = sum(image.visual_tokens for image in request.images)
        if not prompt_tokens or prompt_tokens >= predicted:
            return
        if not self.family_known:
            self.mended["prompts with fewer tokens than the images need by Qwen-VL's processor: shrunk, or another family"] += 1
            return
        raise EngineUnusableError(
            f"{server.url} used {prompt_tokens:,} tokens for a prompt whose images alone need {predicted:,}: it shrinks images or cuts "
            "prompts, so boxes would be in another frame. Raise its limits (Ollama: num_ctx; LM Studio: context length, image size; "
            "vLLM: mm_processor_kwargs), or show smaller images (--max-pixels)"
        )

    def _count_visual(self, prompt: list[int] | None) -> int | None:
        return None if prompt is None or self.image_token_id is None else prompt.count(self.image_token_id)


def _lacks(done: Completion, text: str) -> bool:
    """Whether more tokens were generated than a text of this length can have, hidden thoughts aside."""
    usage = done.reply.usage
    hidden = (usage.completion_tokens_details and usage.completion_tokens_details.reasoning_tokens) or 0
    most = HIDDEN_TOKENS + _MOST_TOKENS_PER_BYTE * len(text.encode(errors="replace"))
    return usage.completion_tokens - hidden > most


def _where(said: Said) -> str:
    fields = [f"`{name}`" for name in (said.thoughts_in, said.calls_in, "refusal" if said.refusal else "") if name]
    return f" to {' and '.join(fields)}" if fields else ", or dropped it"


def _with_stop(text: str, request: Request, server: Server) -> str:
    """A turn with the closing tag that ended it, which servers other than vLLM cut off."""
    if server.is_vllm or not request.stop_kept:
        return text
    for ending in request.stop:
        opening = ending.replace("</", "<")
        if ending.startswith("</") and text.rfind(opening) > text.rfind(ending):
            return text + ending
    return text
