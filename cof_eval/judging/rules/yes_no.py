"""Yes or no first, then sentences: "No, there is no cat in the image. It shows a bus."."""

from __future__ import annotations

import re
from functools import lru_cache

from .asked import PLAIN, asked, negative
from .doubt import HEDGE, NEGATION, TAKEN_BACK, retracted
from .polarity import LACK
from .sentences import sentences, stem, stems
from .text import words as words_of

_SAID = re.compile(r"[\"'(]?(?P<said>yes|no)[\"')]?(?: ?[.,;:!–—-]|(?=\n)) *\n?(?P<rest>.+)", re.IGNORECASE | re.DOTALL)
_SOURCE = re.compile(
    r"\b(?:(?:according|accroding) to|based on|from|in|looking at) (?:the )?(?:\w+ ){0,2}"
    r"(?:images?|pictures?|figures?|tables?|charts?|maps?|graphs?|photos?|sequence|text)(?: (?:provided|given|shown))?,? ?",
    re.IGNORECASE,
)
_GENERIC = frozenset({"kind", "type", "sort", "place", "set", "style", "group", "state", "thing", "object", "appear", "seem", "look"})
"""Stems of words that an answer may leave out or change without saying something else."""
_TURNS = re.compile(
    r"\b(?:almost|nearly|different\w*|unlike|only|just|merely|fake|formerly|previously|used to|would|should|supposed|many|much|all|every\w*|always"
    r"|necessarily|entirely|completely|fully|exactly|quite|very|too|simply|really|far from)\b",
    re.IGNORECASE,
)
"""Words by which a sentence with all of the question's words may say something else: "not only a dog"."""
_PIECE = re.compile(r"[\w']+|[^\w\s]")
_LATIN = re.compile(r"[\x00-\u024f\u2000-\u206f]+")


def sentences_of(text: str, question: str) -> tuple[str, str] | None:
    """(yes or no, rule), where a first sentence of the same polarity covers the question, and no later one takes it back."""
    match = _SAID.fullmatch(text)
    if not match or not _LATIN.fullmatch(text) or negative(question) or "?" in match["rest"]:
        return None
    said, (first, *later) = match["said"].lower(), sentences(match["rest"]) or [""]
    if not _same_polarity(said, first, question) or not all(_follows(said, each, question) for each in later):
        return None
    foreign = set(_content(first)) - _topic(question)
    return said, "yes_no_other_words" if foreign else "yes_no_sentences"


def _same_polarity(said: str, clause: str, question: str) -> bool:
    """Whether a clause covers the question's own words with as many negations as yes or no has: none, or one."""
    topic = _topic(question) - _GENERIC
    if not topic or not topic <= set(stems(clause)) or _disputed(clause, question) or _TURNS.search(_beyond(clause, question)):
        return False
    return len(NEGATION.findall(clause)) == (said == "no")


def _follows(said: str, sentence: str, question: str) -> bool:
    """Whether a later sentence neither denies, hedges nor says the opposite of the first one."""
    if NEGATION.search(sentence) or _disputed(sentence, question):
        return False
    return said == "yes" or not _topic(question) - _GENERIC <= set(stems(sentence))


def _disputed(text: str, question: str) -> bool:
    """Whether a text hedges, withdraws, or says with a verb of lack what a negation says; the question's own words aside."""
    rest = _beyond(text, question)
    return any(words.search(rest) for words in (LACK, HEDGE, TAKEN_BACK)) or retracted(rest) or " yes " in words_of(text)


def _beyond(text: str, question: str) -> str:
    """What of a text is not the question's."""
    own = set(words_of(asked(question)).split())
    return " ".join(word for word in _PIECE.findall(text) if word.casefold() not in own)


@lru_cache(maxsize=4096)
def _topic(question: str) -> frozenset[str]:
    """Stems of the words that carry the question's meaning."""
    return frozenset(_content(_SOURCE.sub(" ", asked(question))))


def _content(text: str) -> list[str]:
    return [stem(word) for word in words_of(NEGATION.sub(" ", text)).split() if word not in PLAIN]
