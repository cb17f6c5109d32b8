"""The frontier: accuracy against what it costs in tokens, a point per resolution and run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.text import Annotation
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter
from matplotlib.transforms import Bbox

from ..names import OVERALL, resolution_order
from .style import (
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
        _set_axes(axes, pd.concat([run for _, run in runs]) if runs else sweep)
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


def _set_axes(axes: Axes, points: pd.DataFrame) -> None:
    tokens = [float(value) for value in points["tokens"]]
    axes.set_xscale("log")
    low, high = (min(tokens), max(tokens)) if tokens else (10.0, 1000.0)
    axes.set_xlim(low / 1.35, high * 1.35)
    floor = max(0.0, min([90.0, *(10 * ((100 * float(low) - 6) // 10) for low in points["acc_low"])]))
    axes.set_ylim(floor if floor else -8.0, 100)
    axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_locator(LogLocator(10, subs=(1.0,) if high / low > 300 else (1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: count(value)))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("tokens / question (text and visual)", labelpad=3)
    axes.set_ylabel("accuracy (%)")


def _name_points(figure: Figure, axes: Axes, runs: Sequence[tuple[str, pd.DataFrame]]) -> None:
    """The resolutions of each run's points, above or below their bars; neighbours that touch share a name.

    Where several runs crowd, a name goes to the other side, or is excluded; the ends of each curve are named first.
    """
    figure.draw_without_rendering()
    names = [
        _Name(resolution_order(group["resolution"]), group, i)
        for i, (_, run) in enumerate(runs)
        for group in _touching(axes, run.sort_values("tokens"), 0.26 * figure.dpi)
    ]
    taken: list[Bbox] = []
    for name in sorted(names, key=lambda name: not name.ends_its_run(runs[name.run][1])):
        for above in (name.run % 2 == 0, name.run % 2 == 1):
            text = _write_name(axes, name, above)
            place = text.get_window_extent()
            if not any(place.overlaps(other) for other in taken):
                taken.append(place)
                break
            text.remove()


@dataclass(frozen=True, slots=True)
class _Name:
    """The name of one point, or of several that touch."""

    resolutions: list[str]
    points: pd.DataFrame
    run: int

    def ends_its_run(self, run: pd.DataFrame) -> bool:
        """Whether it names the first or the last resolution of its run."""
        order = resolution_order(run["resolution"])
        return order[0] in self.resolutions or order[-1] in self.resolutions


def _write_name(axes: Axes, name: _Name, above: bool) -> Annotation:
    first, last, points = name.resolutions[0], name.resolutions[-1], name.points
    height = 100 * float(points["acc_high"].max() if above else points["acc_low"].min())
    return axes.annotate(
        first if first == last else f"{first}–{last}",
        xy=(float(points["tokens"].mean()), height),
        xytext=(0, 2.5 if above else -2.5),
        textcoords="offset points",
        fontsize=LABEL_PT - 0.6,
        color=look(name.run)["color"],
        ha="center",
        va="bottom" if above else "top",
        annotation_clip=False,
        zorder=5,
        path_effects=[withStroke(linewidth=1.8, foreground="white")],
    )


def _touching(axes: Axes, run: pd.DataFrame, gap: float) -> Iterator[pd.DataFrame]:
    """Points in groups whose names would overlap: neighbours less than `gap` pixels apart."""
    x = pd.Series([float(axes.transData.transform((tokens, 0.0))[0]) for tokens in run["tokens"]], index=run.index)
    yield from (group for _, group in run.groupby((x.diff() > gap).cumsum()))
