"""Accuracy against the size at which the target is shown: where a model stops seeing, whatever the resolution."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from ...core.records import Stop
from ...stats import Clusters, accuracy_interval
from .style import DARK, LABEL_PT, LINE_IN, NAME_PT, NOTE_PT, WIDTH_IN, blank, drawable, fit, look, style, wrap, write_note

PANEL_IN, LEFT_IN, RIGHT_IN, BOTTOM_IN = 2.3, 0.62, 0.2, 0.52
LEAST = 5
"""Fewest distinct rows of a point."""
SMALLEST = 3
"""log2 of the side where the first bin ends, px: smaller targets are all as good as unseen."""


def size_figure(rows: pd.DataFrame, *, benchmark: str, caveats: Sequence[str] = ()) -> Figure | None:
    """Accuracy over the side of one target in the shown image, all resolutions pooled; None where no row has boxes."""
    rows = rows[(rows["benchmark"] == benchmark) & rows["correct"].notna() & (rows["stop"] != Stop.ERROR.value)]
    rows = rows[(rows["targets"].fillna(0) > 0) & (rows["target_px"] > 0)].drop_duplicates(["run", "trajectory"])
    if rows.empty:
        return None
    side = np.sqrt(rows["target_px"] / rows["targets"].astype(float))
    rows = rows.assign(bin=np.floor(np.log2(side)).clip(lower=SMALLEST - 1).astype(int))
    runs = [(drawable(name), _points(run)) for name, run in rows.groupby("run", sort=False)]
    text = (
        f"{benchmark}: scored rows with annotated boxes, each trajectory once, pooled over the resolutions by the side of a target in the "
        f"shown image (root of its area); points of fewer than {LEAST} rows are excluded; n: of the first run. Bars: 95% intervals (clustered Wilson over "
        "images, Wilson where a point has each image once)." + (f" Note: {'; '.join(caveats)}." if caveats else "")
    )
    with style():
        note = wrap(text, WIDTH_IN - LEFT_IN - RIGHT_IN, NOTE_PT)
        top = 0.1 + 0.17 * len(runs)
        height = top + PANEL_IN + BOTTOM_IN + LINE_IN * len(note)
        figure = blank(height)
        place = (LEFT_IN / WIDTH_IN, 1 - (top + PANEL_IN) / height, 1 - (LEFT_IN + RIGHT_IN) / WIDTH_IN, PANEL_IN / height)
        axes = figure.add_axes(place)
        for i, (name, points) in enumerate(runs):
            _draw_run(axes, i, len(runs), fit(name, WIDTH_IN - LEFT_IN - 0.8, NAME_PT), points)
        _set_axes(axes, sorted(set(rows["bin"])))
        anchor = (LEFT_IN / WIDTH_IN, 1 - 0.06 / height)
        figure.legend(*axes.get_legend_handles_labels(), loc="upper left", bbox_to_anchor=anchor, labelspacing=0.35)
        write_note(figure, note, LEFT_IN)
    return figure


def _points(run: pd.DataFrame) -> pd.DataFrame:
    """One line per bin with enough rows: `bin`, `n`, `acc` and its interval."""
    lines = []
    for number, part in run.groupby("bin"):
        if len(part) >= LEAST:
            clusters = Clusters.of(part["correct"], part["cluster"])
            low, high = accuracy_interval(clusters)
            lines.append({"bin": number, "n": len(part), "acc": clusters.estimate, "low": low, "high": high})
    return pd.DataFrame(lines, columns=["bin", "n", "acc", "low", "high"])


def _draw_run(axes: Axes, i: int, runs: int, name: str, points: pd.DataFrame) -> None:
    x = points["bin"] + 0.5 + 0.09 * (i - (runs - 1) / 2)
    y = 100 * points["acc"]
    error = [(y - 100 * points["low"]).clip(lower=0), (100 * points["high"] - y).clip(lower=0)]
    axes.errorbar(x, y, yerr=error, elinewidth=0.9, capthick=0.9, label=name, zorder=3, clip_on=False, **look(i))
    if i == 0:
        for at, n in zip(points["bin"], points["n"], strict=True):
            axes.annotate(f"n={n:,}", xy=(at + 0.5, 0.0), xycoords=("data", "axes fraction"), xytext=(0, 2.5), textcoords="offset points",
                          fontsize=LABEL_PT - 0.8, color=DARK, ha="center", va="bottom")  # fmt: skip


def _set_axes(axes: Axes, bins: Sequence[int]) -> None:
    low, high = bins[0], bins[-1] + 1
    axes.set_xlim(low, high)
    axes.set_ylim(-11, 100)  # the strip below 0 holds n
    axes.yaxis.set_major_locator(FixedLocator([0, 20, 40, 60, 80, 100]))
    axes.xaxis.set_major_locator(FixedLocator(list(range(low, high + 1))))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda tick, _: "0" if tick < SMALLEST else f"{math.pow(2, tick):g}"))
    axes.set_xlabel("side of one target in the shown image (px)", labelpad=3)
    axes.set_ylabel("accuracy (%)")
