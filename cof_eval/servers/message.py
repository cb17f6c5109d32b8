"""What a model said, wherever its server put it: text, thoughts, calls, a refusal. Pure.

Servers with a reasoning parser put text into `reasoning`, those with a tool parser into `tool_calls`, and others send content
in parts. Whatever holds something and is not read here is named, so that it can be refused or recorded.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

import msgspec


@dataclass(frozen=True, slots=True)
class ServedCall:
    """A call that arrived outside the text."""

    name: str
    arguments: str
    """As sent: a JSON text where the server keeps to the interface."""
    id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """A message of the model, sorted."""

    text: str = ""
    thoughts: str = ""
    thoughts_in: str = ""
    """The field that held the thoughts."""
    refusal: str = ""
    calls: tuple[ServedCall, ...] = ()
    calls_in: str = ""
    """The field that held the calls."""
    ignored: tuple[str, ...] = ()
    """Fields that hold something and are not read."""


class ReplyMessage(msgspec.Struct, frozen=True):
    """A message of the model as it arrived; `said` sorts it."""

    content: object = None
    """A text; or parts."""
    refusal: object = None
    reasoning: object = None
    """vLLM's and OpenRouter's, as a text."""
    reasoning_content: object = None
    """The same in older versions of vLLM, in SGLang, llama.cpp and LMDeploy."""
    thinking: object = None
    reasoning_details: object = None
    """OpenRouter's, in parts."""
    thinking_blocks: object = None
    """LiteLLM's, in parts."""
    tool_calls: object = None
    function_call: object = None

    @property
    def text(self) -> str:
        """All that the model wrote. A parser that found no end of the thoughts puts everything there, the answer too."""
        said = self.said
        return join_thoughts(said.thoughts, said.text or said.refusal)

    @property
    def said(self) -> Said:
        """What it says, sorted."""
        pieces = list(_pieces(self.content))
        inline = _texts(pieces, _Kind.THOUGHT)
        fields = {name: _all_text(getattr(self, name)) for name in _THOUGHTS}
        field = next((name for name, text in fields.items() if text), "")
        thoughts = inline or fields.get(field, "")
        doubled = (name for name, text in fields.items() if text.strip() and text.strip() != thoughts.strip())
        called = [piece.call for piece in pieces if piece.call]
        beside = {name: _calls(getattr(self, name)) for name in ("tool_calls", "function_call")}
        named = next((name for name, calls in beside.items() if calls), "content" if called else "")
        others = dict.fromkeys(f"content.{piece.text}" for piece in pieces if piece.kind is _Kind.OTHER)
        unread = [name for name, read in (fields | beside).items() if _holds(getattr(self, name)) and not read]
        return Said(
            text=_texts(pieces, _Kind.TEXT),
            thoughts=thoughts,
            thoughts_in="content" if inline else field,
            refusal=_texts(pieces, _Kind.REFUSAL) or _all_text(self.refusal),
            calls=tuple(beside.get(named, called)),
            calls_in=named,
            ignored=(*others, *doubled, *unread),
        )


def join_thoughts(thoughts: str, text: str, *, opening: str = "") -> str:
    """Thoughts and text as a checkpoint writes them in one.

    Args:
        thoughts: all of them; without a text, they are all that there is: no end was found.
        text: what follows.
        opening: the tag that opens thoughts, where the checkpoint writes it itself.
    """
    if not thoughts or not text:
        return thoughts or text
    whole = thoughts[-1].isspace() or text[0].isspace() or bool(opening)  # the parser kept the white space
    return f"{opening}{thoughts}</think>{text}" if whole else f"{opening}{thoughts}\n</think>\n\n{text}"


_THOUGHTS = ("reasoning", "reasoning_content", "thinking", "reasoning_details", "thinking_blocks")
_DEEPEST = 8
"""Parts within parts that are looked at."""
_MOST_PARTS = 1_000
"""A longer list is not read: no model writes one."""
_MOST_NAMES = 20
"""Fields named of one reply."""


class _Kind(StrEnum):
    TEXT = "text"
    THOUGHT = "thought"
    REFUSAL = "refusal"
    CALL = "call"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class _Piece:
    kind: _Kind
    text: str = ""
    call: ServedCall | None = None


_TEXT_TYPES = (None, "", "text", "output_text", "input_text", "message")
_CALL_TYPES = ("tool_use", "tool_call", "function", "function_call")


def _pieces(value: object, depth: int = 0) -> Iterator[_Piece]:
    """Whatever a content holds: a text, a part, or a list of them."""
    if isinstance(value, str):
        yield _Piece(_Kind.TEXT, value)
    elif isinstance(value, list) and depth < _DEEPEST and len(value) <= _MOST_PARTS:
        for part in value:
            yield from _pieces(part, depth + 1)
    elif isinstance(value, Mapping) and depth < _DEEPEST:
        yield from _part(value, depth)
    elif _holds(value):
        yield _Piece(_Kind.OTHER, type(value).__name__)


def _part(part: Mapping[str, object], depth: int) -> Iterator[_Piece]:
    kind = part.get("type")
    if isinstance(kind, str) and kind.partition("_")[0].partition(".")[0] in ("thinking", "reasoning", "thought", "summary"):
        yield _Piece(_Kind.THOUGHT, _all_text(part))
    elif kind == "refusal":
        yield _Piece(_Kind.REFUSAL, _all_text(part.get("refusal")))
    elif kind in _CALL_TYPES:
        call = _call(part)
        yield _Piece(_Kind.CALL, call=call) if call else _Piece(_Kind.OTHER, str(kind))
    elif kind in _TEXT_TYPES:
        held = next((part[key] for key in ("text", "parts", "content") if key in part), None)
        for piece in _pieces(held, depth + 1):
            yield _Piece(_Kind.THOUGHT, piece.text) if part.get("thought") is True and piece.kind is _Kind.TEXT else piece
    else:
        yield _Piece(_Kind.OTHER, str(kind)[:60])


def _texts(pieces: list[_Piece], kind: _Kind) -> str:
    return "".join(piece.text for piece in pieces if piece.kind is kind)


_TEXT_KEYS = ("text", "thinking", "reasoning", "summary", "content")


def _all_text(value: object, depth: int = 0) -> str:
    """All text in thoughts, whatever their parts are called."""
    if isinstance(value, str):
        return value
    if depth >= _DEEPEST:
        return ""
    if isinstance(value, list) and len(value) <= _MOST_PARTS:
        return "".join(_all_text(part, depth + 1) for part in value)
    if isinstance(value, Mapping):
        return next((text for key in _TEXT_KEYS if (text := _all_text(value.get(key), depth + 1))), "")
    return ""


def _calls(value: object) -> list[ServedCall]:
    parts = value if isinstance(value, list) else [value]
    if len(parts) > _MOST_PARTS:
        return []
    calls = [_call(part) for part in parts if isinstance(part, Mapping)]
    return [call for call in calls if call] if all(calls) else []


def _call(part: Mapping[str, object]) -> ServedCall | None:
    function = part.get("function")
    held = function if isinstance(function, Mapping) else part
    name = held.get("name")
    if not isinstance(name, str) or not name:
        return None
    given = next((held[key] for key in ("arguments", "input", "parameters") if key in held), "")
    number = part.get("id") or part.get("call_id")
    arguments = given if isinstance(given, str) else json.dumps(given, ensure_ascii=False)
    return ServedCall(name, arguments, number if isinstance(number, str) else "")


def _holds(value: object) -> bool:
    """Whether a field holds anything."""
    return value is not None and value != "" and value != [] and value != {}


_KNOWN: Mapping[str, frozenset[str]] = {
    "": frozenset({"id", "object", "created", "model", "choices", "usage", "prompt_token_ids", "system_fingerprint", "service_tier"}),
    "choices.": frozenset({"index", "finish_reason", "message", "token_ids"}),
    "message.": frozenset({"role", *ReplyMessage.__struct_fields__}),
    "usage.": frozenset({"prompt_tokens", "completion_tokens", "total_tokens", "prompt_tokens_details", "completion_tokens_details"}),
}  # fmt: skip
"""By level, the fields that are read, and those that only number or date a reply."""


def ignored_fields(reply: Mapping[str, object]) -> tuple[str, ...]:
    """Names of the fields of a whole reply that hold something and are not read.

    Args:
        reply: the body of a chat completion, decoded; its first choice is looked at.
    """
    choices = reply.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    message = first.get("message") if isinstance(first, Mapping) else None
    levels = {"": reply, "choices.": first, "message.": message, "usage.": reply.get("usage")}
    found = [
        f"{level}{name}"[:60]
        for level, fields in levels.items()
        if isinstance(fields, Mapping)
        for name, value in fields.items()
        if name not in _KNOWN[level] and _holds(value)
    ]
    return tuple(found[:_MOST_NAMES])
