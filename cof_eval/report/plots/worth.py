"""What zooming is worth at a glance: gain and harm by calls at each resolution, what noise alone would show, and the difference."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from ..names import MEAN
from .style import DARK, LINE_IN, NOTE_PT, WIDTH_IN, blank, drawable, fit, style, wrap, write_note

PANEL_IN, LEFT_IN, RIGHT_IN, BOTTOM_IN = 2.0, 0.62, 0.2, 0.5
GAIN, HARM = "#7fa8d1", "#f2b48a"
NAME_PT = 8.0


def worth_figure(worth: pd.DataFrame, *, benchmark: str, caveats: Sequence[str] = ()) -> Figure | None:
    """Bars of gain up and of harm down, a dot with its interval for their difference; None without a scored question.

    Args:
        worth: as of `zoom_worth.worth_table`.
        benchmark: which to draw.
        caveats: sentences for the note.
    """
    lines = worth[(worth["benchmark"] == benchmark) & (worth["n"] > 0)]
    if lines.empty:
        return None
    first, floored = lines.iloc[0], bool(lines["call_floor"].notna().any())
    noise = (
        "Outlined: what a placebo would gain and harm by noise."
        if floored
        else "One direct sample: what noise would show is unknown."
    )
    text = (
        f"{benchmark}: of the questions scored on both sides, those that direct gets wrong and a zoom right (gain), and the reverse (harm). "
        f"{noise} Bars of the dots: 95% intervals (t + 2)." + (f" Note: {'; '.join(caveats)}." if caveats else "")
    )
    with style():
        note = wrap(text, WIDTH_IN - LEFT_IN - RIGHT_IN, NOTE_PT)
        top = 0.5
        height = top + PANEL_IN + BOTTOM_IN + LINE_IN * len(note)
        figure = blank(height)
        place = (LEFT_IN / WIDTH_IN, 1 - (top + PANEL_IN) / height, 1 - (LEFT_IN + RIGHT_IN) / WIDTH_IN, PANEL_IN / height)
        _draw(figure.add_axes(place), lines, floored)
        title = f"{drawable(first['run'])} next to {drawable(first['baseline'])}"
        figure.text(
            LEFT_IN / WIDTH_IN, 1 - 0.06 / height, fit(title, WIDTH_IN - LEFT_IN - 0.3, NAME_PT), fontsize=NAME_PT, va="top"
        )
        _draw_legend(figure, height, floored)
        write_note(figure, note, LEFT_IN)
    return figure


def _draw(axes: Axes, lines: pd.DataFrame, floored: bool) -> None:
    x = [i + (0.5 if name == MEAN else 0.0) for i, name in enumerate(lines["resolution"])]  # the mean stands apart
    axes.bar(x, 100 * lines["call_gain"], width=0.62, color=GAIN, zorder=2)
    axes.bar(x, -100 * lines["call_harm"], width=0.62, color=HARM, zorder=2)
    if floored:
        for side in (1, -1):
            axes.bar(
                x,
                side * 100 * lines["call_floor"].fillna(0),
                width=0.62,
                fill=False,
                edgecolor=DARK,
                ls=(0, (2, 1)),
                lw=0.9,
                zorder=3,
            )
    net = 100 * lines["net"]
    error = [(net - 100 * lines["net_low"]).clip(lower=0).fillna(0), (100 * lines["net_high"] - net).clip(lower=0).fillna(0)]
    axes.errorbar(
        x, net, yerr=error, fmt="o", ms=3.6, color="black", mfc="white", mec="black", elinewidth=0.9, capthick=0.9, zorder=4
    )
    axes.axhline(0, color=DARK, lw=0.7, zorder=1)
    axes.set_xticks(x, [str(name) for name in lines["resolution"]])
    axes.set_xlim(-0.6, x[-1] + 0.6)
    axes.grid(axis="x", visible=False)
    axes.yaxis.set_major_locator(MaxNLocator(6))
    axes.set_xlabel("resolution R", labelpad=3)
    axes.set_ylabel("points")


def _draw_legend(figure: Figure, height: float, floored: bool) -> None:
    handles = [
        (Patch(color=GAIN), "gain by calls"),
        (Patch(color=HARM), "harm by calls"),
        (Line2D([], [], color="black", marker="o", mfc="white", ms=3.6), "worth: gain minus harm"),
        *([(Patch(fill=False, edgecolor=DARK, ls=(0, (2, 1))), "noise alone")] if floored else []),
    ]
    figure.legend(
        [handle for handle, _ in handles], [name for _, name in handles], loc="upper left", ncols=4, columnspacing=1.2,
        bbox_to_anchor=(LEFT_IN / WIDTH_IN, 1 - 0.24 / height),
    )  # fmt: skip
