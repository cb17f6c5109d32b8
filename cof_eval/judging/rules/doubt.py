"""Words that withdraw, deny or doubt the words next to them."""

from __future__ import annotations

import re


def _any_of(words: str) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{words})\b", re.IGNORECASE)


REFUSAL = _any_of(
    r"can ?not|can't|could not|couldn't|unable|impossible|unclear|unsure|uncertain|don't know|do not know|insufficient"
    r"|not (?:sure|certain|possible|clear|enough)|indeterminate|unknown|sorry"
)
WITHDRAWAL = _any_of(
    r"wrong|incorrect|false|mistaken?|untrue|not true|unlikely|ruled out|eliminat\w+|exclud\w+|reject\w+"
    r"|both|neither|either|(?:all|any|none) of|depends"
)
NEGATION = _any_of(
    r"not|no|never|neither|nor|none|without|except|\w+n't"
    r"|nicht|kein\w*|nie|ne|pas|non|sans|sin|n[ãa]o|nem|geen|niet|ikke|inte|нет|не|ни"
)
"""Of English and its nearest neighbours: a short answer may fall into the reader's own language."""
HEDGE = _any_of(
    r"but|however|wait|actually|instead|rather|or|either|maybe|perhaps|might|may|could|if|unless|guess|although|though|doubt"
)

ASIDE = _any_of(
    r"options?|choices?|answers?|choose|chose|pick|picked|select|selected|others?|otherwise|another|first|second|third|fourth|fifth"
    r"|last|former|latter|least|correction|scratch|oops|well|long|told|random\w*|invented|made (?:it|that|this) up"
)
"""Words by which a reason may bring in another choice, or take the choice back."""

TAKEN_BACK = _any_of(
    r"on second thoughts?|second thoughts|chang\w+ my mind|take (?:it|that|this) back|(?:scratch|strike|forget|ignore|disregard) (?:it|that|this)"
    r"|correction|correct(?:ing)? myself|my mistake|oops|hmm+|wait|alternatives?|alternatively|reconsider\w*|revis(?:e|ed|ing|ion)|on reflection|apolog\w+"
    r"|then again|equally|as well|kidding|joking|opposite|contrary|vice versa|otherwise|former|latter|the others?|another"
    r"|runner-up|rather|actually|i'm not|i am not|i (?:do not|don't|did not|didn't) (?!see|notice|find|spot)|not (?:so|right|correct|the case)"
    r"|options?|choices?|also (?:possible|plausible|correct|right|valid|fits?|be)"
)
"""Words by which a later sentence takes an answer back, or adds another one."""


def retracted(text: str) -> bool:
    """Whether a text refuses, or withdraws something."""
    return bool(REFUSAL.search(text) or WITHDRAWAL.search(text))


def disputed(text: str) -> bool:
    """Whether a text asks, denies, hedges, refuses, withdraws, or takes an answer back."""
    return doubted(text) or retracted(text) or bool(TAKEN_BACK.search(text))


def doubted(text: str) -> bool:
    """Whether a text asks, denies or hedges."""
    return bool("?" in text or NEGATION.search(text) or HEDGE.search(text))
