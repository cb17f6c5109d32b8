"""Yes or no first, then sentences: "No, there is no cat in the image. It shows a bus."."""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import lru_cache

from .doubt import HEDGE, NEGATION, REFUSAL, TAKEN_BACK, WITHDRAWAL
from .polarity import LACK
from .question_kind import PLAIN, bare_question, has_negation
from .sentences import sentences, stem, stems
from .statements import INNER_OR
from .text import words as words_of

_SAID = re.compile(r"[\"'(]?(?P<said>yes|no)[\"')]?(?: ?[.,;:!–—-]|(?=\n)) *\n?(?P<rest>.+)", re.IGNORECASE | re.DOTALL)
_SOURCE = re.compile(
    r"\b(?:according to|based on|from|in|looking at) (?:the |this )?(?:(?!sequence)\w+ ){0,4}"
    r"(?:images?|pictures?|figures?|tables?|charts?|maps?|graphs?|photos?|text)\b(?: (?:provided|given|shown))?,? ?"
    r"|\b(?:according to|based on|in) (?:the )?(?:positive )?sequence (?:of )?(?:the )?(?:images)?(?: provided)?,? ?",
    re.IGNORECASE,
)
"""Where an answer is looked for, not what is asked."""
_LIGHT = frozenset(["had", "did", "been", "being", "will", "one", "then"])
_GENERIC = frozenset(
    {"kind", "type", "sort", "place", "set", "style", "group", "state", "thing", "object", "appear", "seem", "look"}
)
"""Stems of words that an answer may leave out or change without saying something else."""
_TURNS = re.compile(
    r"\b(?:almost|nearly|different\w*|unlike|only|just|merely|fake|formerly|previously|used to|would|should|supposed|many|much|all|every\w*|always"
    r"|necessarily|entirely|completely|fully|exactly|quite|very|too|simply|really|far from)\b",
    re.IGNORECASE,
)
"""Words by which a sentence with all of the question's words may say something else: "not only a dog"."""
_DISPUTES = (LACK, HEDGE, TAKEN_BACK, REFUSAL, WITHDRAWAL)
_THERE = re.compile(
    r"\b(?:there (?:is|are|was|were)|(?:this|it) is|(?:i|we|you)(?: can)? see|(?:image|picture|photo|figure|poster) (?:shows|contains|features|depicts|has))\b",
    re.IGNORECASE,
)
"""How a sentence says that something is there; "the glove is gone" has the glove in it too."""
_PIECE = re.compile(r"[\w']+|[^\w\s]")
_LATIN = re.compile(r"[\x00-\u024f\u2000-\u206f]+")


def sentences_of(text: str, question: str) -> tuple[str, str] | None:
    """(yes or no, rule), where a first sentence of the same polarity covers the question, and no later one takes it back."""
    if (match := _said(text, question)) is None:
        return None
    said, (first, *later) = match["said"].lower(), sentences(match["rest"]) or [""]
    rule = _first_sentence(said, first, question)
    return (said, rule) if rule and all(follows(said, each, question) for each in later) else None


def reasoned(text: str, question: str) -> tuple[str, str] | None:
    """(yes or no, rule), where the sentences after it, whatever their words, neither deny, hedge nor say the opposite."""
    if (match := _said(text, question)) is None:
        return None
    said = match["said"].lower()
    return (said, "letter_text_reason") if all(follows(said, each, question) for each in sentences(match["rest"])) else None


def _said(text: str, question: str) -> re.Match[str] | None:
    """Yes or no and what comes then; None where a word of doubt might not be seen, or a "no" might mean yes."""
    match = _SAID.fullmatch(text)
    return match if match and _LATIN.fullmatch(text) and not has_negation(question) and "?" not in match["rest"] else None


def _first_sentence(said: str, clause: str, question: str) -> str | None:
    """The rule by which a clause says the same as the yes or no before it; None if it may not."""
    topic, negations = _topic(question), len(NEGATION.findall(clause))
    if not topic or _disputed(INNER_OR.sub(",", clause), question):
        return None
    if _covers(clause, topic):
        if negations != (said == "no") or _TURNS.search(_beyond(clause, question)):
            return None
        if not set(_content(clause)) - topic:
            return "yes_no_sentences"
        return "yes_no_other_words" if len(topic) > 1 or _THERE.search(clause) or said == "no" else None
    shared = sum(_covers(clause, {word}) for word in topic)
    if said == "no":  # "No, there are three boats", where two are asked about; "No, the red boat is not at the pier"
        return "no_instead" if shared and (not negations or (negations == 1 and 2 * shared >= len(topic))) else None
    said_of = set(_content(_SOURCE.sub(" ", clause))) - _GENERIC
    beyond = [word for word in said_of - topic if not any(_same_word(word, each) for each in topic)]
    return "yes_no_sentences" if 2 * shared >= len(topic) and not negations and not beyond else None


def follows(said: str, sentence: str, question: str) -> bool:
    """Whether a later sentence neither denies, hedges nor says the opposite of what was said first."""
    negations, topic = len(NEGATION.findall(sentence)), _topic(question)
    if _disputed(INNER_OR.sub(",", sentence), question) or negations > (said == "no"):
        return False
    if negations:  # a "no" may be said again of what was asked about
        return any(_covers(sentence, {word}) for word in topic)
    return said == "yes" or not _covers(sentence, topic)


def _covers(text: str, topic: Collection[str]) -> bool:
    """Whether a text has every word of a topic, in whatever form."""
    said = set(stems(text))
    return all(word in said or any(_same_word(word, other) for other in said) for word in topic)


def _same_word(one: str, other: str) -> bool:
    """Whether two stems are forms of one word: "releas" and "release". Numbers have no forms."""
    if one[0].isdigit() or other[0].isdigit():
        return one == other
    shared = next((i for i, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]), min(len(one), len(other)))
    return shared >= max(4, len(one) - 3, len(other) - 3) or (
        3 <= shared == min(len(one), len(other)) and abs(len(one) - len(other)) < 2
    )


def _disputed(text: str, question: str) -> bool:
    """Whether a text hedges, withdraws, or says with a verb of lack what a negation says; the question's own words aside."""
    own = words_of(bare_question(question))
    found = (match[0] for pattern in _DISPUTES for match in pattern.finditer(text))
    return any(words_of(phrase) not in own for phrase in found) or " yes " in words_of(text)


def _beyond(text: str, question: str) -> str:
    """What of a text is not the question's."""
    own = set(words_of(bare_question(question)).split())
    return " ".join(word for word in _PIECE.findall(text) if word.casefold() not in own)


@lru_cache(maxsize=4096)
def _topic(question: str) -> frozenset[str]:
    """Stems of the words that carry the meaning of the question's last sentence."""
    last = (sentences(bare_question(question)) or [""])[-1]
    return frozenset(_content(_SOURCE.sub(" ", last))) - _GENERIC


def _content(text: str) -> list[str]:
    return [stem(word) for word in words_of(NEGATION.sub(" ", text)).split() if word not in PLAIN | _LIGHT]
