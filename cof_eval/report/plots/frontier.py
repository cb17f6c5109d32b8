"""The frontier: accuracy against what it costs in tokens, a point per resolution and run."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from ..names import OVERALL
from .style import (
    DARK,
    LABEL_PT,
    LINE_IN,
    NAME_PT,
    NOTE_PT,
    WIDTH_IN,
    blank,
    count,
    drawable,
    fit,
    interval_names,
    look,
    style,
    wrap,
    write_note,
)

PANEL_IN, LEFT_IN, RIGHT_IN, BOTTOM_IN = 2.7, 0.62, 0.2, 0.52


def frontier_figure(sweep: pd.DataFrame, *, benchmark: str, caveats: Sequence[str] = ()) -> Figure:
    """Accuracy with its interval over the mean of text and visual tokens per question; a run's points joined by resolution."""
    sweep = sweep[(sweep["benchmark"] == benchmark) & (sweep["category"] == OVERALL) & (sweep["n"] > 0)]
    sweep = sweep.assign(tokens=sweep["output_tokens"] + sweep["visual_tokens"])
    runs = [(drawable(name), run[run["tokens"] > 0]) for name, run in sweep.groupby("run", sort=False)]
    text = (
        f"{benchmark}: a point per resolution. Tokens are the generated ones and the visual tokens of every image once, mean per "
        f"question. Bars: 95% intervals ({interval_names(sweep)})." + (f" Note: {'; '.join(caveats)}." if caveats else "")
    )
    with style():
        note = wrap(text, WIDTH_IN - LEFT_IN - RIGHT_IN, NOTE_PT)
        top = 0.1 + 0.17 * len(runs)
        height = top + PANEL_IN + BOTTOM_IN + LINE_IN * len(note)
        figure = blank(height)
        place = (LEFT_IN / WIDTH_IN, 1 - (top + PANEL_IN) / height, 1 - (LEFT_IN + RIGHT_IN) / WIDTH_IN, PANEL_IN / height)
        axes = figure.add_axes(place)
        for i, (name, run) in enumerate(runs):
            _draw_run(axes, i, fit(name, WIDTH_IN - LEFT_IN - 0.8, NAME_PT), run)
        _set_axes(axes, [float(value) for _, run in runs for value in run["tokens"]])
        _name_points(figure, axes, runs)
        if runs:
            anchor = (LEFT_IN / WIDTH_IN, 1 - 0.06 / height)
            figure.legend(*axes.get_legend_handles_labels(), loc="upper left", bbox_to_anchor=anchor, labelspacing=0.35)
        write_note(figure, note, LEFT_IN)
    return figure


def _draw_run(axes: Axes, i: int, name: str, run: pd.DataFrame) -> None:
    y = 100 * run["acc"]
    error = [(y - 100 * run["acc_low"]).clip(lower=0), (100 * run["acc_high"] - y).clip(lower=0)]
    axes.errorbar(run["tokens"], y, yerr=error, elinewidth=0.7, capthick=0.7, label=name, zorder=3, clip_on=False, **look(i))


def _set_axes(axes: Axes, tokens: list[float]) -> None:
    axes.set_xscale("log")
    low, high = (min(tokens), max(tokens)) if tokens else (10.0, 1000.0)
    axes.set_xlim(low / 1.35, high * 1.35)
    axes.set_ylim(0, 100)
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_locator(LogLocator(10, subs=(1.0,) if high / low > 300 else (1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: count(value)))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("tokens / question (text and visual)", labelpad=3)
    axes.set_ylabel("accuracy (%)")


def _name_points(figure: Figure, axes: Axes, runs: Sequence[tuple[str, pd.DataFrame]]) -> None:
    """Each point's resolution above or below its bar, runs in turn; a name that would touch another is left out."""
    figure.draw_without_rendering()
    taken: list[tuple[float, float]] = []
    for i, (_, run) in enumerate(runs):
        above = i % 2 == 0
        for line in run.to_dict("records"):
            height = 100 * float(line["acc_high" if above else "acc_low"])
            x, y = map(float, axes.transData.transform((line["tokens"], height)))
            y += (10 if above else -10) * figure.dpi / 72
            near = 0.2 * figure.dpi
            if all(math.hypot((x - a) / 1.3, y - b) > near for a, b in taken):
                taken.append((x, y))
                axes.annotate(
                    str(line["resolution"]),
                    xy=(line["tokens"], height),
                    xytext=(0, 3 if above else -3),
                    textcoords="offset points",
                    fontsize=LABEL_PT - 0.6,
                    color=look(i)["color"] if i else DARK,
                    ha="center",
                    va="bottom" if above else "top",
                    annotation_clip=False,
                    zorder=4,
                )
