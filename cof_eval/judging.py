"""A judge card applied: the stop first, then rules, then, for what they leave undecided, a served LLM.

A judge that cannot be reached, is cut short, or says something else than a label leaves the answer unscored with the
reason; no verdict is ever invented.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Protocol

import yaml

from .errors import JudgeError, UsageError
from .paths import data_dir
from .records import Outcome, Question, Trajectory, Verdict, digest, from_json, stop_verdict, to_json, verdict_key
from .scoring import RULES_VERSION, Ruling, score

_TIMEOUT_S = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """What a judge decides and how it is asked: a folder of `judges/`."""

    name: str
    decides: str
    model: str = ""
    """The judge model that the card is meant for."""
    served_name: str = ""
    """Its name on the server."""
    labels: Mapping[str, Outcome] = field(default_factory=dict)
    """The judge's labels and the outcome each stands for; empty for rules only."""
    temperature: float = 0.0
    max_tokens: int = 4
    max_answer_chars: int = 2000
    prompt: str = ""
    """With `{question}`, `{reference}` and `{answer}` to be filled in."""

    def __post_init__(self) -> None:
        missing = [name for name in ("{question}", "{reference}", "{answer}") if name not in self.prompt]
        if self.labels and missing:
            raise ValueError(f"the card has labels, but its prompt lacks {', '.join(missing)}")
        if self.temperature < 0 or self.max_tokens < 1 or self.max_answer_chars < 1:
            raise ValueError("temperature must not be negative, max_tokens and max_answer_chars at least 1")

    @property
    def id(self) -> str:
        """Its name and a digest of all that decides a verdict: a changed card or changed rules judge anew."""
        return f"{self.name}@{digest(to_json(self).decode(), RULES_VERSION)[:8]}"

    @property
    def asks(self) -> bool:
        """Whether it asks a served judge at all."""
        return bool(self.labels)

    def render(self, question: Question, answer: str) -> str:
        """The judge's prompt. The answer is data: capped, and unable to end its own delimiter."""
        reference = f"({question.answer}) {question.answer_text}" if question.options else "\nor: ".join(question.answers)
        values = {"question": question.text, "reference": reference, "answer": _fenced(answer, self.max_answer_chars)}
        return re.sub(r"\{(question|reference|answer)\}", lambda m: values[m.group(1)], self.prompt)


def load_card(name: str) -> Card:
    """The card in the folder `name` of `judges/`, or in a folder given by path.

    Raises:
        UsageError: if there is none, or it has unknown or missing settings.
    """
    folder = Path(name) if "/" in name else data_dir("judges") / name
    if not (folder / "card.yaml").is_file():
        known = sorted(p.parent.name for p in data_dir("judges").glob("*/card.yaml"))
        raise UsageError(f"unknown judge card {name!r}; known: {', '.join(known)}, or the path of a folder with a card.yaml")
    try:
        return from_json(to_json({**_card_values(folder), "prompt": _prompt(folder)}), Card)
    except (OSError, ValueError, TypeError, yaml.YAMLError) as error:  # msgspec's errors are ValueErrors
        raise UsageError(f"judge card {folder} cannot be used: {_one_line(error)}; correct card.yaml or prompt.txt") from error


def _card_values(folder: Path) -> dict[str, Any]:
    values = yaml.safe_load((folder / "card.yaml").read_text(encoding="utf-8"))
    known = {f.name for f in fields(Card)} - {"prompt"}
    if not isinstance(values, dict) or not set(values) <= known or not {"name", "decides"} <= set(values):
        raise ValueError(f"card.yaml must be a mapping with name and decides, and only: {', '.join(sorted(known))}")
    return {name: value for name, value in values.items() if value is not None}


def _prompt(folder: Path) -> str:
    """The prompt; a card without labels asks nobody and needs none."""
    file = folder / "prompt.txt"
    return file.read_text(encoding="utf-8") if file.is_file() else ""


class Asker(Protocol):
    """The seam to a served judge."""

    @property
    def model(self) -> str:
        """The judge model's name."""
        ...

    async def ask(self, prompt: str, card: Card) -> str:
        """The judge's label.

        Raises:
            JudgeError: if it gave none.
        """
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...


class Judge:
    """Judges trajectories by one card."""

    def __init__(self, card: Card, asker: Asker | None = None) -> None:
        self.card = card
        self.asker = asker if card.asks else None

    @property
    def model(self) -> str:
        """The judge model asked; empty for rules only."""
        return self.asker.model if self.asker else ""

    def key(self, question: Question, answer: str) -> str:
        """Identifies equal judgements."""
        return verdict_key(self.card.id, self.model, question, answer)

    def by_rule(self, question: Question, answer: str) -> Verdict:
        """What the rules say; unscored where they are undecided."""
        ruling = score(answer, question)
        key = self.key(question, answer)
        if ruling.outcome is None:
            return Verdict(key, self.card.id, "", Outcome.UNSCORED, "none", reason=_undecided(ruling))
        return Verdict(key, self.card.id, "", ruling.outcome, f"rule:{ruling.rule}", label=ruling.chosen)

    async def judge(self, trajectory: Trajectory) -> Verdict:
        """The verdict on a trajectory."""
        stopped = stop_verdict(trajectory, self.card.id)
        return stopped or await self.judge_answer(trajectory.question, trajectory.answer)

    async def judge_answer(self, question: Question, answer: str) -> Verdict:
        """The verdict on an answer. Never raises: a judge's failure is an unscored verdict with its reason."""
        ruled = self.by_rule(question, answer)
        if ruled.verdict is not Outcome.UNSCORED or self.asker is None or not question.answers:
            return ruled
        started = time.monotonic()
        try:
            label = (await self.asker.ask(self.card.render(question, answer), self.card)).strip()
        except JudgeError as error:
            return self._unscored(ruled, str(error), time.monotonic() - started)
        seconds = round(time.monotonic() - started, 4)
        if label not in self.card.labels:
            return self._unscored(
                ruled, f"the judge replied {label[:60]!r}; expected one of {', '.join(self.card.labels)}", seconds, label
            )
        outcome = self.card.labels[label]
        return Verdict(ruled.key, self.card.id, self.model, outcome, "judge", label, label, ruled.reason, seconds)

    async def close(self) -> None:
        """Close the connections to a served judge."""
        if self.asker:
            await self.asker.close()

    def _unscored(self, ruled: Verdict, reason: str, seconds: float, raw: str = "") -> Verdict:
        return Verdict(
            ruled.key, self.card.name, self.model, Outcome.UNSCORED, "judge", "", raw[:2000], reason, round(seconds, 4)
        )


class ServedAsker:
    """A judge on an OpenAI-compatible server; labels are enforced by structured output where the server has it."""

    def __init__(self, base_url: str, model: str, api_key: str, *, retries: int = 4) -> None:
        from openai import AsyncOpenAI

        self._client = AsyncOpenAI(base_url=base_url, api_key=api_key, max_retries=retries, timeout=_TIMEOUT_S)
        self._base_url = base_url
        self._model = model

    @property
    def model(self) -> str:
        """The served judge's name."""
        return self._model

    async def ask(self, prompt: str, card: Card) -> str:
        """The judge's label; see `Asker.ask`."""
        import openai

        try:
            reply = await self._client.chat.completions.create(
                model=self._model,
                messages=[{"role": "user", "content": prompt}],
                temperature=card.temperature,
                max_tokens=card.max_tokens,
                extra_body={"structured_outputs": {"choice": list(card.labels)}},
            )
            choice = reply.choices[0] if reply.choices else None
        except (openai.OpenAIError, ValueError, AttributeError) as error:  # the latter two: a reply that is no chat completion
            raise JudgeError(f"the judge at {self._base_url} failed: {_one_line(error)}") from error
        if choice is None or choice.finish_reason != "stop":
            raise JudgeError(f"the judge's reply was cut (finish reason {choice.finish_reason if choice else None!r})")
        return choice.message.content or ""

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()


async def start_judge(card_name: str, base_url: str | None, api_key: str) -> Judge:
    """The judge of a card, its server reached if one is given.

    Raises:
        UsageError: if the card is unknown, or a server that is given does not answer or serves another model.
    """
    card = load_card(card_name)
    if base_url is None or not card.asks:
        return Judge(card)
    served = await _served_name(card, base_url, api_key)
    return Judge(card, ServedAsker(base_url, served, api_key))


async def _served_name(card: Card, base_url: str, api_key: str) -> str:
    import openai

    async with openai.AsyncOpenAI(base_url=base_url, api_key=api_key, max_retries=1, timeout=20) as client:
        try:
            names = [m.id for m in (await client.models.list()).data]
        except (openai.OpenAIError, ValueError, AttributeError) as error:  # the latter two: no list of models
            raise UsageError(
                f"no judge answers at {base_url} ({_one_line(error)}); start one, correct --judge-url, or leave it out"
            ) from error
    if card.served_name in names:
        return card.served_name
    if len(names) == 1:
        return str(names[0])
    raise UsageError(
        f"{base_url} does not serve {card.served_name!r}, the card's judge; it serves: {', '.join(names) or 'nothing'}"
    )


def _undecided(ruling: Ruling) -> str:
    return f"the rules are undecided ({ruling.rule})"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


_FENCE = re.compile(r"(BEGIN|END)[\s_-]+ANSWER", re.IGNORECASE)
_SPECIAL = re.compile(r"<\|(?=\w+\|>)")


def _fenced(answer: str, limit: int) -> str:
    """An answer that can neither end the prompt's delimiters nor, by control tokens (`<|im_end|>`), the judge's turn."""
    text = _SPECIAL.sub("<| ", _FENCE.sub(r"\1-of-ANSWER", answer))
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]}\n[… {len(text) - 2 * half} characters left out …]\n{text[-half:]}"


def judge_settings(judge: Judge) -> dict[str, Any]:
    """What run.yaml says about the judge."""
    return {"card": judge.card.id, "model": judge.model}
