"""Several servers of one model behind one call: retries, moves between servers, and patience.

A conversation stays on one server, for its caches, while that one is up. What a server does wrong is told apart:

| it | then |
|---|---|
| refuses the connection, or hangs | it rests; its conversations continue elsewhere; one of them tries it again after the rest |
| says 429 or 503 | fewer requests at once; sent again after the wait it asks for, or a growing one with jitter |
| fails (5xx, reset, cut or senseless body) | sent again, `retries` times; after three in a row it rests, if another is up |
| says that the prompt does not fit the context (400, 413, 422, older 500) | told as such, not sent again |
| refuses (400, 413, 422) | sent again without the part that it does not take (`negotiate`): a field, an image id, a format of images |
| refuses the key or the model (401, 403, 404), redirects, or answers as another model than before | not asked again at all |
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type

from ..core.errors import NoServerError, PromptTooLongError, ServerError
from ..core.text import one_line
from .faults import Fault, FaultError, StatusError
from .negotiate import Body, Negotiated, StatusRefusedError
from .overflow import is_overflow
from .reply import ChatReply
from .roster import Roster
from .server import Server
from .waits import Waits

_HANGING_REST_S = 60.0
"""A server that hangs costs a whole time limit to find out: it rests longer than one that is not there."""
_NAME_CHARS = 200
_MOST_IGNORED = 200
"""Names of ignored fields that are counted: a hostile server may invent any number."""
_FAULTS = 3
"""Failed requests in a row after which a server is left alone, if another is up."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How long to keep trying servers in trouble."""

    retries: int = 4
    """How often a request that a server failed is sent again."""
    timeout_s: float = 900.0
    """Most seconds of one attempt, however busily its bytes drip in."""
    backoff_s: float = 1.0
    """First wait before sending again; it doubles, with jitter."""
    patience_s: float = 300.0
    """How long to wait for servers none of which answers any more: one that is restarted comes back within minutes."""


@dataclass(frozen=True, slots=True)
class Completion:
    """A chat completion that can be read, of the model that was asked."""

    reply: ChatReply
    server: Server
    """Who gave it."""
    seconds: float
    """Of the attempt that succeeded."""


class _AgainError(Exception):
    """Worth sending again."""

    def __init__(self, says: str, *, counts: bool = True, wait_s: float = 0.0) -> None:
        super().__init__(says)
        self.counts = counts
        self.wait_s = wait_s


@dataclass(eq=False)
class Pool:
    """The servers of one model."""

    servers: Sequence[Server]
    retry_policy: RetryPolicy = field(default_factory=RetryPolicy)
    troubles: Counter[str] = field(default_factory=Counter)
    """Requests that had to be sent again, by cause."""
    ignored: Counter[str] = field(default_factory=Counter)
    """Fields of replies that held something and were not read, with the number of replies."""
    silent_since: float | None = None
    """When, since any server last answered, the first one failed to."""
    roster: Roster | None = None
    """The file that names the servers, if one does."""

    @property
    def model(self) -> str:
        """The name under which the model is served."""
        return self.servers[0].model

    @property
    def context(self) -> int | None:
        """The smallest `max_model_len`, where servers tell."""
        return min((server.context for server in self.servers if server.context), default=None)

    @property
    def roots(self) -> tuple[str, ...]:
        """The models behind that name, as the servers tell them; different ones once each."""
        return tuple(dict.fromkeys(server.root for server in self.servers if server.root))

    def home(self, conversation: str) -> Server | None:
        """The server that a conversation belongs to among those that are up; None if none is.

        Rendezvous hashing: when a server goes down only its own conversations move, and evenly.
        """
        up = [server for server in self.servers if server.is_up()]
        return max(up, key=lambda server: _weight(conversation, server.url), default=None)

    async def complete(self, conversation: str, body: Body) -> Completion:
        """One chat completion, on whichever server can give it.

        Args:
            conversation: requests with equal names go to the same server.
            body: makes the request for a server.

        Raises:
            RefusedError: if the request itself is refused.
            NoServerError: if no server will take any request of this run any more.
            ServerError: if the servers failed it for good; others may succeed.
        """
        spent = 0

        def stop(state: RetryCallState) -> bool:
            nonlocal spent
            error = state.outcome.exception() if state.outcome else None
            spent += isinstance(error, _AgainError) and error.counts
            return spent > self.retry_policy.retries or self._silent_s() > self.retry_policy.patience_s

        waits = Waits(self.retry_policy.backoff_s)

        def wait(state: RetryCallState) -> float:
            error = state.outcome.exception() if state.outcome else None
            return waits.after(error.wait_s if isinstance(error, _AgainError) else 0.0)

        attempts = AsyncRetrying(stop=stop, wait=wait, retry=retry_if_exception_type(_AgainError), reraise=True)
        try:
            async for attempt in attempts:
                with attempt:
                    return await self._attempt(conversation, body, fresh=attempt.retry_state.attempt_number > 1)
        except _AgainError as error:
            raise ServerError(f"the server failed: {error}") from error
        raise AssertionError("unreachable")

    async def close(self) -> None:
        """Close all connections."""
        if self.roster:
            await self.roster.close()
        await asyncio.gather(*(server.transport.close() for server in self.servers), return_exceptions=True)

    async def _attempt(self, conversation: str, body: Body, *, fresh: bool) -> Completion:
        """Ask the conversation's server once; again where it refuses a part of the request (`negotiate`)."""
        if self.roster:
            self.roster.look()
        server = self.home(conversation)
        if server is None:
            raise self._none_up()
        async with server.limit.place():
            server.take()
            known = () if fresh else tuple(server.known)
            async with server.negotiation.turn(sure=server.samples_freely):
                return await Negotiated(server, body, self._ask, self.troubles).send(known)

    async def _ask(self, server: Server, body: Mapping[str, Any]) -> Completion:
        async with server.packed(body) as parcel:  # encoding takes a while, and is not the server's
            started = time.monotonic()
            try:
                reply = await server.complete(parcel, self.retry_policy.timeout_s)
            except StatusError as error:
                failure = self._status(server, error, started)
            except FaultError as error:
                failure = self._failed(server, error, started)
            else:
                return self._completion(server, reply, started)
        raise failure  # without its cause, which would keep the reply's body

    def _completion(self, server: Server, reply: ChatReply, started: float) -> Completion:
        self._check(server, reply, started)
        server.record_answer()
        self.silent_since = None
        self.ignored.update(name for name in reply.ignored if name in self.ignored or len(self.ignored) < _MOST_IGNORED)
        return Completion(reply, server, time.monotonic() - started)

    def _status(self, server: Server, error: StatusError, asked: float) -> Exception:
        """What an error status means."""
        says, status = str(error), error.status
        if is_overflow(status, says, error.code):
            server.record_answer()
            self.silent_since = None
            return PromptTooLongError(says)
        if status in (401, 403, 404):
            return self._lose(server, f"refuses model {server.model!r}: {says}")
        if status in (429, 503):
            server.limit.record_refusal()
            return self._again(str(status), f"{server.url}: {says}", counts=False, wait_s=error.wait_s)
        if (status >= 500 and not server.images.blames(status, says)) or status in (408, 409):
            return self._fault(server, str(status), says, asked)
        server.record_answer()
        self.silent_since = None
        return StatusRefusedError(says, status)

    def _failed(self, server: Server, error: FaultError, asked: float) -> Exception:
        """What a failed attempt means."""
        kind, says = str(error.fault), f"{server.url}: {error}"
        match error.fault:
            case Fault.TIMEOUT:
                server.rest(asked, _HANGING_REST_S if self._others_up(server) else 0.0)
                return self._again(kind, f"{server.url} {error}")
            case Fault.NO_CONNECTION:
                server.rest(asked)
                return self._again(kind, f"{server.url} does not answer ({error})", counts=False, wait_s=self._soonest())
            case Fault.REDIRECT:
                return self._lose(server, str(error))
            case Fault.FILES:  # not the server's fault
                return self._again(kind, says)
        return self._fault(server, kind, str(error), asked)

    def _check(self, server: Server, reply: ChatReply, asked: float) -> None:
        """Whether a reply is whole, and of the model that answered before: its name may be another than was asked for."""
        name = (reply.model or server.answers_as)[:_NAME_CHARS]
        if name != server.answers_as and server.answers_as:
            raise self._lose(
                server, f"answers as model {one_line(name)!r} now, and as {server.answers_as!r} before in this run"
            )
        server.answers_as = name
        if reply.choices[0].finish_reason == "abort":
            raise self._fault(server, "aborted", "the server aborted the request", asked)

    def _fault(self, server: Server, kind: str, says: str, asked: float) -> _AgainError:
        """A server failed a request; one that fails several in a row may be dead behind a proxy."""
        server.faults += 1
        if server.faults >= _FAULTS and self._others_up(server):
            server.rest(asked)
        return self._again(kind, f"{server.url}: {says}")

    def _others_up(self, server: Server) -> bool:
        return any(other.is_up() for other in self.servers if other is not server)

    def _again(self, kind: str, says: str, *, counts: bool = True, wait_s: float = 0.0) -> _AgainError:
        self.troubles[kind] += 1
        self.silent_since = self.silent_since or time.monotonic()
        return _AgainError(says, counts=counts, wait_s=wait_s)

    def _lose(self, server: Server, why: str) -> Exception:
        """Never ask this server again; its conversations continue elsewhere if there is another."""
        if not server.gone:
            server.gone = why
            _log.warning("%s %s; it is not asked any more", server.url, why)
        if all(s.gone for s in self.servers):
            return NoServerError("; ".join(f"{s.url} {s.gone}" for s in self.servers))
        return self._again("server lost", f"{server.url} {why}", counts=False, wait_s=0.001)

    def _none_up(self) -> Exception:
        if all(server.gone for server in self.servers):
            return NoServerError("; ".join(f"{s.url} {s.gone}" for s in self.servers))
        says = "no server answers any more (" + ", ".join(s.url for s in self.servers) + "); start one again"
        return _AgainError(says, counts=False, wait_s=self._soonest())

    def _silent_s(self) -> float:
        return 0.0 if self.silent_since is None else time.monotonic() - self.silent_since

    def _soonest(self) -> float:
        """Seconds until some server's rest is over."""
        now = time.monotonic()
        return max(0.05, min((s.rests_until - now for s in self.servers if not s.gone), default=0.05))


def _weight(conversation: str, url: str) -> bytes:
    return hashlib.blake2b(f"{conversation}\0{url}".encode(), digest_size=8).digest()
