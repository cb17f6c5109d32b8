"""How often a run zoomed: a histogram per resolution, split by what came of it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MultipleLocator, NullLocator

from ...core.records import Stop
from ..names import resolution_order
from .style import LINE_IN, NAME_PT, NOTE_PT, WIDTH_IN, blank, drawable, fit, style, wrap, write_note

PANEL_IN, NAME_IN, LEFT_IN, RIGHT_IN, BOTTOM_IN = 0.95, 0.4, 0.62, 0.1, 0.5

OUTCOMES = (
    ("correct", "right", "#004488", ""),
    ("wrong", "wrong", "#f2b48a", ""),
    ("unscored", "unscored", "#ffffff", "....."),
)
"""Verdict, name, fill and hatch, from the bottom of a bar."""


def counts_figure(rows: pd.DataFrame, *, benchmark: str, caveats: Sequence[str] = ()) -> Figure:
    """Fraction of a resolution's rows by number of zooms; a line of panels per run that ever zoomed (or of all if none did)."""
    rows = rows[(rows["benchmark"] == benchmark) & rows["stop"].notna() & (rows["stop"] != Stop.ERROR.value)]
    zooming = [run for run in dict.fromkeys(rows["run"]) if (rows.loc[rows["run"] == run, "zooms"] > 0).any()]
    runs = zooming or list(dict.fromkeys(rows["run"]))
    left_out = [drawable(run) for run in dict.fromkeys(rows["run"]) if run not in runs]
    text = (
        f"{benchmark}: share of each resolution's rows by number of zooms; rollouts that the engine broke off are left out."
        + (f" Never zoomed: {', '.join(left_out)}." if left_out else "")
        + (f" Note: {'; '.join(caveats)}." if caveats else "")
    )
    names = resolution_order(rows["resolution"])
    most = int(rows["zooms"].max()) if len(rows) else 0
    tallest = _tallest(rows[rows["run"].isin(runs)])
    with style():
        note = wrap(text, WIDTH_IN - LEFT_IN - RIGHT_IN, NOTE_PT)
        top = 0.2
        height = top + max(1, len(runs)) * (PANEL_IN + NAME_IN) + BOTTOM_IN + LINE_IN * len(note)
        figure = blank(height)
        for i, run in enumerate(runs):
            floor = height - top - (i + 1) * (PANEL_IN + NAME_IN)
            width = (WIDTH_IN - LEFT_IN - RIGHT_IN) / len(names)
            figure.text(
                LEFT_IN / WIDTH_IN,
                (floor + PANEL_IN + 0.18) / height,
                fit(drawable(run), 5.2, NAME_PT),
                fontsize=NAME_PT,
                va="bottom",
            )
            for k, name in enumerate(names):
                place = ((LEFT_IN + k * width) / WIDTH_IN, floor / height, 0.9 * width / WIDTH_IN, PANEL_IN / height)
                axes = figure.add_axes(place)
                _draw_panel(axes, rows[(rows["run"] == run) & (rows["resolution"] == name)], most, tallest)
                axes.set_title(str(name), fontsize=7, pad=2)
                axes.tick_params(labelbottom=i == len(runs) - 1, labelleft=k == 0)
                if k == 0:
                    axes.set_ylabel("rows (%)")
        foot = (height - top - len(runs) * (PANEL_IN + NAME_IN) - 0.4) / height
        figure.text((LEFT_IN + (WIDTH_IN - LEFT_IN) / 2) / WIDTH_IN, foot, "zooms", ha="center", va="bottom", fontsize=8)
        _draw_legend(figure, height, rows)
        write_note(figure, note, LEFT_IN)
    return figure


def _tallest(rows: pd.DataFrame) -> float:
    """Where the panels' axis ends, percent: the next 25 above every bar."""
    shares = rows.groupby(["run", "resolution"])["zooms"].value_counts(normalize=True)
    return min(100.0, 25.0 * math.ceil(4 * float(shares.max()))) if len(shares) else 100.0


def _draw_panel(axes: Axes, rows: pd.DataFrame, most: int, top: float) -> None:
    bottom = [0.0] * (most + 1)
    for verdict, _, fill, hatch in OUTCOMES:
        counts = rows[rows["verdict"] == verdict]["zooms"].value_counts()
        shares = [100 * int(counts.get(k, 0)) / max(1, len(rows)) for k in range(most + 1)]
        axes.bar(range(most + 1), shares, bottom=bottom, width=0.8, color=fill, hatch=hatch, edgecolor="#4d4d4d", lw=0.4)
        bottom = [a + b for a, b in zip(bottom, shares, strict=True)]
    axes.set_ylim(0, top)
    axes.set_xlim(-0.6, max(1, most) + 0.6)
    axes.yaxis.set_major_locator(MultipleLocator(25 if top <= 75 else 50))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_locator(MultipleLocator(1 if most <= 4 else 2 if most <= 8 else 5))
    axes.grid(axis="x", visible=False)


def _draw_legend(figure: Figure, height: float, rows: pd.DataFrame) -> None:
    present = [outcome for outcome in OUTCOMES if (rows["verdict"] == outcome[0]).any()]
    handles = [Patch(facecolor=fill, hatch=hatch, edgecolor="#4d4d4d", lw=0.4) for _, _, fill, hatch in present]
    if handles:
        names = [name for _, name, _, _ in present]
        figure.legend(handles, names, loc="upper left", bbox_to_anchor=(LEFT_IN / WIDTH_IN, 1 - 0.06 / height), ncols=3)
