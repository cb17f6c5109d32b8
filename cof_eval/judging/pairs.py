"""Labelled pairs of a card: questions with answers whose worth is known, to audit a judge by."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec

from ..core.errors import UsageError, flat_message
from ..core.letters import option_lines
from ..core.records import Outcome, Question, from_json
from .card import card_folder


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One answer to one question, and what it is worth."""

    kind: str
    """What makes it easy or hard: `multiple choice`, `prompt injection`, …"""
    question: str
    options: tuple[str, ...] = ()
    reference: str
    """The reference: an option's letter, or text where there are no options."""
    answer: str
    label: Outcome
    """Correct or wrong."""
    image: str = ""
    """File of the shown image, in the card's folder; for cards that see it."""

    def __post_init__(self) -> None:
        if self.label is Outcome.UNSCORED:
            raise ValueError("a pair's label is correct or wrong")
        if not self.kind:
            raise ValueError("a pair has a kind")

    def ask(self) -> Question:
        """The pair's question as a benchmark would ask it: options by letter under the text."""
        text = "\n".join([self.question, *option_lines(self.options)])
        return Question(
            id="pair", benchmark="calibration", category=self.kind, cluster="pair", text=text, options=self.options,
            answer=self.reference,
        )  # fmt: skip


def pairs_folder(card: str) -> Path:
    """Where a card's pairs lie: in its folder; those of `equivalence` for a card without any.

    Raises:
        UsageError: if there is no such card.
    """
    folder = card_folder(card)
    return folder if (folder / "calibration.jsonl").is_file() else card_folder("equivalence")


def load_pairs(folder: Path) -> tuple[Pair, ...]:
    """The pairs of a card's `calibration.jsonl`.

    Raises:
        UsageError: if there are none, or a line cannot be read, naming it.
    """
    file = folder / "calibration.jsonl"
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{file} cannot be read ({error}); expected labelled pairs, one JSON object a line") from error
    pairs = tuple(_pair(file, number, line) for number, line in enumerate(lines, 1) if line.strip())
    if not pairs:
        raise UsageError(f"{file} holds no pairs; expected one JSON object a line")
    return pairs


def _pair(file: Path, number: int, line: str) -> Pair:
    try:
        pair = from_json(line, Pair)
        unknown = set(msgspec.json.decode(line)) - set(Pair.__slots__)
        if unknown:
            raise ValueError(f"unknown {', '.join(sorted(unknown))}")
        pair.ask()
    except ValueError as error:
        says = flat_message(error)
        raise UsageError(f"{file}, line {number}: {says}; known: {', '.join(Pair.__slots__)}") from error
    return pair
