"""What training data consists of: rows that are kept, rows that were dropped, and why."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from cof_eval.core.images import ImageSource
from cof_eval.core.records import Question, Size


class Reason(StrEnum):
    """Why a row is not trained on."""

    UNREADABLE = "unreadable row"
    ROLES = "odd roles"
    IMAGE_COUNT = "image count mismatch"
    IMAGE = "missing or damaged image"
    ANSWER = "empty or missing answer"
    CALL = "turn without a call"
    QUESTION = "no question"
    FRAME = "boxes in another frame"
    TOO_LONG = "too long"
    VERDICT = "not answered correctly"
    FILTER = "filtered by zooms, coverage or errors"
    REPLAY = "cannot be replayed"


class RowError(Exception):
    """A row that cannot be trained on: its reason, and what exactly was found."""

    def __init__(self, reason: Reason, says: str) -> None:
        super().__init__(says)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """One message: its parts in order, a text each, or None for the next image of the row."""

    role: str
    parts: tuple[str | None, ...]

    @property
    def text(self) -> str:
        """All its text."""
        return "".join(part for part in self.parts if part is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftRow:
    """A row as its source gives it, words checked, images not yet looked at."""

    source: str
    """The data source's path."""
    row: str
    """Where in it: a line, an index, a trajectory's key."""
    messages: tuple[ChatMessage, ...]
    """A whole conversation (SFT), or its opening (GRPO)."""
    images: tuple[ImageSource, ...]
    question: Question | None = None
    """What an answer is scored against (GRPO)."""
    worded: bool = True
    """Whether every prompt is worded as the protocol words it."""


@dataclass(frozen=True, slots=True)
class Picture:
    """An image of a row, on disk."""

    path: str
    size: Size
    """Native, px."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRow:
    """A row that is trained on."""

    source: str
    row: str
    messages: tuple[ChatMessage, ...]
    images: tuple[Picture, ...]
    tokens: int
    """Of the rendered conversation, image tokens included."""
    question: Question | None = None

    def chat(self) -> list[dict[str, Any]]:
        """Its messages as TRL takes them, images as placeholders."""
        return chat(self.messages)


@dataclass(frozen=True, slots=True)
class DroppedRow:
    """A row that is not trained on."""

    source: str
    row: str
    reason: Reason
    says: str


def chat(messages: tuple[ChatMessage, ...]) -> list[dict[str, Any]]:
    """Messages as TRL takes them, images as placeholders."""
    return [
        {
            "role": message.role,
            "content": [{"type": "image"} if part is None else {"type": "text", "text": part} for part in message.parts],
        }
        for message in messages
    ]
