"""Which fields of a request a server takes: found out once per server, remembered, and told.

Everything that the protocol says about decoding is sent to every server: one that is not told uses its own. A server that
refuses a field is asked again with another name, another value, or without it. What is left out is said in the run.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

_SETTLE_S = 5.0
"""How long other requests wait for the first one of a server that may refuse fields."""

INSTEAD: Mapping[str, tuple[tuple[str, Any], ...]] = {
    "max_tokens": (("max_completion_tokens", None),),
    "top_k": (("top_k", 0),),
}
"""(name, value) to try in a field's place before it is left out; None for the same value. OpenAI's newer models; LMDeploy."""

_EXTRAS = ("top_k", "min_p", "repetition_penalty", "chat_template_kwargs", "return_token_ids", "include_stop_str_in_output")
"""Beyond OpenAI's interface; tried again without all of them where a refusal names no field."""
_STANDARD = ("presence_penalty", "frequency_penalty", "seed", "top_p", "stop", "temperature")
OPTIONAL = (*_EXTRAS, *_STANDARD)
"""What may be left out, in this order. All else is what the run is about."""

ALSO: Mapping[str, Mapping[str, str]] = {
    "llamacpp": {"repetition_penalty": "repeat_penalty"},
    "organization_owner": {"repetition_penalty": "repeat_penalty"},
}
"""By `owned_by`, another name under which a server takes a field: llama.cpp, LM Studio."""

UNUSED: Mapping[str, tuple[str, ...]] = {
    "library": ("top_k", "min_p", "repetition_penalty", "chat_template_kwargs"),
    "organization_owner": ("min_p", "chat_template_kwargs"),
}
"""By `owned_by`, fields that a server takes without a word and does not use: Ollama, LM Studio (their documentation)."""


@dataclass(frozen=True, slots=True)
class Change:
    """What became of a field that a server refused."""

    name: str = ""
    """Its name instead; empty if it is left out."""
    value: Any = None
    """Its value instead; None for the same."""
    says: str = ""
    """The server's words."""


@dataclass(frozen=True, slots=True)
class Fields:
    """The fields that a server takes."""

    changed: Mapping[str, Change] = field(default_factory=dict)

    def adapt(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """A request's body as this server takes it."""
        adapted = {name: value for name, value in body.items() if name not in self.changed}
        for name, change in self.changed.items():
            if name in body and change.name:
                adapted[change.name] = body[name] if change.value is None else change.value
        return adapted

    def without(self, refused: Collection[str], says: str) -> Fields:
        """The fields left when these are refused: each with its next alternative, if the refusal is about that, or left out."""
        return Fields({**self.changed, **{name: self._next(name, says) for name in refused}})

    def _next(self, name: str, says: str) -> Change:
        if name in self.changed:  # its alternative was refused too
            return Change(says=says)
        fitting = (Change(new, value, says) for new, value in INSTEAD.get(name, ()) if new != name or _VALUE.search(says))
        return next(fitting, Change(says=says))

    def blamed(self, body: Mapping[str, Any], says: str) -> list[str]:
        """Which fields of a request, as first written, a refusal names and can be sent otherwise."""
        return [
            name
            for name in (*INSTEAD, *(each for each in OPTIONAL if each not in INSTEAD))
            if name in body and self._can_change(name) and _names(says, self._sent_as(name)) and _is_unknown(name, says)
        ]

    def suspects(self, body: Mapping[str, Any]) -> list[str]:
        """Which fields to leave out where a refusal names none: those beyond OpenAI's interface, then all optional ones."""
        for group in (_EXTRAS, _STANDARD):
            left = [name for name in group if name in body and self._can_change(name)]
            if left:
                return left
        return []

    def _can_change(self, name: str) -> bool:
        return name not in self.changed or bool(self.changed[name].name and name in OPTIONAL)

    def _sent_as(self, name: str) -> str:
        change = self.changed.get(name)
        return change.name if change and change.name else name

    @property
    def left_out(self) -> dict[str, str]:
        """By field that is not sent, the server's words."""
        return {name: change.says for name, change in self.changed.items() if not change.name}


_VALUE = re.compile(r"negative|positive|greater|less than|at least|between|range|integer|value|[<>]=?|-1", re.IGNORECASE)
"""In a refusal of a field's value, not of the field."""
_WORDS = ("seed", "stop", "temperature")
"""Fields that are words of any message too: they count in quotes, or as a key."""


def _names(says: str, name: str) -> bool:
    quoted = (
        rf"['\"`.\[(]{name}['\"`\])]|\b{name}\b\s*[:=]|\.{name}\b|(parameter|argument|field|property|key|option)s?:? {name}\b"
    )
    return re.search(quoted if name in _WORDS else rf"(?<![\w]){name}(?![\w])", says, re.IGNORECASE) is not None


def _is_unknown(name: str, says: str) -> bool:
    """Whether a refusal is about the field, not its value; for a limit of tokens, which every server must be told."""
    return (
        name != "max_tokens"
        or re.search(
            r"max_completion_tokens|un(supported|known|recognized|expected)|not (supported|allowed)|"
            r"extra",
            says,
            re.IGNORECASE,
        )
        is not None
    )


@dataclass(eq=False)
class Negotiation:
    """What is known of one server's fields. The first request of an unknown server goes alone, so that it is refused once."""

    fields: Fields = field(default_factory=Fields)
    settled: bool = False
    """Whether a request with all these fields was taken."""
    _begun: asyncio.Event | None = None

    @asynccontextmanager
    async def turn(self, *, sure: bool) -> AsyncIterator[None]:
        """One request's turn: it waits for the first one, for a while, unless the server is known to take everything."""
        if sure or self.settled:
            yield
        elif self._begun is None:
            self._begun = asyncio.Event()
            try:
                yield
            finally:
                self._begun.set()
                self._begun = None
        else:
            with suppress(TimeoutError):
                async with asyncio.timeout(_SETTLE_S):
                    await self._begun.wait()
            yield

    def settle(self, fields: Fields) -> None:
        """A request was taken so."""
        if len(fields.changed) >= len(self.fields.changed):
            self.fields = fields
        self.settled = True
