"""A letter with its own full text, then a reason: "B. 1", and below it "There is 1 boat, near the pier."."""

from __future__ import annotations

import re

from ...core.records import Question
from .doubt import doubted, retracted
from .options import option_text, supports, yes_or_no
from .ruling import Ruling
from .sentences import sentences
from .statements import INNER_OR, LETTERED
from .text import bare, loose

_OWN = re.compile(r" ?[.:,)–—-]? ?\n?(?P<body>.+)", re.DOTALL)
_INSIDE = re.compile(r"(?P<before>.*?)\((?P<letter>[A-Z])\)(?P<after>.*)", re.DOTALL)
_LATIN = re.compile(r"[\x00-\u024f\u2000-\u206f]+")


def by_text_and_reason(text: str, question: Question) -> Ruling | None:
    """The letter, if its own text follows it and the rest names no other option and takes nothing back."""
    match = LETTERED.fullmatch(text)
    if not match or (match["open"] and not match["close"]) or doubted(match["lead"]) or retracted(match["lead"]):
        return None
    letter, after = match["letter"].upper(), _OWN.fullmatch(match["rest"])
    if letter not in question.letters or after is None or yes_or_no(question) or not _LATIN.fullmatch(text):
        return None
    reason = _reason(after["body"], letter, question)
    return Ruling(None, "letter_text_reason", letter) if reason and _supported(reason, letter, question) else None


def by_text_inside(text: str, question: Question) -> Ruling | None:
    """The one bracketed letter of a text, where its own text stands right before or behind it: "The cause is (C) frost."."""
    match = _INSIDE.fullmatch(text)
    if not match or match["letter"] not in question.letters or yes_or_no(question) or not _LATIN.fullmatch(text):
        return None
    own = option_text(match["letter"], question).rstrip(" .").casefold()
    behind = re.match(rf"\W{{0,3}}{re.escape(own)}(?=[.,;:!\n]|$)", match["after"].casefold())
    before = re.search(rf"(?<!\w){re.escape(own)}\W{{0,3}}$", match["before"].casefold())
    certain = own and (behind or before) and _supported(text, match["letter"], question)
    return Ruling(None, "letter_text_inside", match["letter"]) if certain else None


def _supported(reason: str, letter: str, question: Question) -> bool:
    return supports(INNER_OR.sub(",", reason), letter, question)


def _reason(body: str, letter: str, question: Question) -> str | None:
    """The text after the option's own text; None if the body does not begin with it."""
    own = option_text(letter, question)
    if sum(loose(option) == loose(own) for option in question.options) > 1:
        return None
    first = (sentences(body) or [""])[0]
    if loose(first) == loose(own) or bare(first) == bare(own):
        return body[body.index(first) + len(first) :].strip()
    own = own.rstrip(" .")
    if not own or not body.casefold().startswith(own.casefold()):
        return None
    end = re.fullmatch(r"[\"')\]]? ?[.;:!\n][.\"')\]]?\s*(?P<reason>.+)", body[len(own) :], re.DOTALL)
    longer = (other for other in question.options if len(other) > len(own) + 1 and loose(body).startswith(loose(other)))
    return None if end is None or next(longer, None) else end["reason"]
