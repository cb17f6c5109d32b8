"""An answer as data in a prompt, and a label as text in a reply. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection

from ..agent.reply.thoughts import split_thoughts

_FENCE = re.compile(r"(BEGIN|END)[\W_]*ANSWER", re.IGNORECASE)
_SPECIAL = re.compile(r"<(?=[|｜/]?[\w▁]{1,40}[|｜]?>)|\[(?=/?[A-Z_]{3,20}\])")
"""What begins a control token of some chat template: `<|im_end|>`, `<end_of_turn>`, `</s>`, `[INST]`."""


def fenced(answer: str, limit: int) -> str:
    """An answer that can neither end the prompt's delimiters nor, by control tokens, the judge's turn.

    Args:
        answer: what the model said.
        limit: characters kept; a longer answer loses its middle.
    """
    text = _SPECIAL.sub(lambda m: f"{m[0]} ", _FENCE.sub(r"\1-of-ANSWER", answer))
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]}\n[… {len(text) - 2 * half} characters left out …]\n{text[len(text) - half :]}"


_NAMED = re.compile(r"(?:(?:the )?(?:judge?ment|verdict|label|score|answer)(?: is)?\s*[:=]?\s*)?(.{1,200}?)[.]?", re.IGNORECASE)
_DRESS = "*_`\"'()[] \t\r\n"


def parse_label(reply: str, labels: Collection[str]) -> str | None:
    """The one label that a reply amounts to: bare, quoted, in bold, or after "Judgement:"; None if it says anything else.

    Only a reply that is nothing but its label counts; servers without structured output may format it.
    """
    said = split_thoughts(reply)[0].strip(_DRESS)
    match = _NAMED.fullmatch(said)
    known = {label.strip().casefold(): label for label in labels}
    found = known.get(said.casefold()) or (known.get(match[1].strip(_DRESS).casefold()) if match else None)
    return found
