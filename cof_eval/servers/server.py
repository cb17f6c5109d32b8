"""One OpenAI-compatible server: whether it is worth asking, how much it takes, and which images it has seen."""

from __future__ import annotations

import re
import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, Any

import msgspec

from .decode import decode
from .error_body import status_error
from .faults import FaultError
from .fields import Negotiation
from .images import ImageChoice
from .limit import AdaptiveLimit
from .models import ServedModel, read_models
from .parcel import Parcel
from .reply import ChatReply, read_reply
from .transport import Transport

_KNOWN_IMAGES = 8192
"""Image ids remembered; a server that forgot one says so."""
_REST_S = 1.0
_LONGEST_REST_S = 10.0


class _Version(msgspec.Struct):
    version: Annotated[str, msgspec.Meta(max_length=100)]


class _Text(msgspec.Struct):
    prompt: str


_DETOKENIZE_S = 20.0
_CONTROL = re.compile(r"<\|\w{1,40}\|>|</s>|<eos>|<end_of_turn>")


@dataclass(eq=False)
class Server:
    """One server, and what is known of it."""

    transport: Transport
    limit: AdaptiveLimit
    model: str = ""
    """The name under which it serves the model: what it is asked for."""
    answers_as: str = ""
    """The model's name in its replies; empty before the first one, or if it gives none."""
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
    images: ImageChoice = field(default_factory=ImageChoice)
    """In which format images travel to it."""

    @property
    def url(self) -> str:
        """Base URL, ending in `/v1`, without user, password and query."""
        return self.transport.url

    @property
    def is_vllm(self) -> bool:
        """Whether it understands vLLM's additions: image ids, token ids, structured output by regular expression."""
        return self.owner == "vllm"

    @property
    def samples_freely(self) -> bool:
        """Whether it takes sampling settings beyond OpenAI's."""
        return self.owner in ("vllm", "sglang")

    async def list_models(self, timeout_s: float) -> list[ServedModel]:
        """The models that it serves.

        Raises:
            FaultError: if it lists none.
        """
        reply = await self.transport.get(f"{self.url}/models", timeout_s=timeout_s)
        if reply.status >= 400:
            raise status_error(reply)
        return read_models(reply)

    def packed(self, body: Mapping[str, Any]) -> AbstractAsyncContextManager[Parcel]:
        """A chat request for it, the model's name aside, encoded."""
        return self.transport.packed({**body, "model": self.model})

    async def complete(self, body: Parcel, timeout_s: float) -> ChatReply:
        """Its reply to a chat request.

        Raises:
            FaultError: if there is none that can be read.
        """
        reply = await self.transport.post(f"{self.url}/chat/completions", body, timeout_s=timeout_s)
        if reply.status >= 400:
            raise status_error(reply)
        return read_reply(reply)

    async def tell_version(self, timeout_s: float) -> str:
        """Its own version, as vLLM tells it at `/version`; empty if it tells none."""
        try:
            reply = await self.transport.get(f"{self.url.removesuffix('/v1')}/version", timeout_s=timeout_s)
            return decode(reply, partial(msgspec.convert, type=_Version), "version").version if reply.status < 400 else ""
        except FaultError:
            return ""

    async def detokenize(self, token_ids: Sequence[int]) -> str | None:
        """The text of tokens, control tokens left out, as vLLM tells it at `/detokenize`; None if it does not."""
        try:
            async with self.packed({"tokens": list(token_ids)}) as body:
                url = f"{self.url.removesuffix('/v1')}/detokenize"
                reply = await self.transport.post(url, body, timeout_s=_DETOKENIZE_S)
            if reply.status >= 400:
                return None
            return _CONTROL.sub("", decode(reply, partial(msgspec.convert, type=_Text), "text").prompt)
        except FaultError:
            return None

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
