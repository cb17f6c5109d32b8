"""A judge: first the rules, then the client behind the `JudgeClient` protocol."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from ..core.errors import JudgeError
from ..core.records import AnswerKind, Outcome, Question, Trajectory, Verdict, stop_verdict, verdict_key
from .card import Card, CardRules
from .prompt import parse_label
from .released import released_label, score_released
from .rules import score


class JudgeReply(NamedTuple):
    """What a served judge says, and what that took."""

    text: str
    prompt_tokens: int = 0
    output_tokens: int = 0


class JudgeClient(Protocol):
    """The seam to a served judge."""

    @property
    def model(self) -> str:
        """The judge model's name."""
        ...

    async def ask(self, prompt: str, card: Card, image: bytes | None = None) -> JudgeReply:
        """The judge's reply.

        Args:
            prompt: the filled-in prompt.
            card: how to ask, and for which labels.
            image: an encoded image (PNG or JPEG) that the judge is to see.

        Raises:
            JudgeError: if it gave no whole reply.
        """
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...


class Judge:
    """Judges trajectories by one card."""

    def __init__(
        self, card: Card, client: JudgeClient | None = None, images: Callable[[str], bytes | None] | None = None
    ) -> None:
        """Make a judge.

        Args:
            card: what it decides.
            client: the served judge; None for rules alone.
            images: hash of a shown image -> its encoded bytes, None where it is not kept; for cards that see the image.
        """
        self.card = card
        self.client = client if card.asks else None
        self.images = images

    @property
    def model(self) -> str:
        """The judge model asked; empty for rules only."""
        return self.client.model if self.client else ""

    def key(self, question: Question, answer: str, shown: str = "") -> str:
        """Identifies equal judgements; `shown` is the shown image's hash, which only a card that sees it minds."""
        return verdict_key(self.card.id, self.model, question, answer, shown if self.card.sees_image else "")

    def key_of(self, trajectory: Trajectory) -> str:
        """Identifies equal judgements on trajectories."""
        return self.key(trajectory.question, trajectory.answer, trajectory.shown.hash)

    def by_rule(self, question: Question, answer: str, shown: str = "") -> Verdict:
        """The rules' verdict; unscored if they are undecided."""
        released = self._released and question.kind is AnswerKind.TEXT
        ruling = (score_released if released else score)(answer, question)
        key = self.key(question, answer, shown)
        if ruling.outcome is None:
            reason = f"the rules are undecided ({ruling.rule})"
            return Verdict(key, self.card.id, "", Outcome.UNSCORED, "none", reason=reason)
        return Verdict(key, self.card.id, "", ruling.outcome, f"rule:{ruling.rule}", label=ruling.chosen)

    async def judge(self, trajectory: Trajectory) -> Verdict:
        """The verdict on a trajectory."""
        stopped = stop_verdict(trajectory, self.card.id)
        return stopped or await self.judge_answer(trajectory.question, trajectory.answer, trajectory.shown.hash)

    async def judge_answer(self, question: Question, answer: str, shown: str = "") -> Verdict:
        """The verdict on an answer. Never raises: a judge's failure is an unscored verdict with its reason."""
        ruled = self.by_rule(question, answer, shown)
        if ruled.verdict is not Outcome.UNSCORED or self.client is None or not question.answers:
            return ruled
        started = time.monotonic()
        try:
            said, *tokens = await self.ask(self.card.render(question, answer), self._image(shown))
        except JudgeError as error:
            return self._unscored(ruled, str(error), time.monotonic() - started)
        seconds = round(time.monotonic() - started, 4)
        label = self.label_of(said)
        if label is None:
            says = f"the judge replied {said[:60]!r}; expected one of {', '.join(self.card.labels)}"
            return self._unscored(ruled, says, seconds, said, *tokens)
        outcome = self.card.labels[label]
        return Verdict(
            ruled.key, self.card.id, self.model, outcome, "judge", label, said[:2000], ruled.reason, seconds, *tokens
        )

    async def ask(self, prompt: str, image: bytes | None) -> JudgeReply:
        """What the served judge replies.

        Raises:
            JudgeError: if there is none, or it gave no whole reply.
        """
        if self.client is None:
            raise JudgeError("no judge is served")
        return await self.client.ask(prompt, self.card, image)

    async def close(self) -> None:
        """Close the connections to a served judge."""
        if self.client:
            await self.client.close()

    def label_of(self, reply: str) -> str | None:
        """The card's label that a judge's reply amounts to; None if it is none."""
        return (released_label if self._released else parse_label)(reply, self.card.labels)

    @property
    def _released(self) -> bool:
        return self.card.rules is CardRules.COF_RELEASED

    def _image(self, shown: str) -> bytes | None:
        """The image for a card that sees it."""
        if not self.card.sees_image:
            return None
        image = self.images(shown) if self.images and shown else None
        if image is None:
            raise JudgeError(
                f"the judge card {self.card.name} sees the image, but the run did not keep it; run with --keep-images crops or all"
            )
        return image

    def _unscored(self, ruled: Verdict, reason: str, seconds: float, raw: str = "", *tokens: int) -> Verdict:
        took = round(seconds, 4)
        return Verdict(ruled.key, self.card.id, self.model, Outcome.UNSCORED, "judge", "", raw[:2000], reason, took, *tokens)


def judge_settings(judge: Judge) -> dict[str, Any]:
    """The judge's entry in run.yaml: its card, the model that verdicts are keyed on, and what the server told of it."""
    identity = getattr(judge.client, "identity", None)
    served = {"served": identity.settings()} if identity and identity.known else {}
    return {"card": judge.card.id, "model": judge.model, **served, **({"sees_image": True} if judge.card.sees_image else {})}
