"""Words that withdraw, deny or doubt what stands beside them."""

from __future__ import annotations

import re


def _any_of(words: str) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{words})\b", re.IGNORECASE)


REFUSAL = _any_of(
    r"can ?not|can't|could not|couldn't|unable|impossible|unclear|unsure|uncertain|don't know|do not know|insufficient"
    r"|not (?:sure|certain|possible|clear|enough)|indeterminate|unknown|sorry"
)
_WITHDRAWAL = _any_of(r"wrong|incorrect|false|mistaken?|untrue|not true|unlikely|ruled out|eliminat\w+|exclud\w+|reject\w+")
NEGATION = _any_of(r"not|no|never|neither|nor|none|without|except|\w+n't")
HEDGE = _any_of(
    r"but|however|wait|actually|instead|rather|or|either|maybe|perhaps|might|may|could|if|unless|guess|although|though|doubt"
)


def retracted(text: str) -> bool:
    """Whether a text refuses, or withdraws something."""
    return bool(REFUSAL.search(text) or _WITHDRAWAL.search(text))


def doubted(text: str) -> bool:
    """Whether a text asks, denies or hedges."""
    return bool("?" in text or NEGATION.search(text) or HEDGE.search(text))
