"""Sentences of a text, and the words of one that carry meaning."""

from __future__ import annotations

import re
from functools import lru_cache

from .text import words

_ENDS = re.compile(r"(?<=[.!?])(?<!\b[A-Z]\.)(?<!\b(?:St|Mr|Dr|vs|Jr)\.)(?<!\bMrs\.)[\"')\]]?\s+|\n+")
_WORD = re.compile(r"\w+")


def sentences(text: str) -> list[str]:
    """The sentences and lines of a text, without empty ones."""
    return [part.strip() for part in _ENDS.split(text) if part.strip()]


@lru_cache(maxsize=4096)
def stem(word: str) -> str:
    """A word without the endings of its number and tense: "dogs" is "dog", "parking" is "park"."""
    for ending in ("'s", "ies", "ing", "es", "ed", "s"):
        if word.endswith(ending) and len(word) - len(ending) >= 3 and not word.endswith("ss"):
            return word[: -len(ending)]
    return word


def stems(text: str) -> list[str]:
    """The stems of a text's words, in their order, numbers spelled as digits."""
    return [stem(word) for word in words(text).split()]


def numbers(text: str) -> set[str]:
    """The numbers in a text, those written as words included."""
    return {word for word in words(text).split() if word[0].isdigit()}
