"""What every figure has in common: the style file, looks of runs, lines of text that fit, and how it is written.

Figures are drawn on figure and canvas objects of their own, so that nothing global changes and no display is needed.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

from ...core.text import one_line

STYLE = Path(__file__).with_name("cof.mplstyle")

WIDTH_IN = 6.0
"""Width of every figure, inches."""
MARGIN_IN, LINE_IN = 0.06, 0.135
"""Outside of everything; one line of the note."""

NOTE_PT, LABEL_PT, NAME_PT = 6.8, 7.0, 8.0
"""Font sizes of the note, of labels next to curves, and of runs in the legend."""
NOTE_LINES, WORD_CHARS = 6, 48
"""Most lines of the note; longest word in it."""

LOOKS = (
    ("#004488", "o", True),
    ("#d55e00", "s", False),
    ("#117733", "^", True),
    ("#aa4499", "D", False),
    ("#7a6a00", "v", True),
    ("#333333", "P", False),
)
"""Colour, marker and whether it is filled, of each run in turn: they differ in lightness, shape and fill, not only in hue."""

GREY, FAINT, DARK = "#8a8a8a", "#bdbdbd", "#4d4d4d"


def blank(height_in: float) -> Figure:
    """An empty figure of the common width, with a canvas of its own."""
    figure = Figure(figsize=(WIDTH_IN, height_in))
    FigureCanvasAgg(figure)
    return figure


def save(figure: Figure, path: Path) -> list[Path]:
    """Writes a figure as `path` with the suffixes `.png` and `.svg`, the same bytes each time; returns both paths."""
    png, svg = path.with_suffix(".png"), path.with_suffix(".svg")
    with style():
        figure.savefig(png)
        figure.savefig(svg, metadata={"Date": None})
    return [png, svg]


def write_note(figure: Figure, lines: Sequence[str], left_in: float) -> None:
    """The note at the figure's foot, from `left_in` inches."""
    width, height = figure.get_size_inches()
    figure.text(left_in / width, 0.06 / height, "\n".join(lines), fontsize=NOTE_PT, color=DARK, va="bottom", linespacing=1.3)


def interval_names(sweep: pd.DataFrame) -> str:
    """Which intervals the accuracies of a sweep table have: Wilson's, or clustered Wilson where rows are not independent."""
    dependent = sweep["rows"] > sweep["clusters"]
    names = [*(["Wilson"] if not dependent.all() else []), *(["clustered Wilson"] if dependent.any() else [])]
    return " or ".join(names) or "none"


@contextmanager
def style() -> Iterator[None]:
    """The style file, in force for a `with` block."""
    with mpl.rc_context(fname=STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # a model's name may be in any script
        yield


def spread(heights: Sequence[float], *, gap: float, low: float, high: float) -> list[float]:
    """`heights` moved as little as keeps them `gap` apart, in their order, and within [low, high] if they all fit there."""
    order = sorted(range(len(heights)), key=lambda i: heights[i])
    blocks: list[tuple[float, int]] = []  # labels that touch: the mean of their wished-for heights, and how many they are
    for i in order:
        centre, size = heights[i], 1
        while blocks and centre - blocks[-1][0] < (blocks[-1][1] + size) * gap / 2:
            before, count = blocks.pop()
            centre, size = (before * count + centre * size) / (count + size), count + size
        blocks.append((centre, size))
    placed = [centre + (k - (size - 1) / 2) * gap for centre, size in blocks for k in range(size)]
    for k in range(len(placed)):
        placed[k] = max(placed[k], placed[k - 1] + gap if k else low)
    for k in reversed(range(len(placed))):
        placed[k] = min(placed[k], placed[k + 1] - gap if k + 1 < len(placed) else high)
    return [height for _, height in sorted(zip(order, placed, strict=True))]


def look(i: int) -> dict[str, Any]:
    """Colour and marker of the i-th run, as arguments of a line."""
    color, marker, filled = LOOKS[i % len(LOOKS)]
    return {"color": color, "marker": marker, "mfc": color if filled else "white", "mec": color}


def count(value: float) -> str:
    """A number of tokens as a tick says it: `2k`."""
    return f"{value / 1000:g}k" if value >= 1000 else f"{value:g}"


def inches(text: str, size_pt: float) -> float:
    """Width of a line of text as drawn in the current style."""
    width, _, _ = text_to_path.get_text_width_height_descent(text, FontProperties(size=size_pt), False)
    return 1.03 * float(width) / 72  # drawing fits letters to pixels, which makes a line up to that much wider


def fit(text: str, width_in: float, size_pt: float) -> str:
    """`text`, shortened in its middle until it is at most `width_in` wide."""
    chars, fitting = len(text), text
    while inches(fitting, size_pt) > width_in:
        chars -= 1
        fitting = shorten(text, chars)
    return fitting


def shorten(text: str, chars: int) -> str:
    """At most `chars` characters: the middle goes, because the ends tell models and protocols apart."""
    head = (chars - 1) // 2
    return text if len(text) <= chars else f"{text[:head]}…{text[head + 1 - chars :]}"


def wrap(text: str, width_in: float, size_pt: float) -> list[str]:
    """`text` in at most `NOTE_LINES` lines of `width_in`; what does not fit is cut with an ellipsis."""
    lines = [""]
    for word in (shorten(word, WORD_CHARS) for word in one_line(text).split()):
        longer = f"{lines[-1]} {word}".lstrip()
        if inches(longer, size_pt) <= width_in:
            lines[-1] = longer
        else:
            lines.append(word)
    if len(lines) > NOTE_LINES:
        lines = [*lines[: NOTE_LINES - 1], fit(f"{lines[NOTE_LINES - 1]} …", width_in, size_pt)]
    return lines


def drawable(text: object) -> str:
    """A name as a legend shows it: one line, without a leading underscore, which would hide it."""
    line = one_line(text)
    return f" {line}" if line.startswith("_") else line
