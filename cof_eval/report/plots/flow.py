"""The verdict flow between two runs: of the same questions, which both got right, one of them, or neither."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from ..text import probability
from .style import LINE_IN, NAME_PT, NOTE_PT, WIDTH_IN, blank, drawable, fit, style, wrap, write_note

ROW_IN, LEFT_IN, RIGHT_IN, BOTTOM_IN = 0.27, 0.62, 0.2, 0.5

FLOWS = (
    ("both", "both right", "#b8cbe0", "", "#1a1a1a"),
    ("wins", "only {ours}", "#004488", "", "#ffffff"),
    ("losses", "only {theirs}", "#d55e00", "////", "#1a1a1a"),
    ("neither", "both wrong", "#f0f0f0", "", "#1a1a1a"),
    ("unscored", "a side unscored", "#ffffff", "....", "#1a1a1a"),
)
"""Column of the paired table, name, fill, hatch and the colour of the number on it: told apart by lightness and hatch too."""


def flow_figure(pairs: pd.DataFrame, ours: str, theirs: str, *, benchmark: str, caveats: Sequence[str] = ()) -> Figure:
    """A bar per resolution, from the questions that both got right to those that neither did.

    Args:
        pairs: as of `compare.paired_table`.
        ours: label of the first run.
        theirs: label of the other.
        benchmark: which to draw.
        caveats: sentences for the note.
    """
    pairs = pairs[(pairs["benchmark"] == benchmark) & (pairs["n"] + pairs["unscored"] > 0)]
    tests = " or ".join(dict.fromkeys(test for test in pairs["test"] if test))
    flows = [flow for flow in FLOWS if flow[0] != "unscored" or (pairs["unscored"] > 0).any()]
    text = (
        f"{benchmark}: questions that both runs answered; difference and p of those that are scored in both. p: {tests}, corrected over "
        "the resolutions (max-T)." + (f" Note: {'; '.join(caveats)}." if caveats else "")
    )
    with style():
        note = wrap(text, WIDTH_IN - LEFT_IN - RIGHT_IN, NOTE_PT)
        names = [name.format(ours=drawable(ours), theirs=drawable(theirs)) for _, name, *_ in flows]
        top = 0.14 + 0.17 * len(names)
        panel = ROW_IN * max(1, len(pairs))
        height = top + panel + BOTTOM_IN + LINE_IN * len(note)
        figure = blank(height)
        right = RIGHT_IN + 0.85
        axes = figure.add_axes(
            (LEFT_IN / WIDTH_IN, 1 - (top + panel) / height, 1 - (LEFT_IN + right) / WIDTH_IN, panel / height)
        )
        _draw_bars(axes, pairs, flows)
        handles = [Patch(facecolor=fill, hatch=hatch, edgecolor="#4d4d4d", lw=0.5) for _, _, fill, hatch, _ in flows]
        texts = [fit(name, WIDTH_IN - LEFT_IN - 0.6, NAME_PT) for name in names]
        figure.legend(
            handles, texts, loc="upper left", bbox_to_anchor=(LEFT_IN / WIDTH_IN, 1 - 0.06 / height), labelspacing=0.3
        )
        write_note(figure, note, LEFT_IN)
    return figure


def _draw_bars(axes: Axes, pairs: pd.DataFrame, flows: Sequence[tuple[str, str, str, str, str]]) -> None:
    lines = pairs.to_dict("records")
    most = max((line["n"] + line["unscored"] for line in lines), default=1)
    for y, line in enumerate(lines):
        left = 0.0
        for column, _, fill, hatch, ink in flows:
            width = float(line[column])
            if width:
                axes.barh(y, width, left=left, height=0.74, color=fill, hatch=hatch, edgecolor="#4d4d4d", lw=0.5)
                if width > 0.035 * most:
                    backed = {"boxstyle": "square,pad=0.12", "fc": "white", "ec": "none"} if hatch else None
                    axes.text(
                        left + width / 2, y, f"{width:.3g}", ha="center", va="center", fontsize=6.6, color=ink, bbox=backed
                    )
            left += width
        axes.annotate(
            f"{100 * line['difference']:+.1f}, p {_sign(probability(line['p_max_t']))}" if line["n"] else "",
            xy=(1.0, y), xycoords=("axes fraction", "data"), xytext=(5, 0), textcoords="offset points", fontsize=6.8, va="center",
            annotation_clip=False,
        )  # fmt: skip
    axes.set_yticks(range(len(lines)), [str(line["resolution"]) for line in lines])
    axes.set_ylim(len(lines) - 0.5 if lines else 0.5, -0.5)
    axes.set_xlim(0, most)
    axes.grid(axis="y", visible=False)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.set_xlabel("questions", labelpad=3)
    axes.set_ylabel("resolution R")
    axes.annotate(
        "difference, points", xy=(1.0, 1.0), xycoords="axes fraction", xytext=(5, 2), textcoords="offset points", fontsize=6.8, va="bottom",
        annotation_clip=False,
    )  # fmt: skip


def _sign(p: str) -> str:
    return p if p.startswith("<") else f"= {p}"
