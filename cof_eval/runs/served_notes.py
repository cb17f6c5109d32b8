"""What a run's servers did otherwise than they were asked, in words: for the terminal, the report and the doctor. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..core.text import one_line

_WORDS_CHARS = 160


@dataclass(frozen=True, slots=True)
class ServedNote:
    """One thing that a reader of the numbers must know."""

    says: str
    figures: str = ""

    def __str__(self) -> str:
        return f"{self.says} ({self.figures})" if self.figures else self.says


def served_notes(facts: Mapping[str, Any], who: str = "the server") -> list[ServedNote]:
    """The notes that follow from `pool_facts`.

    Args:
        facts: an entry of run.yaml.
        who: names the server: of the model, or of the judge.
    """
    return [*_weights(facts), *_fields(facts, who), *_replies(facts)]


def _weights(facts: Mapping[str, Any]) -> Iterator[ServedNote]:
    weights = facts.get("weights") or []
    if len(weights) > 1:
        yield ServedNote("servers named different weights under one name", ", ".join(one_line(each) for each in weights))


def image_formats(facts: Mapping[str, Any]) -> dict[str, list[str]]:
    """In which formats images travelled (`png`, `bmp`, or with why not `bmp`), each with its servers; of `pool_facts`."""
    found: dict[str, list[str]] = {}
    for url, told in (facts.get("asked") or {}).items():
        if told.get("images"):
            found.setdefault(one_line(str(told["images"]))[:_WORDS_CHARS], []).append(url)
    return found


WHO = {"model": "the server", "judge": "the judge's server"}
"""Whose servers run.yaml tells of, in words."""


def all_served_notes(servers: Mapping[str, Any]) -> list[ServedNote]:
    """The notes on all servers of a run, as run.yaml tells of them under `servers`."""
    return [note for who, facts in servers.items() for note in served_notes(facts, WHO.get(who, who))]


def _fields(facts: Mapping[str, Any], who: str) -> Iterator[ServedNote]:
    by_words: dict[str, list[str]] = {}
    for url, told in (facts.get("asked") or {}).items():
        for says in _told(told, who):
            by_words.setdefault(says, []).append(url)
    return (ServedNote(says, ", ".join(urls)) for says, urls in by_words.items())


def _told(told: Mapping[str, Any], who: str) -> Iterator[str]:
    left_out = dict(told.get("left_out") or {})
    words = next((one_line(says)[:_WORDS_CHARS] for says in left_out.values() if says), "")
    if left_out.pop("stop", None) is not None:
        yield f"{who} refused `stop`: turns were cut here, and output tokens count what it wrote beyond"
    for name in ("return_token_ids", "include_stop_str_in_output"):
        left_out.pop(name, None)
    if left_out:
        yield f"{who} may have used its own {', '.join(left_out)}: it refused to be told ({words})"
    if told.get("unused"):
        yield f"{who} may have used its own {', '.join(told['unused'])}: it takes these fields and does not use them"


def _replies(facts: Mapping[str, Any]) -> Iterator[ServedNote]:
    replies = facts.get("replies") or {}
    for says, count in (replies.get("mended") or {}).items():
        yield ServedNote(says, "1 reply" if count == 1 else f"{count:,} replies")
    ignored = replies.get("ignored_fields") or {}
    if ignored:
        each = ", ".join(f"{name} ({count:,})" for name, count in sorted(ignored.items(), key=lambda one: -one[1])[:20])
        yield ServedNote(f"fields of replies that were not read: {each}")
