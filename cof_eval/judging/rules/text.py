"""Comparison of texts: cleaned of wrappers, and compared strictly, loosely, or word by word. Pure."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

_CACHED = 2048
"""Texts of which each of these functions remembers the result: an option is compared with many lines of many answers."""
_KEPT = ("<super>", "<sub>", "<fraction>", "<compat>")  # 10² is not 102, № is not "no"
_SIGNS = str.maketrans({"“": '"', "”": '"', "‘": "'", "’": "'"} | dict.fromkeys("\u200b\u200c\u200d\u2060\ufeff\u00ad", ""))
_LATEX = re.compile(r"(?<![\w}])\\(?:boxed|text|textbf|textit|mathrm|mathbf) ?\{([^{}]*)\}(?![\w{\\])")
_MATH = re.compile(r"(?<![\w\\])\$([^\s$](?:[^$\n]*[^\s$])?)\$(?!\w)|\\[()\[\]]")
_EMPHASIS = re.compile(r"(?<!\w)(\*{1,3}|_{1,3}|`{1,3})([^\s*_`](?:[^*_`\n]*[^\s*_`])?)\1(?!\w)")
_WRAPS = re.compile(r"[*_`$\\]")
_HEADING = re.compile(r"^#{2,6} ")
_BREAK_AFTER_COLON = re.compile(r"(?<=answer:)\n|(?<=answer is:)\n", re.IGNORECASE)


@lru_cache(maxsize=_CACHED)
def cleaned(text: str) -> str:
    """Full-width and styled characters folded; markdown, LaTeX wrappers, spare blanks and empty lines removed."""
    folded = text if text.isascii() else _folded(text)
    for _ in range(3 if _WRAPS.search(folded) else 0):  # one wrapper may enclose another
        folded = _EMPHASIS.sub(r"\2", _MATH.sub(lambda m: m[1] or " ", _LATEX.sub(r"\1", folded)))
    lines = (_HEADING.sub("", " ".join(line.split())) for line in folded.splitlines())
    return _BREAK_AFTER_COLON.sub(" ", "\n".join(filter(None, lines)))


def _folded(text: str) -> str:
    return "".join(
        c if c.isascii() or unicodedata.decomposition(c).startswith(_KEPT) else unicodedata.normalize("NFKC", c)
        for c in unicodedata.normalize("NFC", text)
    ).translate(_SIGNS)


_NUMBERS = {word: str(n) for n, word in enumerate([
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen",
    "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty",
])}  # fmt: skip
_END_MARK = re.compile(r"(?:[.,;:]|(?<=[^\W\d])!)$")
_QUOTED = re.compile(r"([\"'])([^\"']*)\1")
_HYPHEN = re.compile(r"(?<=[^\W\d_])-(?=[^\W\d_])")
_ARTICLE = re.compile(r"^(?:a|an|the) (?=[^\W\d_]{2})(?!(?:few|little|lot|while|bit)\b)")
_UNIT = re.compile(r"(?<=\d)( ?(?!kg\b)(?:[a-z]|[kmgtp][bwvasg])\b)", re.IGNORECASE)
FILLERS = {"a", "an", "the", "is", "are", "of", "and"}


def unquoted(text: str) -> str:
    """The text within quotes that enclose all of it."""
    return quoted[2] if (quoted := _QUOTED.fullmatch(text)) else text


@lru_cache(maxsize=_CACHED)
def strict(text: str) -> str:
    """A text without differences of case, blanks, hyphens inside words, enclosing quotes and a closing mark.

    The case of a unit counts (5 mW is not 5 MW), and "ß" is not "ss".
    """
    for _ in range(2):
        text = unquoted(_END_MARK.sub("", text.strip()).strip())
    parts = _UNIT.split(_HYPHEN.sub(" ", " ".join(text.split())))
    return "".join(part if i % 2 else part.lower() for i, part in enumerate(parts))


@lru_cache(maxsize=_CACHED)
def plain(text: str) -> str:
    """A text as `strict` gives it, without a leading article."""
    return _ARTICLE.sub("", strict(text))


@lru_cache(maxsize=_CACHED)
def loose(text: str) -> str:
    """A text as `plain` gives it, a spelled-out number in digits."""
    bare = plain(text)
    return _NUMBERS.get(bare, bare)


_INNER_ARTICLE = re.compile(r"\b(?:a|an|the) (?=[^\W\d_]{2})(?!(?:few|little|lot|while|bit)\b)")


@lru_cache(maxsize=_CACHED)
def bare(text: str) -> str:
    """A text as `loose` gives it; one of four words or more also without its articles."""
    whole = loose(text)
    return _INNER_ARTICLE.sub("", whole) if whole.count(" ") > 2 else whole


@lru_cache(maxsize=_CACHED)
def squeezed(text: str) -> str:
    """A text as `loose` gives it; a longer one also without blanks, which do not count in formulas and code."""
    whole = loose(text)
    return "".join(whole.split()) if len(whole) > 20 else whole


def spelled_out(text: str) -> str:
    """A text with the word for its number behind it."""
    return next((f"{text} {word}" for word, number in _NUMBERS.items() if number == strict(text)), text)


@lru_cache(maxsize=_CACHED)
def words(text: str) -> str:
    """The words with a blank on either side of each, so that `in` compares whole words."""
    return "".join(f" {_NUMBERS.get(word, word)}" for word in re.findall(r"\w+", text.casefold())) + " "
