"""What a run spends: every turn goes through its wallet, and is kept for later sessions.

`spending.jsonl` holds what was paid, so that turns of rollouts that never ended count too.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..agent.engine import Engine, ImagePart, Request, Response, Role, TextPart
from ..core.errors import BudgetReachedError, JudgeError
from ..core.journal import Journal, read_journal
from ..core.records import Trajectory, Verdict
from ..core.resolution import PixelLimits
from ..judging.judge import Judge, JudgeReply
from .prices import ModelPrices, Use, use_of
from .wallet import BEGUN, JUDGE, NEW, Wallet

FILE = "spending.jsonl"
_PREVIEW_TOKENS = 1536
"""Of an image that a judge sees: at most 1024 x 1024 pixels."""
_PIXELS_A_TOKEN = 28 * 28
_TEMPLATE_TOKENS = 16
"""Room for what a chat template puts around a message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Paid:
    """One turn that was paid for."""

    conversation: str
    """Key and repeat of its rollout."""
    use: Use


def spent_before(run: Path, model: ModelPrices | None, judge: ModelPrices | None, judge_model: str = "") -> tuple[float, float]:
    """Dollars that earlier sessions of a run spent on its model and on its judge.

    Args:
        run: the run folder; it may be empty.
        model: the model's prices; None if it has none.
        judge: the judge's.
        judge_model: the judge model that these are prices of; verdicts of others are not priced.
    """
    paid = list(read_journal(run / FILE, Paid))
    known = {each.conversation for each in paid}
    # rollouts of sessions without prices; one that failed and was done again was paid for twice
    ended = (t for t in read_journal(run / "trajectories.jsonl", Trajectory) if f"{t.key}-{t.repeat}" not in known)
    uses = sum((use_of(t) for t in ended), sum((each.use for each in paid), Use()))
    judged = judge_use(each for each in read_journal(run / "verdicts.jsonl", Verdict) if each.model == judge_model)
    return model.dollars(uses) if model else 0.0, judge.dollars(judged) if judge else 0.0


def judge_use(verdicts: Iterable[Verdict]) -> Use:
    """What a judge used for these verdicts."""
    use = Use()
    for each in verdicts:
        use += Use(prompt_tokens=each.prompt_tokens, output_tokens=each.output_tokens)
    return use


class PricedEngine:
    """An `Engine` whose every turn goes through a wallet, and is written down."""

    def __init__(self, engine: Engine, prices: ModelPrices, wallet: Wallet, journal: Journal[Paid]) -> None:
        self._engine, self._prices, self._wallet, self._journal = engine, prices, wallet, journal
        self._more = 1.0
        """Prompt tokens that the server counted, over those expected, where it was most: its own images may have more tokens."""

    @property
    def limits(self) -> PixelLimits:
        """The engine's."""
        return self._engine.limits

    @property
    def context(self) -> int:
        """The engine's."""
        return self._engine.context

    @property
    def max_images(self) -> int:
        """The engine's."""
        return self._engine.max_images

    def text_tokens(self, text: str) -> int:
        """The engine's."""
        return self._engine.text_tokens(text)

    async def start(self) -> None:
        """Start the engine."""
        await self._engine.start()

    async def close(self) -> None:
        """Close the engine."""
        await self._engine.close()

    async def generate(self, request: Request) -> Response:
        """Generate one turn if it can be paid for; turns of rollouts that have begun go first."""
        begun = any(message.role is Role.ASSISTANT for message in request.messages)
        expected = self._prompt_tokens(request)
        async with self._wallet.pay(self._dearest(request, expected), rank=BEGUN if begun else NEW) as bill:
            response = await self._engine.generate(request)
            self._more = max(self._more, response.prompt_tokens / expected)
            use = _used(request, response)
            bill.dollars = self._prices.dollars(use)
            await asyncio.to_thread(self._journal.append, Paid(conversation=request.conversation, use=use))
        return response

    def _dearest(self, request: Request, prompt: int) -> float:
        """Most that a turn can cost: nothing cached, every token that it may generate."""
        visual = sum(map(_expected_tokens, request.images))
        tokens, visual = math.ceil(prompt * self._more), math.ceil(visual * self._more)
        use = Use(prompt_tokens=tokens, output_tokens=request.max_tokens, visual_tokens=visual, images=len(request.images))
        return max(self._prices.dollars(use), self._prices.dollars(replace(use, visual_tokens=0)))

    def _prompt_tokens(self, request: Request) -> int:
        """Tokens of the prompt, from above as far as the tokenizer is known."""
        texts = [part.text for message in request.messages for part in message.parts if isinstance(part, TextPart)]
        texts += [f"{call.name} {call.arguments}" for message in request.messages for call in message.tool_calls]
        texts += [tool.text for tool in request.tools]
        visual = sum(map(_expected_tokens, request.images))
        return sum(map(self._engine.text_tokens, texts)) + visual + _TEMPLATE_TOKENS * len(request.messages)


def _expected_tokens(image: ImagePart) -> int:
    """Visual tokens of an image; where they are only counted, as many as Qwen2.5-VL's processor would make of it."""
    return image.visual_tokens or math.ceil(image.image.width * image.image.height / _PIXELS_A_TOKEN)


class PricedJudge(Judge):
    """A judge whose every question goes through a wallet; one that does not fit stays unscored, and is asked when there is more."""

    def __init__(self, judge: Judge, prices: ModelPrices, wallet: Wallet) -> None:
        super().__init__(judge.card, judge.client, judge.images)
        self._prices, self._wallet = prices, wallet

    async def ask(self, prompt: str, image: bytes | None) -> JudgeReply:
        """Ask the judge if that can be paid for."""
        tokens = len(prompt.encode()) // 2 + _TEMPLATE_TOKENS + (_PREVIEW_TOKENS if image else 0)
        dearest = Use(prompt_tokens=tokens, output_tokens=self.card.max_tokens)
        try:
            async with self._wallet.pay(self._prices.dollars(dearest), rank=JUDGE) as bill:
                reply = await super().ask(prompt, image)
                bill.dollars = self._prices.dollars(Use(prompt_tokens=reply.prompt_tokens, output_tokens=reply.output_tokens))
        except BudgetReachedError as error:
            raise JudgeError(f"not asked: {error}") from error
        return reply


def _used(request: Request, response: Response) -> Use:
    predicted = sum(image.visual_tokens for image in request.images)
    return Use(
        prompt_tokens=response.prompt_tokens,
        cached_tokens=response.cached_tokens,
        output_tokens=response.output_tokens,
        visual_tokens=predicted if response.visual_tokens is None else response.visual_tokens,
        images=len(request.images),
    )


def priced_settings(model: ModelPrices | None, judge: ModelPrices | None, source: str) -> dict[str, Any]:
    """Prices as run.yaml holds them, so that reports need no file."""
    return {
        "currency": "USD",
        "source": source,
        **{who: _plain(prices) for who, prices in (("model", model), ("judge", judge)) if prices is not None},
    }


def _plain(prices: ModelPrices) -> Mapping[str, Any]:
    import msgspec

    return {name: value for name, value in msgspec.to_builtins(prices).items() if value is not None}
