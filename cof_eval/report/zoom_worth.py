"""What zooming is worth: a run that zooms against direct answers to the same questions, by resolution.

Each question has one or more *direct samples*: repeats of a baseline that samples, other option orders of one that does not, or
several runs of the same baseline. `stats.zoom_value` has the terms; everything is made from rows tables, of old runs too.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from ..agent.protocols import Crops
from ..core.image_view import ImageView
from ..core.records import Stop, digest
from ..stats import Answers, Clusters, Interval, accuracy_interval, mean_over, need_correlation, paired_interval, ratio_interval
from ..stats.intervals import UNKNOWN
from .compare import never_zooms
from .names import MEAN, resolution_order
from .pairs import PAIR
from .rows import UNANSWERABLE

if TYPE_CHECKING:
    from .report_run import ReportRun

TERMS = ("call_gain", "call_harm", "still_gain", "still_harm")
"""Direct wrong or right, zoomed or not, and the other way round."""
RATIOS = ("helpful", "harmful", "precision", "recall", "f1")
"""Of zoomed rows: direct was wrong and the run is right, and the reverse. Zooms as a guess of what direct gets wrong."""

WORTH_COLUMNS = (
    *("run", "baseline", "same_checkpoint", "benchmark", "resolution", "n", "clusters", "unscored"),
    *("samples", "two_samples", "net", "net_low", "net_high"),
    *(f"{term}{side}" for term in TERMS for side in ("", "_low", "_high")),
    *("call_floor", "still_floor", "zoomed", "only_with_tool"),
    *(f"{ratio}{side}" for ratio in RATIOS for side in ("", "_low", "_high")),
    *("mcc", "mcc_low", "mcc_high"),
)
"""Columns of the worth table. `n` questions are scored on both sides. `net` is gain minus harm by calls: what zooming is worth.

`call_gain`: direct is wrong, the run zooms and is right; `call_harm`: direct is right, it zooms and is wrong; `still_…` the same
without a zoom. `call_floor` and `still_floor` are what a placebo that answers as often right would gain, and harm, of the
`two_samples` questions with two direct samples or more; NaN without any. `only_with_tool` counts questions that no direct sample solves and the run solves with a zoom. `mcc` is
the correlation of zooms with need of the same questions, corrected for the noise of samples; NaN where that cannot be done, and for means."""


_WHOLE = ("", ImageView.FULL)
"""Views of the whole image; runs of earlier versions do not name it."""


def zooming_beside_direct(runs: Sequence[ReportRun]) -> list[tuple[ReportRun, list[ReportRun]]]:
    """Each run that zooms, with the runs of its direct baseline: one model and protocol that never zooms.

    Its own checkpoint without the tool goes before another model. Runs with counterfactual crops or parts of images are neither.
    """
    shown = [run for run in runs if _setting(run, "view") in _WHOLE and crops_of(run) == Crops.REAL]
    direct = [run for run in shown if never_zooms(run.rows)]
    found = []
    for run in shown:
        same = [each for each in direct if _checkpoint(each) == _checkpoint(run)] or direct
        if same and (run.rows["zooms"] > 0).any():
            found.append((run, [each for each in direct if _baseline(each) == _baseline(same[0])]))
    return found


def _setting(run: ReportRun, name: str) -> str:
    return str(run.run.settings.get(name) or "")


def _protocol(run: ReportRun) -> Mapping[str, Any]:
    return run.run.settings.get("protocol") or {}


def crops_of(run: ReportRun) -> str:
    """Which crops a run gave its model: `real`, or a counterfactual."""
    return str(_protocol(run).get("crops") or Crops.REAL)


def _checkpoint(run: ReportRun) -> str:
    model = run.run.settings.get("model") or {}
    return str(model.get("fingerprint") or model.get("pretrained") or "")


def _baseline(run: ReportRun) -> tuple[str, str]:
    return _checkpoint(run), str(_protocol(run).get("name"))


def gaps(runs: Sequence[ReportRun]) -> list[tuple[ReportRun, ReportRun]]:
    """Each run that was shown the annotated target alone (`--view target`), with a run of the same checkpoint that zooms itself."""
    zooming = [run for run, _ in zooming_beside_direct(runs)] or [run for run in runs if _setting(run, "view") in _WHOLE]
    targets = [run for run in runs if _setting(run, "view") == ImageView.TARGET]
    return [(target, run) for target in targets for run in zooming if _checkpoint(run) == _checkpoint(target)]


def same_but_crops(runs: Sequence[ReportRun]) -> list[tuple[ReportRun, list[ReportRun]]]:
    """Each run with real crops, with the runs that differ from it in their crops alone."""
    groups: dict[str, list[ReportRun]] = {}
    for run in runs:
        settings = {name: value for name, value in _protocol(run).items() if name not in ("name", "crops")}
        groups.setdefault(digest(_checkpoint(run), _setting(run, "view"), settings), []).append(run)
    found = [(run, [each for each in group if crops_of(each) != Crops.REAL]) for group in groups.values() for run in group]
    return [(run, others) for run, others in found if crops_of(run) == Crops.REAL and others]


def worth_of(runs: Sequence[ReportRun]) -> list[pd.DataFrame]:
    """The worth table of each run that zooms and has a direct baseline."""
    return [run.worth_next_to(tuple(baselines)) for run, baselines in zooming_beside_direct(runs)]


def worth_table(zooming: ReportRun, baselines: Sequence[ReportRun]) -> pd.DataFrame:
    """A line per benchmark and resolution, then the benchmark's mean, with the columns `WORTH_COLUMNS`.

    Args:
        zooming: the run that zooms.
        baselines: runs of one model without the tool, whose answers are all direct samples.
    """
    answers = question_answers(zooming.rows, [(run.rows, _samples(run)) for run in baselines])
    own = all(_checkpoint(run) == _checkpoint(zooming) for run in baselines)
    place = {"run": zooming.label, "baseline": " and ".join(run.label for run in baselines), "same_checkpoint": own}
    lines = [{**place, **line} for _, part in answers.groupby("benchmark", sort=False) for line in _lines(part)]
    return pd.DataFrame(lines, columns=list(WORTH_COLUMNS))


def _samples(run: ReportRun) -> bool:
    """Whether repeats of a question can differ: greedy decoding repeats itself, so its repeats are one sample."""
    return float(_protocol(run).get("temperature") or 0) > 0


ANSWER_COLUMNS = (*PAIR, "cluster", "direct", "samples", "zoomed", "right", "zoomed_right")
"""Of a question that both sides have: mean and number of direct samples, and means over the zooming run's rows; NaN if unscored."""


def question_answers(zooming: pd.DataFrame, baselines: Sequence[tuple[pd.DataFrame, bool]]) -> pd.DataFrame:
    """One row per question that a zooming run and its baseline both ended, with the columns `ANSWER_COLUMNS`.

    Args:
        zooming: its rows table.
        baselines: rows tables, and whether repeats in them are samples of their own.
    """
    ours = _ended(zooming)
    ours = ours.assign(right=ours["correct"], zoomed=(ours["zooms"] > 0).astype(float))
    ours["zoomed_right"] = ours["zoomed"] * ours["correct"]
    clusters = ours.drop_duplicates(PAIR)[[*PAIR, "cluster"]]
    ours = _known_means(ours, PAIR, ["right", "zoomed", "zoomed_right"]).merge(clusters, on=PAIR)
    samples = [
        _ended(rows).assign(source=i, sample=rows["repeat"] if sampled else 0) for i, (rows, sampled) in enumerate(baselines)
    ]
    theirs = pd.concat(samples).drop_duplicates([*PAIR, "trajectory"])  # equal prompts of two runs are one sample
    each = _known_means(theirs, [*PAIR, "source", "rotation", "sample"], ["correct"])
    direct = each.groupby(PAIR, sort=False, as_index=False).agg(direct=("correct", "mean"), samples=("correct", "count"))
    return ours.merge(direct, on=PAIR)[list(ANSWER_COLUMNS)]


def _known_means(rows: pd.DataFrame, key: list[str], columns: list[str]) -> pd.DataFrame:
    """Means of columns by a key; NaN where one of the values is."""
    known = rows.groupby(key, sort=False)[columns]
    return known.mean().where(known.count().eq(known.size(), axis=0)).reset_index()


def _ended(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[rows["stop"].notna() & (rows["stop"] != Stop.ERROR.value) & (rows["by"] != UNANSWERABLE)]


def _lines(part: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """A benchmark's lines; the mean where it has several resolutions."""
    names = resolution_order(part["resolution"])
    for name in names:
        yield {"resolution": name, **_line(part[part["resolution"] == name])}
    if len(names) > 1:
        yield {"resolution": MEAN, **_line(part)}


def _line(part: pd.DataFrame) -> dict[str, Any]:
    known = part.dropna(subset=["direct", "right", "zoomed_right"])
    two = known[known["samples"] >= 2]
    answers, sampled = _answers(known), _answers(two)
    single, net = known["resolution"].nunique() == 1, _mean(known, answers.net)
    terms: dict[str, float] = {}
    for term in TERMS:
        clusters = _mean(known, getattr(answers, term))
        terms |= _bounded(term, clusters.estimate, _fraction(clusters, len(known)))
    mcc = need_correlation(sampled, two["cluster"]) if single else None
    return {
        "benchmark": part["benchmark"].iloc[0],
        "n": len(known),
        "clusters": int(known["cluster"].nunique()),
        "unscored": len(part) - len(known),
        "samples": float(known["samples"].mean()) if len(known) else math.nan,
        "two_samples": len(two),
        **_bounded("net", net.estimate, paired_interval(net)),
        **terms,
        "call_floor": _mean(two, sampled.call_floor).estimate,
        "still_floor": _mean(two, sampled.still_floor).estimate,
        "zoomed": _mean(known, answers.zoomed).estimate,
        "only_with_tool": float(answers.zoomed_right[answers.direct == 0].sum()),
        **_ratios(known, answers),
        **({"mcc": mcc.value, "mcc_low": mcc.interval.low, "mcc_high": mcc.interval.high} if mcc else {}),
    }


def _answers(known: pd.DataFrame) -> Answers:
    return Answers.of(*(known[name] for name in ("direct", "samples", "zoomed", "right", "zoomed_right")))


def _mean(known: pd.DataFrame, values: Any) -> Clusters:
    return mean_over(values, known["resolution"], known["cluster"])


def _fraction(clusters: Clusters, answers: float) -> Interval:
    """Interval of a fraction of rows; clusters without any say nothing about it."""
    some = clusters.sizes > 0
    return accuracy_interval(Clusters(clusters.sums[some], clusters.sizes[some]), answers=answers) if some.any() else UNKNOWN


def _ratio(clusters: Clusters) -> Interval:
    """Interval of a ratio that is no fraction of rows; unknown where clusters do not vary."""
    return ratio_interval(clusters).within(0.0, 1.0) if clusters.error > 0 else UNKNOWN


def _bounded(name: str, estimate: float, interval: Interval) -> dict[str, float]:
    return {name: estimate, f"{name}_low": interval.low, f"{name}_high": interval.high}


def _ratios(known: pd.DataFrame, answers: Answers) -> dict[str, float]:
    """Rates of calls, and zooms as a guess of need; each resolution weighs the same."""
    weight = 1 / known.groupby("resolution")["resolution"].transform("size").to_numpy(dtype=float)
    need = 1 - answers.direct
    hits = need * answers.zoomed
    parts = {
        "helpful": (answers.call_gain, answers.zoomed),
        "harmful": (answers.call_harm, answers.zoomed),
        "precision": (hits, answers.zoomed),
        "recall": (hits, need),
        "f1": (2 * hits, answers.zoomed + need),
    }
    found: dict[str, float] = {}
    for name, (above, below) in parts.items():
        clusters = Clusters.ratio(weight * above, weight * below, known["cluster"])
        interval = _ratio(clusters) if name == "f1" else _fraction(clusters, float(below.sum()))
        found |= _bounded(name, clusters.estimate, interval)
    return found
