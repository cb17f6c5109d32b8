"""Sentences of a Markdown page, for tests of its language. Standard library only.

Code blocks, headings, pictures and comments are no sentences. A table cell is a text of its own, and so is a list item.
Inline code counts as one word, a link as its text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_NO_PROSE = re.compile(r"^(`{3,}|~{3,}).*?^\1[`~]*\s*$|<!--.*?-->|\A---\n.*?^---$", re.DOTALL | re.MULTILINE)
_SKIPPED = re.compile(r"^\s*(#|\||!!!|\?\?\?|===|:::|\[[^\]]+\]:|(-{3,}|\*{3,})\s*$)")
_ITEM = re.compile(r"^\s*([-*+]|\d+[.)])\s+")
_ABBREVIATION = re.compile(r"\b(e\.g|i\.e|vs|et al|cf|etc|Fig|Sec|No|approx|resp|Eq)\.$")
_END = re.compile(r"(?<=[.!?])[\"'”)\]*_]*\s+")
_WORD = re.compile(r"[^\W_]")


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence of a page."""

    text: str
    cell: bool
    """Whether it stands in a table, where fragments are usual."""

    @property
    def words(self) -> int:
        """Words: whatever stands between blanks and holds a letter or a digit."""
        return sum(bool(_WORD.search(word)) for word in self.text.split())


def sentences(page: str) -> list[Sentence]:
    """Every sentence of a page, in order: those of its paragraphs and lists, then those of its tables."""
    page = _NO_PROSE.sub("\n", page)
    prose = [Sentence(text, cell=False) for block in _blocks(page) for text in _split(block)]
    cells = [cell for line in page.splitlines() if line.lstrip().startswith("|") for cell in re.split(r"(?<!\\)\|", line)]
    return prose + [Sentence(text, cell=True) for cell in cells for text in _split(cell)]


def _blocks(page: str) -> list[str]:
    """Paragraphs and list items, each on one line."""
    blocks: list[list[str]] = [[]]
    for line in page.splitlines():
        item = _ITEM.match(line)
        if item or not line.strip() or _SKIPPED.match(line):
            blocks.append([])
        if not _SKIPPED.match(line):
            blocks[-1].append(line[item.end() :] if item else line)
    return [" ".join(block) for block in blocks]


def _split(text: str) -> list[str]:
    """The sentences of one block: cut after `.`, `!` and `?` before a blank, abbreviations aside."""
    text = _plain(text)
    found, start = [], 0
    for end in _END.finditer(text):
        if _ABBREVIATION.search(text[start : end.start()]):
            continue
        found.append(text[start : end.end()])
        start = end.end()
    return [sentence.strip() for sentence in (*found, text[start:]) if _WORD.search(sentence)]


def _plain(text: str) -> str:
    """Without markup: code as one word, a link as its text, pictures gone."""
    text = re.sub(r"!\[[^\]]*\]\([^)]*\)", "", text)
    text = re.sub(r"(`+).+?\1", "Code", text)
    text = re.sub(r"</?\w[^>]*>", "", text)
    text = re.sub(r"\[([^\]]*)\](\([^)]*\)|\[[^\]]*\])", r"\1", text)
    return re.sub(r"\*+|(?<!\w)_+|_+(?!\w)", "", text).strip()
