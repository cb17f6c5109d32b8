"""Judge cards: what a judge decides and how it is asked; one folder each, in `judges/` or anywhere else."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from pathlib import Path
from typing import Any

import yaml

from ..core.errors import UsageError, flat_message
from ..core.paths import data_dir
from ..core.records import Outcome, Question, digest, from_json, replace_surrogates, to_json
from .prompt import fenced
from .rules import RULES_VERSION


class CardRules(StrEnum):
    """Rules before a judge, and a reading of its words."""

    GENERAL = "general"
    """`rules/`: undecided unless certain; the judge's reply must be its label."""
    COF_RELEASED = "cof_released"
    """The released Chain-of-Focus evaluation's own (`released`); its judge is shown the bare letter."""


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
    sees_image: bool = False
    """Whether the judge is given the shown image too."""
    temperature: float = 0.0
    max_tokens: int = 4
    max_answer_chars: int = 2000
    """A longer answer is cut in the middle."""
    prompt: str = ""
    """With `{question}`, `{reference}` and `{answer}` to be filled in."""
    rules: CardRules = CardRules.GENERAL
    """Which rules come before the judge, and how its words are read."""

    def __post_init__(self) -> None:
        missing = [name for name in ("{question}", "{reference}", "{answer}") if name not in self.prompt]
        if self.labels and missing:
            raise ValueError(f"the card has labels, but its prompt lacks {', '.join(missing)}")
        if self.temperature < 0 or self.max_tokens < 1 or self.max_answer_chars < 1:
            raise ValueError("temperature must not be negative, max_tokens and max_answer_chars at least 1")
        if Outcome.UNSCORED in self.labels.values():
            raise ValueError("a label stands for correct or wrong: a judge that cannot decide is unscored by itself")
        if len({label.strip().casefold() for label in self.labels}) < len(self.labels) or "" in self.labels:
            raise ValueError(f"labels must differ in more than case and blanks; they are {', '.join(self.labels)}")

    @property
    def id(self) -> str:
        """Its name and a digest of all that decides a verdict: a changed card or changed rules judge anew."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        if self.rules is CardRules.GENERAL:  # came later: cards without it keep their ids
            del values["rules"]
        return f"{self.name}@{digest(to_json(values).decode(), RULES_VERSION)[:8]}"

    @property
    def asks(self) -> bool:
        """Whether it asks a served judge at all."""
        return bool(self.labels)

    def render(self, question: Question, answer: str) -> str:
        """The judge's prompt. The answer is data: capped, and unable to end its own delimiter."""
        reference = f"({question.answer}) {question.answer_text}" if question.options else "\nor: ".join(question.answers)
        if self.rules is CardRules.COF_RELEASED:
            reference = question.answer
        values = {"question": question.text, "reference": reference, "answer": fenced(answer, self.max_answer_chars)}
        return replace_surrogates(re.sub(r"\{(question|reference|answer)\}", lambda m: values[m.group(1)], self.prompt))


def load_card(name: str) -> Card:
    """The card in the folder `name` of `judges/`, or in a folder given by path.

    Raises:
        UsageError: if there is none, or it has unknown or missing settings.
    """
    folder = card_folder(name)
    try:
        return from_json(to_json({**_values(folder), "prompt": _prompt(folder)}), Card)
    except (OSError, ValueError, TypeError, yaml.YAMLError) as error:  # msgspec's errors are ValueErrors
        says = flat_message(error)
        raise UsageError(f"judge card {folder} cannot be used: {says}; correct card.yaml or prompt.txt") from error


def card_folder(name: str) -> Path:
    """Where a card lies.

    Raises:
        UsageError: if there is none of this name.
    """
    folder = Path(name).expanduser() if "/" in name else data_dir("judges") / name
    if not (folder / "card.yaml").is_file():
        known = ", ".join(known_cards())
        raise UsageError(f"unknown judge card {name!r}; known: {known}, or the path of a folder with a card.yaml")
    return folder


def known_cards() -> list[str]:
    """Names of the cards that come along."""
    return sorted(file.parent.name for file in data_dir("judges").glob("*/card.yaml"))


def _values(folder: Path) -> dict[str, Any]:
    values = yaml.safe_load((folder / "card.yaml").read_text(encoding="utf-8"))
    known = {f.name for f in fields(Card)} - {"prompt"}
    if not isinstance(values, dict) or not set(values) <= known or not {"name", "decides"} <= set(values):
        raise ValueError(f"card.yaml must be a mapping with name and decides, and only: {', '.join(sorted(known))}")
    return {name: value for name, value in values.items() if value is not None}


def _prompt(folder: Path) -> str:
    """The prompt; a card without labels asks nobody and needs none."""
    file = folder / "prompt.txt"
    return file.read_text(encoding="utf-8") if file.is_file() else ""
