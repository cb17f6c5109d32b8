"""Where a run looked, summed up by resolution: how large targets were, and whether zooms found them."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from ..core.records import Stop
from ..stats import Clusters, accuracy_interval
from .call_targets import Place
from .names import resolution_order

TARGET_COLUMNS = (
    *("run", "benchmark", "resolution", "n", "target_side", "best_target_side", "coverage", "iou"),
    *("zoomed", "found", "found_low", "found_high", "first_useful_zoom"),
    *("right_not_zoomed", "wrong_not_zoomed", "right_target", "wrong_target", "right_elsewhere", "wrong_elsewhere"),
)
"""Columns of the looking table, over the scored rows of questions with annotated boxes.

`target_side` is the median side of one target in the shown image, `best_target_side` that in the best crop of the zoomed rows, px (the
root of its area); `coverage`, `iou` and `first_useful_zoom` are means over zoomed rows; `found` is the fraction of zoomed rows with a useful
zoom, with its 95% interval. The last six count rows by verdict and place: `right_elsewhere` is "right answer, wrong place".
"""


def target_summary(rows: pd.DataFrame) -> pd.DataFrame:
    """One line per run, benchmark and resolution of a rows table that has questions with boxes."""
    boxed = rows[(rows["targets"].fillna(0) > 0) & rows["correct"].notna() & (rows["stop"] != Stop.ERROR.value)]
    lines = []
    for (run, benchmark), part in boxed.groupby(["run", "benchmark"], sort=False):
        for name in resolution_order(part["resolution"]):
            lines.append({"run": run, "benchmark": benchmark, "resolution": name, **_line(part[part["resolution"] == name])})
    return pd.DataFrame(lines, columns=list(TARGET_COLUMNS))


def _line(rows: pd.DataFrame) -> dict[str, Any]:
    zoomed = rows[rows["place"] != Place.NOT_ZOOMED]
    found = Clusters.of(zoomed["place"] == Place.TARGET, zoomed["cluster"])
    low, high = accuracy_interval(found) if len(zoomed) else (math.nan, math.nan)
    counts = {
        f"{verdict}_{place.value.replace(' ', '_')}": int(((rows["correct"] == worth) & (rows["place"] == place)).sum())
        for place in Place
        for verdict, worth in (("right", 1), ("wrong", 0))
    }
    return {
        "n": len(rows),
        "target_side": _side(rows["target_px"], rows["targets"]),
        "best_target_side": _side(zoomed["best_target_px"], zoomed["targets"]),
        "coverage": float(zoomed["coverage"].mean()),
        "iou": float(zoomed["iou"].mean()),
        "zoomed": len(zoomed),
        "found": found.estimate,
        "found_low": low,
        "found_high": high,
        "first_useful_zoom": float(zoomed["first_useful_zoom"].astype(float).mean()),
        **counts,
    }


def _side(pixels: pd.Series, targets: pd.Series) -> float:
    return math.sqrt(float((pixels / targets.astype(float)).median())) if len(pixels) else math.nan
