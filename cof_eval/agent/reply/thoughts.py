"""Thoughts and what stands outside them: one pass over a text, however many tags it holds. Pure."""

from __future__ import annotations

import re

_TAG = re.compile(r"<(/?)think>", re.IGNORECASE)


def split_thoughts(text: str) -> tuple[str, str]:
    """(what stands outside all thoughts, what stands outside thoughts without an opening tag).

    Templates of thinking checkpoints end the prompt with `<think>`: their replies hold `</think>` alone, and everything
    before it is thought. A thought that is never closed counts as text.
    """
    opened: int | None = None
    spans: list[tuple[int, int]] = []
    lone = 0
    for tag in _TAG.finditer(text):
        if not tag[1]:
            opened = tag.start() if opened is None else opened
        elif opened is None:
            spans, lone = [(0, tag.end())], tag.end()
        else:
            spans.append((opened, tag.end()))
            opened = None
    return _without(text, spans), text[lone:]


def _without(text: str, spans: list[tuple[int, int]]) -> str:
    kept, position = [], 0
    for start, end in spans:
        kept.append(text[position:start])
        position = end
    return "".join([*kept, text[position:]])
