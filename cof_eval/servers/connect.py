"""Meeting servers: their URLs, and what they say that they serve."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Mapping, Sequence
from typing import Any

from ..core.errors import NoServerError, ServerError, UsageError
from .limit import AdaptiveLimit
from .pool import Pool, RetryPolicy, root_cause
from .server import Server

_MEET_S = 20.0
_CONNECT_S = 10.0
_VERSION_S = 5.0

_log = logging.getLogger(__name__)


async def connect(
    urls: Sequence[str],
    *,
    api_key: str = "EMPTY",
    served_name: str | None = None,
    concurrency: int = 64,
    retry_policy: RetryPolicy | None = None,
) -> Pool:
    """Reach the servers of one model and learn what they serve. A silent one is tried again later if another answers.

    Args:
        urls: base URLs, each ending in `/v1`.
        api_key: sent to all.
        served_name: the model's name; the only model that they serve if not given.
        concurrency: most requests at once, to each.
        retry_policy: how long to keep trying servers in trouble.

    Raises:
        NoServerError: if none answers as an OpenAI-compatible server.
        UsageError: if one does not serve the model, or they serve different ones.
    """
    from openai import AsyncOpenAI, DefaultAioHttpClient, Timeout

    timeout = Timeout(None, connect=_CONNECT_S)  # `RetryPolicy` limits each attempt as a whole
    clients = [
        AsyncOpenAI(base_url=url, api_key=api_key, max_retries=0, timeout=timeout, http_client=DefaultAioHttpClient())
        for url in urls
    ]
    servers = [Server(url, client, AdaptiveLimit(concurrency)) for url, client in zip(urls, clients, strict=True)]
    pool = Pool(servers, retry_policy or RetryPolicy())
    try:
        await _learn(servers, served_name)
    except BaseException:
        await pool.close()
        raise
    return pool


def parse_urls(text: str) -> tuple[str, ...]:
    """Base URLs separated by commas, semicolons or spaces (lmms-eval's model_args keeps commas for itself).

    Raises:
        UsageError: if one is no http(s) URL, or there is none.
    """
    urls = tuple(dict.fromkeys(part.rstrip("/") for part in re.split(r"[,;\s]+", text.strip()) if part))
    wrong = [url for url in urls if not re.match(r"https?://[^/]", url)]
    if wrong or not urls:
        raise UsageError(f"{text!r} holds no base URL that can be used; expected for instance http://127.0.0.1:8000/v1")
    return urls


async def _learn(servers: Sequence[Server], served_name: str | None) -> None:
    """Learn the served model's name and its context from every server that answers."""
    found = await asyncio.gather(*map(_models, servers))
    lists: dict[Server, list[Any]] = {}
    for server, models in zip(servers, found, strict=True):
        if not isinstance(models, ServerError):
            lists[server] = models
    if not lists:
        raise NoServerError("; ".join(f"{server.url} ({error})" for server, error in zip(servers, found, strict=True)))
    name = served_name or _only_model(lists)
    for server, models in lists.items():
        _note(server, models, name)
    for server in servers:
        if server not in lists:
            server.model, server.owner = name, next(iter(lists)).owner
            server.rest(time.monotonic())
            _log.warning("%s does not answer; it is tried again later", server.url)


async def _models(server: Server) -> list[Any] | ServerError:
    """The models that a server lists, or why it lists none."""
    import openai

    try:
        return list((await server.client.with_options(max_retries=1, timeout=_MEET_S).models.list()).data)
    except (openai.OpenAIError, ValueError, AttributeError, TypeError) as error:  # the latter: what answers lists no models
        return ServerError(root_cause(error))


def _note(server: Server, models: Sequence[Any], name: str) -> None:
    served = next((model for model in models if model.id == name), None)
    if served is None:
        raise UsageError(f"{server.url} does not serve {name!r}; it serves: {', '.join(m.id for m in models) or 'nothing'}")
    server.model = name
    server.owner = str(getattr(served, "owned_by", ""))
    server.root = str(getattr(served, "root", None) or "")
    server.context = int(getattr(served, "max_model_len", None) or 0) or None


async def learn_versions(servers: Sequence[Server]) -> None:
    """Ask each server that answers for its version, as vLLM tells it at `/version`; one that tells none has none."""
    import openai

    async def learn(server: Server) -> None:
        url = f"{server.url.removesuffix('/v1')}/version"
        try:
            told = await server.client.with_options(max_retries=0, timeout=_VERSION_S).get(url, cast_to=object)
        except (openai.OpenAIError, ValueError):
            return
        version = told.get("version") if isinstance(told, dict) else None
        server.version = version[:100] if isinstance(version, str) else ""

    await asyncio.gather(*(learn(server) for server in servers if server.is_up()))


def _only_model(lists: Mapping[Server, Sequence[Any]]) -> str:
    """The one model that all servers serve under one name."""
    for server, models in lists.items():
        if len(models) != 1:
            raise UsageError(
                f"{server.url} serves {len(models)} models; choose one with served_name: {', '.join(m.id for m in models)}"
            )
    names = {server.url: models[0].id for server, models in lists.items()}
    if len(set(names.values())) > 1:
        says = ", ".join(f"{url} {name!r}" for url, name in names.items())
        raise UsageError(f"the servers serve different models: {says}; all must serve one model under one name")
    return str(next(iter(names.values())))
