"""Text that Markdown shows as it is: escaped cells, tables, and numbers written short.

Labels, answers, categories and settings come from models and users: `escape` makes plain text of all of them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ..core.text import one_line

ENTITIES = str.maketrans({char: f"&#{ord(char)};" for char in "&<>|\\`*[]#~"})
"""Characters that mean something to Markdown or HTML, as entities, which mean nothing but the character."""

EDGE_UNDERSCORE = re.compile(r"(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
"""Underscores that could start or end an emphasis; those within a name cannot."""


def table(columns: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table of cells that are escaped already; columns of numbers stand to the right."""
    rule = ["---:" if i and not any(_wordy(line[i]) for line in lines) else "---" for i in range(len(columns))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [columns, rule, *lines])


def _wordy(cell: str) -> bool:
    return any(char.isalpha() for char in cell)


def escape(text: object) -> str:
    """Any text as one line that Markdown shows as it is: no markup, no HTML, no end of a table's cell."""
    return EDGE_UNDERSCORE.sub("&#95;", one_line(text).translate(ENTITIES))


def accuracy(line: Mapping[str, Any]) -> str:
    """An accuracy of the sweep table with its interval, percent: `84.8 [79.0, 89.2]`."""
    return share(line, "acc") if line["n"] else "–"


def share(line: Mapping[str, Any], column: str) -> str:
    """A fraction with its interval, percent: `84.8 [79.0, 89.2]`; without one, the fraction alone."""
    value, low, high = (float(line[name]) for name in (column, f"{column}_low", f"{column}_high"))
    return percent(value) if math.isnan(low) else f"{percent(value)} [{percent(low)}, {percent(high)}]"


def percent(share: float) -> str:
    """A fraction in percent, one decimal; `none` if it is beyond all."""
    return "–" if math.isnan(share) else "none" if math.isinf(share) else f"{100 * share:.1f}"


def points(share: float) -> str:
    """A difference of fractions in percentage points, always signed."""
    return "–" if math.isnan(share) else f"{100 * share:+.1f}"


def mean(value: float) -> str:
    """A small mean, two decimals."""
    return "–" if math.isnan(value) else f"{value:.2f}"


def count(value: float) -> str:
    """A count or a large mean, no decimals."""
    return "–" if math.isnan(value) else f"{value:,.0f}"


def between(line: Mapping[str, Any], column: str, decimals: int = 0) -> str:
    """A mean of the sweep table with its interval: `0.85 [0.80, 0.90]`; without one, or with one of no width, the mean alone."""
    value, low, high = (float(line[name]) for name in (column, f"{column}_low", f"{column}_high"))
    if math.isnan(value):
        return "–"
    bounds = "" if math.isnan(low) or low == high else f" [{max(0.0, low):,.{decimals}f}, {high:,.{decimals}f}]"
    return f"{value:,.{decimals}f}{bounds}"


def probability(p: float) -> str:
    """A p value, two significant digits, never 0."""
    return "–" if math.isnan(p) else "< 0.001" if p < 0.001 else f"{p:.2g}"


def bullets(lines: Sequence[str]) -> list[str]:
    """Plain lines as a Markdown list, escaped; nothing if there are none."""
    return ["\n".join(f"- {escape(line)}" for line in lines)] if lines else []
