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
_UNITS = (
    r"per ?cent\w*|%|fractions?|ratios?|proportions?|shares?|degrees?|points?|units?|hundreds?|thousands?|lakhs?|crores?|[mbt]n"
    r"|(?:m|b|tr)illions?|dollars?|cents?|euros?|pounds?|yen|rupees?|yuan|usd|eur|gbp|inr"
    r"|(?:milli|micro|nano|kilo|mega|giga|tera|centi)?(?:met(?:er|re)|gram|lit(?:er|re)|watt|byte|bit|volt|joule|hertz|second)s?"
    r"|km|cm|mm|kg|mg|lbs?|oz|ft|inch(?:es)?|feet|foot|yards?|miles?|acres?|hectares?|tons?|tonnes?|ounces?|gallons?|calories|kcal"
    r"|minutes?|hours?|days?|weeks?|months?|years?|decades?|centuries"
)
_SCALED = re.compile(
    rf"[%$€£¥₹]|\b(?:how many|number of|in|unit:?|units:?) (?:(?!the\b)[\w ]{{0,12}} )?(?:{_UNITS})\b|\bper ?cent|\bin (?:[a-z]{{1,2}}|mln|bln)(?=[?,.;:)]|$)",
    re.IGNORECASE,
)
"""A question that asks for a unit or a scale ("in M", "how many percent"): a bare number may not carry it, and 2 may be 2,000,000."""
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
    """Whether a question asks for one exact count, as a bare number without a unit or a scale."""
    asked = bare_question(text)
    if not _COUNTING.search(asked) or _SCALED.search(asked):
        return False
    return not _LOOSELY.search(asked) and text.count("?") < 2


def has_negation(text: str) -> bool:
    """Whether a question holds a negation: what "no" with a clause says then is not certain."""
    return bool(NEGATION.search(bare_question(text)))


def repeats_question(said: str, question: str, own: str = "") -> bool:
    """Whether a text has no word beyond those of the question, of `own`, and plain ones; negations aside."""
    spoken = words(NEGATION.sub(" ", said)).split()
    return set(spoken) <= PLAIN | set(words(bare_question(question)).split()) | set(words(own).split())
