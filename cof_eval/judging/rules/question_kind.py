"""What a question asks, apart from options and instructions, and which words of an answer only repeat it."""

from __future__ import annotations

import re

from .doubt import NEGATION
from .text import cleaned, words

_CHOICE_OFFERED = re.compile(r"\b(?:yes or no|yes/no|yes, or no)\b", re.IGNORECASE)
_READING = re.compile(
    r"\b(?:say|says|said|read|reads|writ\w+|words?|text|letters?|spell\w*|titled?|named?|names|slogan|message|print\w*|caption|brand)\b",
    re.IGNORECASE,
)
_COUNTING = re.compile(r"\bhow many\b", re.IGNORECASE)
_LOOSELY = re.compile(
    r"\b(?:about|approximate\w*|approx|around|roughly|estimate\w*|nearly|thousands?|millions?|billions?|dozens?|pairs?"
    r"|and (?:what|which|who|where|when|how|is|are))\b",
    re.IGNORECASE,
)
_PLAIN = """
    a an the is are was were be it its this that these those there here of in on at to with and as has have do does did i we you he she
    they them can see show shows showing contain contains depict depicts feature features include includes made any present visible shown
    seen image picture photo photograph color colour material
"""
PLAIN = frozenset(_PLAIN.split())
"""Words that neither name nor change anything."""


def bare_question(text: str) -> str:
    """The question itself: all up to its last question mark, without "yes or no"; the whole text where there is none."""
    text = cleaned(text)
    return _CHOICE_OFFERED.sub(" ", text[: text.rindex("?")] if "?" in text else text)


def asks_to_read(text: str) -> bool:
    """Whether a question asks what is written, so that every word of an answer counts."""
    return bool(_READING.search(bare_question(text))) and not _COUNTING.search(text)


def asks_to_count(text: str) -> bool:
    """Whether a question asks for one exact count."""
    return bool(_COUNTING.search(bare_question(text))) and not _LOOSELY.search(bare_question(text)) and text.count("?") < 2


def has_negation(text: str) -> bool:
    """Whether a question holds a negation: what "no" with a clause says then is not certain."""
    return bool(NEGATION.search(bare_question(text)))


def repeats_question(said: str, question: str, own: str = "") -> bool:
    """Whether a text has no word beyond those of the question, of `own`, and plain ones; negations aside."""
    spoken = words(NEGATION.sub(" ", said)).split()
    return set(spoken) <= PLAIN | set(words(bare_question(question)).split()) | set(words(own).split())
