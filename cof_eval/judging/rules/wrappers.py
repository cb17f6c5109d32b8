"""What a reply may be wrapped in: a chat template's special tokens at its ends, or the repr of a list of one text."""

from __future__ import annotations

import re

_TOKEN = (
    r"(?:</?(?:s|unk|pad|bos|eos|start_of_turn|end_of_turn|end_of_utterance|text|answer)>"
    r"|<\|[\w▁]{1,40}\|>|<｜[\w▁]{1,40}｜>|\[/?(?:INST|SYS|text)\])"
)
_LEADING = re.compile(rf"(?:\s*{_TOKEN})+\s*", re.IGNORECASE)
_TRAILING = re.compile(rf"\s*(?:{_TOKEN}\s*)+$", re.IGNORECASE)
_INSIDE = re.compile(r"</s>|<\|[\w▁]{1,40}\|>", re.IGNORECASE)
_LIST = re.compile(r"\[\s*(?:'([^'\n]*)'|\"([^\"\n]*)\")\s*,?\s*\]")
_FROM_END = 400
"""Characters of a reply in which tokens at its end are looked for."""


def unwrapped(text: str) -> tuple[str, str]:
    """(text, rule): the text without its wrapper and the wrapper's name; the text itself and no name where there is none."""
    inner = _without_tokens(text)
    entry = _only_entry(inner)
    return (inner, "special_tokens" if inner != text else "") if entry is None else (entry, "list_repr")


def has_tokens(text: str) -> bool:
    """Whether a special token stands inside a text."""
    return "<" in text and bool(_INSIDE.search(text))


def _without_tokens(text: str) -> str:
    """The text without special tokens before and behind it; the same text if there are none, or nothing else."""
    start = match.end() if (match := _LEADING.match(text)) else 0
    tail = _TRAILING.search(text, max(start, len(text) - _FROM_END))
    return text[start : tail.start() if tail else None] or text


def _only_entry(text: str) -> str | None:
    """The text in the repr of a list that holds one text: `['B.']`; None if it is no such list."""
    match = _LIST.fullmatch(text.strip())
    return (match[1] or match[2]) if match else None
