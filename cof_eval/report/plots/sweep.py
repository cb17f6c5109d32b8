"""The sweep figure: accuracy, zooms and tokens against resolution, for several runs and published curves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

from ...core.errors import UsageError
from ...core.resolution import SIDES, SWEEP, parse_resolution
from ..names import OVERALL
from ..published import PUBLISHED_COLUMNS
from .style import (
    FAINT,
    GREY,
    LABEL_PT,
    LINE_IN,
    MARGIN_IN,
    NAME_PT,
    NOTE_PT,
    WIDTH_IN,
    blank,
    count,
    drawable,
    fit,
    inches,
    interval_names,
    look,
    spread,
    style,
    wrap,
    write_note,
)

PANEL_IN = (2.35, 1.1, 1.55)
"""Heights of the accuracy, zooms and tokens panels, inches."""
GAP_IN, LEFT_IN, TOP_IN, BOTTOM_IN = 0.15, 0.62, 0.1, 0.5
"""Between panels; left of them, above and below, inches."""

LABEL_IN = 1.4
"""Widest label next to a curve, inches."""

PUBLISHED_LOOK: dict[str, Any] = {"color": GREY, "lw": 0.8, "marker": "o", "ms": 1.6}
DASHES = ("solid", (0, (5, 2)), (0, (1, 1.4)), (0, (6, 2, 1, 2)))
"""Of the published curves, which are all grey."""
TOKEN_LOOKS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("visual", "visual_tokens", {"ls": "solid"}),
    ("text", "output_tokens", {"ls": (0, (2.2, 1.4)), "ms": 3.4}),
)
"""Name, column and look of the two kinds of tokens."""
LEAST_OCTAVES = 0.16
"""Distance between two named resolutions below which their names would overlap."""
DODGE_OCTAVES = 0.06
"""Distance between two runs at one resolution, so that their intervals do not hide each other."""


@dataclass(frozen=True, slots=True)
class EndLabel:
    """A label in the right margin, next to the end of its curve."""

    text: str
    color: str
    x: float
    y: float


def sweep_figure(
    sweep: pd.DataFrame,
    published: pd.DataFrame | None = None,
    *,
    benchmark: str | None = None,
    chance: float | None = None,
    caveats: Sequence[str] = (),
) -> Figure:
    """Three panels over one logarithmic axis of the eight resolutions and any others of the runs; `native` is not drawn.

    Args:
        sweep: as of `sweep_table`, of one or several runs one after the other.
        published: figures of others, drawn thin and grey.
        benchmark: which to draw; the first one by default.
        chance: fraction right by guessing, drawn as a level.
        caveats: sentences for the note under the panels, after n and the kind of interval.
    """
    benchmark = benchmark or next(iter(sweep["benchmark"]), "")
    sweep = sweep[(sweep["benchmark"] == benchmark) & (sweep["category"] == OVERALL)]
    sweep = sweep[sweep["resolution"].map(_side).notna()]
    runs = [(drawable(name), run) for name, run in sweep.groupby("run", sort=False) if run["n"].any()]
    curves = _published_curves(published, benchmark)
    with style():
        return _draw(runs, curves, chance, wrap(_note(benchmark, sweep, caveats), WIDTH_IN - LEFT_IN - MARGIN_IN, NOTE_PT))


def _draw(
    runs: list[tuple[str, pd.DataFrame]], curves: dict[tuple[str, str], pd.DataFrame], chance: float | None, note: list[str]
) -> Figure:
    names = [name for name, _ in runs] + (["published by others, in other harnesses"] if curves else [])
    columns = 2 if all(inches(name, NAME_PT) < WIDTH_IN / 2 - LEFT_IN for name in names) else 1
    models = list(dict.fromkeys(model for _, model in curves))
    top = TOP_IN + 0.17 * math.ceil(len(names) / columns)
    height = top + sum(PANEL_IN) + 2 * GAP_IN + BOTTOM_IN + LINE_IN * len(note)
    figure = blank(height)
    beside = ["visual", "chance 00%", *(fit(model, LABEL_IN, LABEL_PT) for model in models)]
    right = 0.12 + MARGIN_IN + max(inches(text, LABEL_PT) for text in beside)
    accuracy, zooms, tokens = _panels(figure, height, top, right, _ticks(runs))
    labels = [
        _draw_accuracy(accuracy, runs, chance) + _draw_published(accuracy, curves, "acc", models),
        _draw_published(zooms, curves, "zooms", models),
        _draw_tokens(tokens, runs),
    ]
    _draw_zooms(zooms, runs)
    for axes, ends in zip((accuracy, zooms, tokens), labels, strict=True):
        _place_labels(axes, ends)
    _draw_legend(figure, height, names, columns=columns, runs=len(runs))
    write_note(figure, note, LEFT_IN)
    if not runs:
        accuracy.text(0.5, 0.15, "no results yet", transform=accuracy.transAxes, ha="center", va="center", color=GREY)
    return figure


def _side(name: str) -> int | None:
    """Where a resolution stands on the axis, px; None for `native` and for names that are none."""
    try:
        return parse_resolution(name).side
    except UsageError:
        return None


def _ticks(runs: list[tuple[str, pd.DataFrame]]) -> list[int]:
    """The sides that the axis names: those of the runs, and those of the eight whose names do not stand in their way."""
    found = {side for _, run in runs for side in map(_side, run["resolution"]) if side}
    eight = {resolution.side or 0 for resolution in SWEEP}
    apart = {side for side in eight if all(abs(math.log2(side / other)) > LEAST_OCTAVES for other in found - eight)}
    return sorted(found | apart)


def _panels(figure: Figure, height: float, top: float, right: float, sides: list[int]) -> list[Axes]:
    """Three axes below each other, aligned, with the resolutions named under the last."""
    axes: list[Axes] = []
    for i, panel in enumerate(PANEL_IN):
        top += panel + (GAP_IN if i else 0)
        place = (LEFT_IN / WIDTH_IN, 1 - top / height, 1 - (LEFT_IN + right) / WIDTH_IN, panel / height)
        axes.append(figure.add_axes(place, sharex=axes[0] if axes else None))
        axes[-1].tick_params(labelbottom=i == len(PANEL_IN) - 1)
    axes[0].set_xscale("log", base=2)
    axes[0].set_xlim(sides[0] / 1.12, sides[-1] * 1.12)
    for panel_axes in axes:
        panel_axes.xaxis.set_major_locator(FixedLocator(sides))
        panel_axes.xaxis.set_minor_locator(NullLocator())
        panel_axes.xaxis.set_major_formatter(FuncFormatter(lambda side, _: _resolution_name(side)))
    for panel_axes, text in zip(axes, ("accuracy (%)", "zooms / question", "tokens / question"), strict=True):
        panel_axes.set_ylabel(text)
        panel_axes.yaxis.set_label_coords(-0.4 / (WIDTH_IN - LEFT_IN - right), 0.5)
    axes[-1].set_xlabel("resolution R (the shown image has at most R×R pixels)", labelpad=3)
    return axes


def _resolution_name(side: float) -> str:
    return parse_resolution(round(side)).name if round(side) in SIDES else ""


def _draw_accuracy(axes: Axes, runs: list[tuple[str, pd.DataFrame]], chance: float | None) -> list[EndLabel]:
    axes.set_ylim(0, 100)
    axes.yaxis.set_major_locator(MaxNLocator(5))
    for i, (name, run) in enumerate(runs):
        x, own = _x(run, i, len(runs)), look(i)
        loose = run["unscored"] > 0
        axes.plot(x[loose], 100 * run["acc_upper"][loose], ls="none", marker="_", ms=7, color=own["color"], label="upper bound")
        _draw_means(axes, x, run, "acc", 100.0, label=name, clip_on=False, **own)
    if chance is None:
        return []
    axes.axhline(100 * chance, color=FAINT, lw=0.9, ls=(0, (1, 1.5)), zorder=1, label="chance")
    return [EndLabel(f"chance {100 * chance:.0f}%", GREY, axes.get_xlim()[1], 100 * chance)]


def _draw_zooms(axes: Axes, runs: list[tuple[str, pd.DataFrame]]) -> None:
    for i, (name, run) in enumerate(runs):
        _draw_means(axes, _x(run, i, len(runs)), run, "zooms", 1.0, label=name, **look(i))
    top = max(1.0, float(axes.dataLim.y1))
    axes.set_ylim(-0.06 * top, 1.12 * top)
    axes.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]))


def _draw_tokens(axes: Axes, runs: list[tuple[str, pd.DataFrame]]) -> list[EndLabel]:
    axes.set_yscale("log")
    ends = []
    for i, (name, run) in enumerate(runs):
        x, own = _x(run, i, len(runs)), look(i)
        for kind, column, kind_look in TOKEN_LOOKS:
            known = run[run[column] > 0]
            _draw_means(axes, x[run[column] > 0], known, column, 1.0, label=f"{name}: {kind}", **own, **kind_look)
            if len(known):
                ends.append(EndLabel(kind, own["color"], float(x[known.index[-1]]), float(known[column].iloc[-1])))
    values = [float(value) for _, run in runs for column in ("visual_tokens", "output_tokens") for value in run[column]]
    values = [value for value in values if value > 0] or [10.0, 1000.0]
    axes.set_ylim(min(values) / 1.8, max(values) * 1.8)
    wide = max(values) / min(values) > 100
    axes.yaxis.set_major_locator(LogLocator(10, subs=(1.0,) if wide else (1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: count(value)))
    axes.yaxis.set_minor_formatter(NullFormatter())
    return ends


def _draw_means(axes: Axes, x: pd.Series, run: pd.DataFrame, column: str, scale: float, **look: Any) -> None:
    """One curve of means with their intervals; a mean without an interval is a point."""
    y = scale * run[column].astype(float)
    below, above = y - scale * run[f"{column}_low"], scale * run[f"{column}_high"] - y
    axes.errorbar(x, y, yerr=[below.clip(lower=0), above.clip(lower=0)], elinewidth=0.9, capthick=0.9, zorder=3, **look)


def _published_curves(published: pd.DataFrame | None, benchmark: str) -> dict[tuple[str, str], pd.DataFrame]:
    """The published sweeps of a benchmark by metric and model: two points or more."""
    table = pd.DataFrame(columns=list(PUBLISHED_COLUMNS)) if published is None else published
    sides = {resolution.name: resolution.side for resolution in SWEEP}
    table = table[(table["benchmark"] == benchmark) & (table["category"] == OVERALL) & table["resolution"].isin(list(sides))]
    table = table.assign(side=[sides[name] for name in table["resolution"]]).sort_values("side")
    curves = {(metric, drawable(model)): part for (metric, model), part in table.groupby(["metric", "model"], sort=False)}
    return {key: part for key, part in curves.items() if part["resolution"].nunique() > 1}


def _draw_published(axes: Axes, curves: dict[tuple[str, str], pd.DataFrame], metric: str, models: list[str]) -> list[EndLabel]:
    ends = []
    for (measured, model), part in curves.items():
        if measured == metric:
            dashes = DASHES[models.index(model) % len(DASHES)]
            axes.plot(part["side"], part["value"], label=f"{model} (published)", zorder=2, ls=dashes, **PUBLISHED_LOOK)
            ends.append(
                EndLabel(fit(model, LABEL_IN, LABEL_PT), GREY, float(part["side"].iloc[-1]), float(part["value"].iloc[-1]))
            )
    return ends


def _place_labels(axes: Axes, ends: list[EndLabel]) -> None:
    """Labels in the right margin, moved apart where they would overlap, each led to by a hairline."""
    to_axes = axes.transData + axes.transAxes.inverted()
    wide, points = (72 * float(side) / axes.figure.dpi for side in axes.bbox.size)
    places = [tuple(map(float, to_axes.transform((end.x, end.y)))) for end in ends]
    heights = spread([y * points for _, y in places], gap=9.0, low=3.0, high=points - 3.0)
    for end, (x, y), height in zip(ends, places, heights, strict=True):
        axes.annotate(
            end.text,
            xy=(1.0, height / points),
            xycoords="axes fraction",
            xytext=(5, 0),
            textcoords="offset points",
            color=end.color if end.color != GREY else "#6b6b6b",
            fontsize=LABEL_PT,
            va="center",
            ha="left",
            annotation_clip=False,
        )
        axes.plot(
            [x, 1.0, 1.0 + 3.5 / wide],
            [y, height / points, height / points],
            transform=axes.transAxes,
            color=FAINT,
            lw=0.6,
            ls=(0, (1, 2)),
            clip_on=False,
            zorder=1,
            label="_lead",
        )


def _draw_legend(figure: Figure, height: float, names: list[str], *, columns: int, runs: int) -> None:
    """Names of the runs and, after them, of the published curves."""
    if names:
        handles = [Line2D([], [], **(look(i) if i < runs else PUBLISHED_LOOK)) for i in range(len(names))]
        texts = [fit(name, WIDTH_IN - LEFT_IN - 0.5, NAME_PT) for name in names]
        place = (LEFT_IN / WIDTH_IN, 1 - 0.06 / height)
        figure.legend(handles, texts, loc="upper left", bbox_to_anchor=place, ncols=columns, labelspacing=0.35)


def _note(benchmark: str, sweep: pd.DataFrame, caveats: Sequence[str]) -> str:
    """What the figure shows in one sentence, and what its reader must know."""
    counts = sorted({int(n) for n in sweep["n"] if n})
    n = f"{counts[0]}–{counts[-1]}" if len(counts) > 1 else str(counts[0] if counts else 0)
    parts = [
        f"{benchmark or 'no benchmark'}: n = {n} per resolution. Bars: 95% intervals (accuracy: {interval_names(sweep)}; zooms, tokens: t)."
    ]
    parts.append("Text tokens are the generated ones; visual tokens count each image once.")
    if (sweep["unscored"] > 0).any():
        parts.append("Inner tick: accuracy if every unscored answer were right; the bar holds either way.")
    if caveats:
        parts.append(f"Note: {'; '.join(caveats)}.")
    return " ".join(parts)


def _x(run: pd.DataFrame, i: int, runs: int) -> pd.Series:
    sides = run["resolution"].map(_side).astype(float)
    return sides * 2 ** (DODGE_OCTAVES * (i - (runs - 1) / 2))
