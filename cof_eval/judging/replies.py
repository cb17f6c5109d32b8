"""Replies that others recorded, one JSON object a line: what the rules are tried on."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from ..core.errors import UsageError
from ..core.records import Outcome, Question, from_json

_MOST_LINE_BYTES = 64_000_000
"""A longer line is no reply."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What a model said to a question, and what it was judged to be worth."""

    question: str
    """As the model was asked, options included."""
    reply: str
    reference: str | tuple[str, ...]
    """An option's letter, or one or several texts."""
    options: tuple[str, ...] = ()
    recorded_verdict: Outcome | None = None
    source: str = ""
    kind: str = ""

    def __post_init__(self) -> None:
        if self.recorded_verdict is Outcome.UNSCORED:
            raise ValueError("recorded_verdict is correct, wrong, or null")
        self.asked()

    def asked(self) -> Question:
        """The question as a benchmark would hold it."""
        first, *also = [self.reference] if isinstance(self.reference, str) else self.reference or [""]
        return Question(
            id="reply", benchmark=self.source, category=self.kind, cluster="reply", text=self.question, options=self.options,
            answer=first, also=tuple(also),
        )  # fmt: skip

    @property
    def form(self) -> str:
        """`options`, `yes/no` or `open`: what kind of answer is asked for."""
        if self.options:
            return "options"
        references = [self.reference] if isinstance(self.reference, str) else list(self.reference)
        yes_no = bool(references) and all(each.lower().strip(" .") in ("yes", "no") for each in references)
        return "yes/no" if yes_no else "open"


def load_replies(file: Path) -> list[Reply]:
    """The replies of a JSONL file, plain or gzipped (`.gz`).

    Raises:
        UsageError: if it cannot be read or holds none, naming the line.
    """
    try:
        with cast("IO[bytes]", gzip.open(file, "rb")) if file.suffix == ".gz" else file.open("rb") as opened:
            replies = [_reply(file, number, line) for number, line in _lines(opened) if line.strip()]
    except (OSError, EOFError, zlib.error) as error:
        raise UsageError(f"{file} cannot be read ({error}); expected replies, one JSON object a line") from error
    if not replies:
        raise UsageError(f"{file} holds no replies; expected one JSON object a line")
    return replies


def _lines(file: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    return enumerate(iter(lambda: file.readline(_MOST_LINE_BYTES), b""), 1)


def _reply(file: Path, number: int, line: bytes) -> Reply:
    try:
        return from_json(line, Reply)
    except (ValueError, RecursionError) as error:
        says = " ".join(str(error).split())[:200]
        raise UsageError(f"{file}, line {number}: {says}; expected {_FIELDS}") from error


_FIELDS = "question, reply, reference, and where known options, recorded_verdict, source, kind"
