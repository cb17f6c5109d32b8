"""One OpenAI-compatible server: whether it is worth asking, how much it takes, and which images it has seen."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .fields import Negotiation
from .limit import AdaptiveLimit

_KNOWN_IMAGES = 8192
"""Image ids remembered; a server that forgot one says so."""
_REST_S = 1.0
_LONGEST_REST_S = 10.0


@dataclass(eq=False)
class Server:
    """One server, and what is known of it."""

    url: str
    """Base URL, ending in `/v1`."""
    client: Any
    """An `openai.AsyncOpenAI` that does not retry by itself."""
    limit: AdaptiveLimit
    model: str = ""
    """The name under which it serves the model."""
    context: int | None = None
    """Its `max_model_len`, where it tells."""
    owner: str = ""
    """The model's owner, as the server tells it: `vllm`, `sglang`, or a company."""
    root: str = ""
    """The model behind that name, as the server tells it: a path or a name; empty if it does not tell."""
    version: str = ""
    """Its own version, where it tells."""
    gone: str = ""
    """Why it is not asked any more at all."""
    silences: int = 0
    """Times that it was left alone since it last answered."""
    faults: int = 0
    """Requests that it failed since it last answered."""
    rests_until: float = 0.0
    rested: float = 0.0
    """When it was last left alone."""
    known: OrderedDict[str, None] = field(default_factory=OrderedDict)
    """Ids of images that it was sent."""
    negotiation: Negotiation = field(default_factory=Negotiation)
    """Which fields of a request it takes."""

    @property
    def is_vllm(self) -> bool:
        """Whether it understands vLLM's additions: image ids, token ids, structured output by regular expression."""
        return self.owner == "vllm"

    @property
    def samples_freely(self) -> bool:
        """Whether it takes sampling settings beyond OpenAI's."""
        return self.owner in ("vllm", "sglang")

    async def post(self, body: Mapping[str, Any]) -> bytes:
        """The body of its reply to a chat request; raises openai's errors.

        Neither what is asked nor what comes passes through openai's types: they cost a third of the CPU time of a short reply.
        """
        from openai import HttpxBinaryResponseContent

        reply = await self.client.post("/chat/completions", cast_to=HttpxBinaryResponseContent, body=body)
        return bytes(reply.content)

    def is_up(self) -> bool:
        """Whether it is worth asking now."""
        return not self.gone and time.monotonic() >= self.rests_until

    def take(self) -> None:
        """It is about to be asked; after a silence by one request alone, until that has heard from it."""
        if self.silences:
            self.rests_until = time.monotonic() + self._rest_s()

    def rest(self, asked: float, at_least: float = 0.0) -> None:
        """Leave it alone for a while, longer each time. It may have lost its caches.

        Args:
            asked: when the request that it failed was sent; all that were under way at once are one failure.
            at_least: seconds.
        """
        self.silences += asked >= self.rested
        self.rested = time.monotonic()
        self.rests_until = self.rested + max(at_least, self._rest_s())
        self.known.clear()

    def record_answer(self) -> None:
        """It answered: it is up."""
        self.silences, self.faults, self.rests_until = 0, 0, 0.0
        self.limit.record_success()

    def remember(self, names: Iterable[str]) -> None:
        """Note which images it was sent."""
        for name in names:
            self.known[name] = None
            self.known.move_to_end(name)
        while len(self.known) > _KNOWN_IMAGES:
            self.known.popitem(last=False)

    def _rest_s(self) -> float:
        return min(_LONGEST_REST_S, _REST_S * 2.0 ** max(0, min(self.silences - 1, 10)))
