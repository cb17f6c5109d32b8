"""A judge on one or several OpenAI-compatible servers: labels enforced where a server can, the finish reason checked."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Collection
from typing import Any

from ..core.errors import JudgeError, NoServerError, RefusedError, ServerError, UsageError
from ..core.records import Finish, digest
from ..core.secrets import NO_KEY
from ..core.settings import JUDGE_CONCURRENCY
from ..servers import (
    Pool,
    RetryPolicy,
    Said,
    Server,
    connect,
    decoding_fields,
    finish_of,
    learn_versions,
    parse_urls,
    pool_facts,
)
from .card import Card, load_card
from .identity import identify
from .judge import Judge, JudgeReply

PATIENCE = RetryPolicy(retries=4, timeout_s=120.0, backoff_s=0.5, patience_s=120.0)
"""How long a judge in trouble is waited for; afterwards its answers are unscored, and a re-judge asks again."""


class ServedJudge:
    """An `JudgeClient` over a pool of servers."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self.identity = identify(pool.servers)
        self._plain: set[str] = set()
        """URLs of servers that refuse structured output."""
        self._moved: Counter[str] = Counter()
        """Replies that did not lie in `content`, in words."""

    @property
    def model(self) -> str:
        """What verdicts are keyed on; see `JudgeIdentity.model`."""
        return self.identity.model

    @property
    def troubles(self) -> dict[str, int]:
        """How often requests had to be sent again, by what was wrong."""
        return dict(self._pool.troubles)

    @property
    def facts(self) -> dict[str, Any]:
        """What a run should record of its servers; see `servers.pool_facts`."""
        return pool_facts(self._pool, self._moved)

    async def ask(self, prompt: str, card: Card, image: bytes | None = None) -> JudgeReply:
        """What the judge replies; see `JudgeClient.ask`. A server that refuses structured output is asked again without."""
        conversation = digest("judge", prompt)
        refused: set[str] = set()

        async def body(server: Server, known: Collection[str]) -> dict[str, Any]:
            structured = server.url not in self._plain | refused
            if structured:
                asked.add(server.url)
            return _body(prompt, card, image, server, structured=structured)

        asked: set[str] = set()
        try:
            try:
                done = await self._pool.complete(conversation, body)
            except RefusedError:
                if not asked:
                    raise
                refused = set(asked)
                done = await self._pool.complete(conversation, body)
                self._plain |= refused
        except RefusedError as error:
            raise JudgeError(f"the judge refused the question: {error}") from error
        except NoServerError as error:
            raise JudgeError(f"the judge takes no questions any more: {error}") from error
        except ServerError as error:
            raise JudgeError(f"the judge failed: {error}") from error
        choice = done.reply.choices[0]
        if finish_of(choice.finish_reason) is not Finish.STOP:
            raise JudgeError(f"the judge's reply was cut (finish reason {choice.finish_reason!r})")
        said = choice.message.said
        if not said.text.strip() and said.thoughts:
            self._moved[f"the judge's whole replies that its server had moved to `{said.thoughts_in}`, read as text"] += 1
        usage = done.reply.usage
        return JudgeReply(_label_text(said), usage.prompt_tokens, usage.completion_tokens)

    async def close(self) -> None:
        """Close the connections."""
        await self._pool.close()


def _label_text(said: Said) -> str:
    """What the judge says after its thoughts; all of it where a reasoning parser found no end of them.

    Raises:
        JudgeError: if the server put the reply where no label can stand.
    """
    text = said.text if said.text.strip() else said.thoughts or said.refusal
    if not text.strip() and (said.calls or said.ignored):
        where = ", ".join(filter(None, (said.calls_in, *said.ignored)))
        raise JudgeError(f"the judge's reply has no text, but {where}: start its server without a tool parser")
    return text


def _body(prompt: str, card: Card, image: bytes | None, server: Server, *, structured: bool) -> dict[str, Any]:
    """The body of a chat request. Decoding is sent whole: a server would else use the checkpoint's own."""
    decoding = decoding_fields(server, max_tokens=card.max_tokens, temperature=card.temperature)
    body: dict[str, Any] = {"messages": [{"role": "user", "content": _content(prompt, image)}], **decoding, "seed": 0}
    if structured:
        body["structured_outputs"] = {"choice": list(card.labels)}
    return body


def _content(prompt: str, image: bytes | None) -> str | list[dict[str, Any]]:
    if image is None:
        return prompt
    kind = "png" if image.startswith(b"\x89PNG") else "jpeg"
    url = f"data:image/{kind};base64,{base64.b64encode(image).decode()}"
    return [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": prompt}]


async def start_judge(
    card_name: str,
    base_url: str | None,
    api_key: str,
    *,
    concurrency: int = JUDGE_CONCURRENCY,
    retry_policy: RetryPolicy = PATIENCE,
) -> Judge:
    """The judge of a card, its servers reached if any are given.

    Args:
        card_name: a folder of `judges/`, or the path of one.
        base_url: one or several base URLs of servers of the same judge model; None for rules alone.
        api_key: sent to all of them.
        concurrency: most questions at once to each server.
        retry_policy: how long to keep trying servers in trouble.

    Raises:
        UsageError: if the card is unknown, or no server that is given answers or serves the judge.
    """
    card = load_card(card_name)
    if base_url is None or not card.asks:
        return Judge(card)
    urls = parse_urls(base_url)
    try:
        pool = await _connect(urls, card, api_key, concurrency, retry_policy)
    except NoServerError as error:
        hint = "; its key, if it wants one, is COF_JUDGE_API_KEY" if api_key == NO_KEY else ""
        raise UsageError(f"no judge answers at {error}; start one, correct --judge-url, or leave it out{hint}") from error
    try:
        await learn_versions(pool.servers)
        return Judge(card, ServedJudge(pool))
    except BaseException:
        await pool.close()
        raise


async def _connect(urls: tuple[str, ...], card: Card, api_key: str, concurrency: int, retry_policy: RetryPolicy) -> Pool:
    """The card's model by its served name; else the only one that is served."""
    try:
        return await connect(
            urls, api_key=api_key, served_name=card.served_name or None, concurrency=concurrency, retry_policy=retry_policy
        )
    except UsageError as named:
        try:
            return await connect(urls, api_key=api_key, concurrency=concurrency, retry_policy=retry_policy)
        except UsageError:
            raise named from None
