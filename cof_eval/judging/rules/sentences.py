"""Sentences of a text, and the words of one that carry meaning."""

from __future__ import annotations

import re
from functools import lru_cache

from .text import words

_ENDS = re.compile(r"(?<=[.!?])[\"')\]]?\s+|\n+")
_NAME = re.compile(r"(?:\b[A-Z][a-z]+ [A-Z]|\b(?:St|Mr|Mrs|Dr|vs|Jr))\.$")
"""A full stop in a name ends no sentence: "John F. Kennedy", "St. Martin"."""
_IRREGULAR = {
    "people": "person", "men": "man", "women": "woman", "children": "child", "feet": "foot", "teeth": "tooth", "mice": "mouse",
    "won": "win", "held": "hold", "made": "make", "taken": "take", "took": "take", "worn": "wear", "seen": "see", "shown": "show",
}  # fmt: skip


def sentences(text: str) -> list[str]:
    """The sentences and lines of a text, without empty ones."""
    found: list[str] = []
    for part in filter(None, map(str.strip, _ENDS.split(text))):
        if found and _NAME.search(found[-1]) and re.match("[A-Z][a-z]", part):
            found[-1] += f" {part}"
        else:
            found.append(part)
    return found


@lru_cache(maxsize=4096)
def stem(word: str) -> str:
    """A word without the endings of its number and tense: "dogs" is "dog", "parking" is "park"."""
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("ches", "shes", "xes", "sses", "zes")):
        return word[:-2]
    ending = next((each for each in ("ing", "ed", "s") if word.endswith(each)), "")
    return word.removesuffix(ending) if len(word) - len(ending) >= 3 and not word.endswith("ss") else word


def stems(text: str) -> list[str]:
    """The stems of a text's words, in their order, numbers spelled as digits."""
    return [stem(word) for word in words(text).split()]


def numbers(text: str) -> set[str]:
    """The numbers in a text, those written as words included."""
    return {word for word in words(text).split() if word[0].isdigit()}
