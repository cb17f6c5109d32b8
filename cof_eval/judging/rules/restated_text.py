"""An option's full text with words that only repeat the question: "B is closer to the camera.", "Cotton. It is made of cotton."."""

from __future__ import annotations

import re

from ...core.records import Question
from .options import option_text, stated, supports
from .question_kind import PLAIN, bare_question
from .ruling import Ruling
from .sentences import sentences
from .statements import INNER_OR, SEEMS, forms
from .text import loose, words

_CLAUSE = re.compile(r"\w+ (?:is|are|was|were|has|have|can|does|do)\b", re.IGNORECASE)
_LABELS = "the point points label labeled labelled circle circled region object image figure picture"
_LABEL = frozenset(_LABELS.split())
"""Words by which a thing with a letter for a name is called."""


def by_restated_text(text: str, question: Question) -> Ruling | None:
    """The option whose text is the first sentence, or a clause of it whose other words repeat the question.

    What comes then must dispute nothing and name no other option.
    """
    first = (sentences(text) or [""])[0]
    letter = _equal(first, question) or next(
        filter(None, (_within(form, question) for _, form in forms(first, question))), None
    )
    if letter is None or not supports(INNER_OR.sub(",", text), letter, question):
        return None
    return Ruling(None, "option_restated", letter)


def _equal(sentence: str, question: Question) -> str | None:
    hits = [letter for letter in question.letters if loose(option_text(letter, question)) == loose(sentence) != ""]
    return hits[0] if len(hits) == 1 else None


def _within(sentence: str, question: Question) -> str | None:
    """The letter of the option that is a clause of the sentence, the rest of which is the question's."""
    sentence = SEEMS.sub("is", sentence)
    hits = stated(sentence, question)
    if len(hits) != 1:
        return None
    own = words(option_text(letter := hits.pop(), question))
    before, _, after = words(sentence).partition(own)
    known = PLAIN | {"than"} | set(words(bare_question(question.text)).split())
    if not _CLAUSE.search(own) or not set(before.split()) <= _LABEL & known or not set(after.split()) <= known:
        return None
    return letter
