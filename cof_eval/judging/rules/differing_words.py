"""Options that are one sentence but for a word or two, and an answer with that word: "Orange", "The van in the image is red."."""

from __future__ import annotations

import re
from functools import lru_cache

from ...core.records import Question
from .doubt import NEGATION, disputed
from .options import mentioned
from .question_kind import PLAIN
from .ruling import Ruling
from .sentences import stems
from .text import plain

_SOURCE = re.compile(r",? (?:based on|according to|as (?:seen|shown|indicated|observed))\b[^.]*")
_FRAME = frozenset({"appear", "seem", "look", "made"})


def by_differing_words(line: str, question: Question) -> Ruling | None:
    """The option whose differing words the answer has, in the order and with no other words than the option's."""
    cores = _cores(question.options)
    if not cores or disputed(line) or mentioned(line, question):
        return None
    said = stems(plain(_SOURCE.sub("", line)))
    hits = [
        letter
        for letter, core in zip(question.letters, cores, strict=True)
        if _says(said, core, question.options[ord(letter) - 65])
    ]
    return Ruling(None, "differing_words", hits[0]) if len(hits) == 1 else None


def _says(said: list[str], core: tuple[str, ...], option: str) -> bool:
    whole, bare = _content(stems(option)), _content(said)
    if tuple(said) == core:
        return True
    left = iter(whole)
    return len(bare) > len(core) and _holds(bare, core) and all(word in left for word in bare)


def _holds(said: list[str], core: tuple[str, ...]) -> bool:
    return any(tuple(said[i : i + len(core)]) == core for i in range(len(said)))


def _content(said: list[str]) -> list[str]:
    return [word for word in said if word not in PLAIN and word not in _FRAME]


@lru_cache(maxsize=1024)
def _cores(options: tuple[str, ...]) -> list[tuple[str, ...]]:
    """What remains of each option without the words that all begin and end with; empty where they share too little."""
    rows = [stems(option) for option in options]
    if len(rows) < 2 or not all(rows) or NEGATION.search(" ".join(options)):
        return []
    first = _shared(rows)
    last = min(_shared([row[::-1] for row in rows]), min(map(len, rows)) - first)
    cores = [tuple(_content(row[first : len(row) - last])) for row in rows]
    shared = {*rows[0][:first], *rows[0][len(rows[0]) - last :]}
    words = [word for core in cores for word in core]
    if any(word in shared or word[0].isdigit() for word in words):
        return []  # "left of the right door"; boxes and other numbers
    return cores if first + last >= 3 and all(cores) and len(set(cores)) == len(cores) else []


def _shared(rows: list[list[str]]) -> int:
    """How many words all rows begin with."""
    return next((i for i, column in enumerate(zip(*rows, strict=False)) if len(set(column)) > 1), min(map(len, rows)))
