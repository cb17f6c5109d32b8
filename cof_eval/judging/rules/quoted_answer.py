"""An open answer in quotes inside a sentence that says nothing else, as in 'The sign says "STOP".'."""

from __future__ import annotations

import re

from .doubt import disputed
from .question_kind import PLAIN, bare_question
from .text import words

_QUOTED = re.compile(r'"([^"\n]{1,200})"')
_FRAME = frozenset(
    [
        "word",
        "words",
        "text",
        "letter",
        "letters",
        "sign",
        "says",
        "say",
        "said",
        "reads",
        "read",
        "written",
        "writing",
        "called",
        "titled",
        "title",
        "named",
        "name",
        "on",
    ]
)


def quoted_text(text: str, question: str) -> str | None:
    """The one quoted text of a sentence, all other words of which are the question's, plain, or name a text."""
    spans = _QUOTED.findall(text)
    outside = _QUOTED.sub(" ", text)
    if len(spans) != 1 or "\n" in text or disputed(outside):
        return None
    known = PLAIN | _FRAME | set(words(bare_question(question)).split())
    return spans[0] if set(words(outside).split()) <= known else None
