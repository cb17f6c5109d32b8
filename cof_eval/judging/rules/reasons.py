"""A letter with its own full text first, then a reason: "B. 1", and below it "There is 1 boat, near the pier."."""

from __future__ import annotations

import re

from ...core.records import Question
from .doubt import doubted, retracted
from .options import option_text, supports, yes_or_no
from .ruling import Ruling
from .statements import LETTERED
from .text import loose

_OWN = re.compile(r" ?[.:,)–—-]? ?\n?(?P<body>.+)", re.DOTALL)
_END = re.compile(r"[\"')\]]? ?(?P<end>[.;:!\n]|[,–—-](?= \D)|$)[.\"')\]]?\s*(?P<reason>.*)", re.DOTALL)
_INNER_OR = re.compile(r"(?<=\w) or (?=\w)")
_LATIN = re.compile(r"[\x00-\u024f\u2000-\u206f]+")


def by_text_and_reason(text: str, question: Question) -> Ruling | None:
    """The letter, where its own text follows it and what comes then names no other option and takes nothing back."""
    match = LETTERED.fullmatch(text)
    if not match or (match["open"] and not match["close"]) or doubted(match["lead"]) or retracted(match["lead"]):
        return None
    letter, after = match["letter"].upper(), _OWN.fullmatch(match["rest"])
    if letter not in question.letters or after is None or yes_or_no(question):
        return None
    reason = _reason(after["body"], letter, question)
    return Ruling(None, "letter_text_reason", letter) if reason and supports(_INNER_OR.sub(",", reason), letter, question) else None


def _reason(body: str, letter: str, question: Question) -> str | None:
    """What follows the option's own text; None if the body does not begin with it."""
    own = option_text(letter, question).rstrip(" .")
    if not own or not body.casefold().startswith(own.casefold()) or not _LATIN.fullmatch(body):
        return None
    end = _END.fullmatch(body[len(own) :])
    longer = (other for other in question.options if len(other) > len(own) + 1 and loose(body).startswith(loose(other)))
    return None if end is None or next(longer, None) else end["reason"]

