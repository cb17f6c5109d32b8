"""Meeting servers: what they say that they serve, at the start and where they join later."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from ..core.byte_budget import ByteBudget
from ..core.errors import NoServerError, UsageError
from ..core.text import one_line
from .faults import Fault, FaultError, StatusError
from .images import ImageFormat, choose_format
from .limit import AdaptiveLimit
from .models import ServedModel
from .parcel import MOST_BYTES
from .pool import Pool, RetryPolicy
from .roster import Roster
from .server import Server
from .transport import Transport

_MEET_S = 20.0
_VERSION_S = 5.0
_NAMES_SAID = 20
_NO_SUCH_PAGE = (404, 405, 501)

_log = logging.getLogger(__name__)


async def connect(
    urls: Sequence[str],
    *,
    api_key: str = "EMPTY",
    served_name: str | None = None,
    concurrency: int = 64,
    retry_policy: RetryPolicy | None = None,
    meet_s: float = _MEET_S,
    image_format: ImageFormat = ImageFormat.PNG,
    follow: Path | None = None,
) -> Pool:
    """Reach the servers of one model and learn what they serve. A silent one is tried again later if another answers.

    Args:
        urls: base URLs, each ending in `/v1`.
        api_key: sent to all.
        served_name: the model's name; the only model that they serve if not given.
        concurrency: most requests at once, to each.
        retry_policy: how long to keep trying servers in trouble.
        meet_s: most seconds to wait for a server's list of models.
        image_format: in which images travel.
        follow: the file that named them; it is read again when it changes.

    Raises:
        NoServerError: if none answers as an OpenAI-compatible server.
        UsageError: if one does not serve the model, or they serve different ones.
    """
    met = partial(meet, api_key=api_key, concurrency=concurrency, image_format=image_format, budget=ByteBudget(MOST_BYTES))
    servers = [await met(url) for url in urls]
    pool = Pool(servers, retry_policy or RetryPolicy())
    try:
        await _learn(servers, served_name, meet_s)
    except BaseException:
        await pool.close()
        raise
    if follow:
        known = dict(zip(urls, servers, strict=True))
        pool.roster = Roster(follow, pool, known, partial(_join, pool=pool, met=met, served_name=served_name))
    return pool


async def meet(url: str, *, api_key: str, concurrency: int, image_format: ImageFormat, budget: ByteBudget) -> Server:
    """A server that is not asked yet; arguments as of `connect`, and the bytes of bodies that all servers share."""
    transport = Transport(url, api_key, budget)
    images = await choose_format(url, image_format, proxied=transport.proxied)
    return Server(transport, AdaptiveLimit(concurrency), images=images)


async def _join(url: str, pool: Pool, met: Callable[[str], Awaitable[Server]], served_name: str | None) -> Server:
    """A server for a running pool.

    Raises:
        UsageError: if it does not serve the pool's model, or with a smaller context.
        FaultError: if it does not answer.
    """
    server = await met(url)
    try:
        models = await _models(server, served_name)
        if isinstance(models, FaultError):
            raise models
        _note(server, models, pool.model)
        if server.root and pool.roots and server.root not in pool.roots:
            raise UsageError(f"{server.url} serves {server.root!r} under that name, not {pool.roots[0]!r}")
        if server.context and pool.context and server.context < pool.context:
            raise UsageError(f"{server.url} has a context of {server.context:,} tokens, and the run {pool.context:,}")
    except BaseException:
        await server.transport.close()
        raise
    return server


async def _learn(servers: Sequence[Server], served_name: str | None, meet_s: float) -> None:
    """Learn the served model's name and its context from every server that answers."""
    found = await asyncio.gather(*(_models(server, served_name, meet_s) for server in servers))
    lists = {server: each for server, each in zip(servers, found, strict=True) if not isinstance(each, FaultError)}
    errors = {server: each for server, each in zip(servers, found, strict=True) if isinstance(each, FaultError)}
    if not lists:
        raise NoServerError("; ".join(f"{server.url} ({error})" for server, error in errors.items()))
    name = served_name or _only_model(lists)
    for server, models in lists.items():
        _note(server, models, name)
    for server in servers:
        if server not in lists:
            server.model, server.owner = name, next(iter(lists)).owner
            server.rest(time.monotonic())
            _log.warning("%s does not answer (%s); it is tried again later", server.url, errors[server])


async def _models(server: Server, served_name: str | None, meet_s: float = _MEET_S) -> list[ServedModel] | FaultError:
    """The models that a server lists, or why it lists none; the named model if it has no list at all."""
    for last in (False, True):
        try:
            return await server.list_models(meet_s)
        except FaultError as fault:
            if served_name and isinstance(fault, StatusError) and fault.status in _NO_SUCH_PAGE:
                return [ServedModel(served_name)]
            if last or fault.fault not in (Fault.BROKEN, Fault.STATUS):
                return fault
    raise AssertionError("unreachable")


def _note(server: Server, models: Sequence[ServedModel], name: str) -> None:
    served = next((model for model in models if model.id == name), None)
    if served is None:
        raise UsageError(f"{server.url} does not serve {name!r}; it serves: {_names(models) or 'nothing'}")
    server.model = name
    server.owner = served.owned_by or ""
    server.root = served.root or ""
    server.context = served.max_model_len or None


async def learn_versions(servers: Sequence[Server]) -> None:
    """Ask each server that answers for its version, as vLLM tells it at `/version`; one that tells none has none."""

    async def learn(server: Server) -> None:
        server.version = await server.tell_version(_VERSION_S)

    await asyncio.gather(*(learn(server) for server in servers if server.is_up()))


def _only_model(lists: Mapping[Server, Sequence[ServedModel]]) -> str:
    """The one model that all servers serve under one name; of several names of one model, the first that all have."""
    for server, models in lists.items():
        if not _one_model(models):
            raise UsageError(f"{server.url} serves {len(models)} models; choose one with served_name: {_names(models)}")
    names = {server.url: [model.id for model in models] for server, models in lists.items()}
    common = set.intersection(*map(set, names.values()))
    if not common:
        says = ", ".join(f"{url} {given[0]!r}" for url, given in names.items())
        raise UsageError(f"the servers serve different models: {says}; all must serve one model under one name")
    return next(name for name in next(iter(names.values())) if name in common)


def _one_model(models: Sequence[ServedModel]) -> bool:
    """Whether a list has one model: one entry, or several names that have one root."""
    roots = {model.root for model in models}
    return len(models) == 1 or (len(models) > 1 and len(roots) == 1 and None not in roots)


def _names(models: Sequence[ServedModel]) -> str:
    """The names in a list, the first of very many."""
    more = f" and {len(models) - _NAMES_SAID} more" if len(models) > _NAMES_SAID else ""
    return ", ".join(one_line(model.id) for model in models[:_NAMES_SAID]) + more
