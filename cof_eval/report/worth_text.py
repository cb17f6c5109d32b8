"""What zooming is worth, in words and tables: gain and harm, zooms against need, the zooming gap, and other crops in their place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from ..agent.protocols import Crops
from .headline import Say, difference, p_text
from .names import MEAN, OVERALL
from .report_run import ReportRun
from .sweep_means import with_means
from .text import accuracy, count, escape, mean, percent, points, probability, share, table
from .zoom_worth import crops_of, gaps, same_but_crops, worth_of

WORTH = """\
Rows: questions that are scored on both sides. Direct: the answer without a zoom; of several samples, their mean. Worth: gain minus harm by
calls, which is unbiased with any number of direct samples. Gain by calls: direct is wrong, the run zooms and is right; harm: direct is right,
the run zooms and is wrong; "still" is the same without a zoom. Floor: what a placebo that answers as often right as direct would gain, and
harm, on the questions with two direct samples; only the part above it says something. Helpful and harmful are fractions of the zoomed rows. Only with tool: questions that no direct
sample solves, and a zoom does."""

NEED = """\
Rows: as above. Need: direct is wrong. Precision: zooms that were needed; recall: needs that were zoomed; both call a lucky direct answer no
need. MCC (Matthews) is corrected for that, on the questions with two direct samples."""

ONE_SAMPLE = "how much of both is noise needs two direct samples (make sweep NEED=2)"


def worth_lines(runs: Sequence[ReportRun], say: Say = str) -> list[str]:
    """One sentence for each run that zooms and has a direct baseline, about its means over resolutions."""
    return [
        _sentence(line, say)
        for worth in worth_of(runs)
        for line in (_last(part) for _, part in worth.groupby("benchmark", sort=False))
        if line["n"]
    ]


def _last(worth: pd.DataFrame) -> Mapping[str, Any]:
    return dict(worth.iloc[-1])


def _sentence(line: Mapping[str, Any], say: Say) -> str:
    where = "mean over resolutions" if line["resolution"] == MEAN else f"at {line['resolution']}"
    known = line["call_floor"] == line["call_floor"]
    floor = f"noise alone would show {percent(line['call_floor'])} of each" if known else ONE_SAMPLE
    other = "" if line["same_checkpoint"] else " (another checkpoint: training is part of it)"
    return (
        f"{say(line['run'])} on {say(line['benchmark'])}: zooms are worth {points(line['net'])} [{points(line['net_low'])}, "
        f"{points(line['net_high'])}] points next to {say(line['baseline'])}{other}, {where}: gain {percent(line['call_gain'])}, harm "
        f"{percent(line['call_harm'])}; {floor}."
    )


def worth_text(runs: Sequence[ReportRun]) -> Iterator[str]:
    """The section of the report; nothing where no run zooms next to a direct one."""
    parts = [*_worth_parts(runs), *_gap_parts(runs), *_crop_parts(runs)]
    if parts:
        yield "## What zooming is worth"
        yield from parts


def _worth_parts(runs: Sequence[ReportRun]) -> Iterator[str]:
    for worth in worth_of(runs):
        for benchmark, part in worth.groupby("benchmark", sort=False):
            lines = part.to_dict("records")
            yield f"### {escape(lines[0]['run'])} next to {escape(lines[0]['baseline'])}, {escape(benchmark)}"
            yield _sentence(lines[-1], escape)
            columns = [
                "resolution",
                "questions",
                "unscored",
                "direct samples",
                "with two",
                "worth, points [95%]",
                "gain by calls [95%]",
                "harm by calls [95%]",
            ]
            columns += [
                "floor",
                "gain, still",
                "harm, still",
                "floor, still",
                "zoomed",
                "helpful [95%]",
                "harmful [95%]",
                "only with tool",
            ]
            yield table(columns, [_worth_cells(line) for line in lines])
            yield WORTH
            columns = ["zooms against need", "precision [95%]", "recall [95%]", "F1 [95%]", "MCC [95%]"]
            yield table(columns, [_need_cells(line) for line in lines])
            yield NEED


def _worth_cells(line: Mapping[str, Any]) -> list[str]:
    known = line["net_low"] == line["net_low"]
    net = points(line["net"]) + (f" [{points(line['net_low'])}, {points(line['net_high'])}]" if known else "")
    cells = [
        line["resolution"],
        count(line["n"]),
        count(line["unscored"]),
        f"{line['samples']:.3g}",
        count(line["two_samples"]),
        net,
    ]
    cells += [share(line, "call_gain"), share(line, "call_harm"), percent(line["call_floor"]), percent(line["still_gain"])]
    cells += [percent(line["still_harm"]), percent(line["still_floor"]), percent(line["zoomed"])]
    return [*cells, share(line, "helpful"), share(line, "harmful"), f"{line['only_with_tool']:.3g}"]


def _need_cells(line: Mapping[str, Any]) -> list[str]:
    mcc = "–" if line["mcc"] != line["mcc"] else f"{mean(line['mcc'])} [{mean(line['mcc_low'])}, {mean(line['mcc_high'])}]"
    return [line["resolution"], *(share(line, name) for name in ("precision", "recall", "f1")), mcc]


def _gap_parts(runs: Sequence[ReportRun]) -> Iterator[str]:
    for target, zooming in gaps(runs):
        lines = with_means(target.pairs_with(zooming), target.primary_with(zooming)).to_dict("records")
        if lines:
            yield f"### Zooming gap: {escape(target.label)} minus {escape(zooming.label)}"
            cells = [
                [
                    escape(x["benchmark"]),
                    x["resolution"],
                    count(x["n"]),
                    percent(x["acc"]),
                    percent(x["acc_other"]),
                    difference(x),
                ]
                for x in lines
            ]
            columns = ["benchmark", "resolution", "pairs", "target shown", "own zooms", "gap, points [95%]", "p"]
            yield table(columns, [[*cell, p_text(x)] for cell, x in zip(cells, lines, strict=True)])
            yield "Rows: questions that are scored in both. The gap is the accuracy that finding and cropping the annotated target better could still gain."


def _crop_parts(runs: Sequence[ReportRun]) -> Iterator[str]:
    for real, others in same_but_crops(runs):
        yield f"### Other crops in place of the real ones: {escape(real.label)}"
        columns = ["crops", "run", "benchmark", "accuracy, mean [95%]", "zooms", "real minus this, points [95%]", "p"]
        yield table(columns, list(_crop_cells(real, others)))
        yield (
            "Rows: accuracy of all answered questions, mean over resolutions; differences of those that are scored in both runs. Blank, random "
            "and withheld crops show nothing that was asked for, oracle crops the annotated target. If they change nothing, the crops did not help."
        )


def _crop_cells(real: ReportRun, others: Sequence[ReportRun]) -> Iterator[list[str]]:
    order = {crops: i for i, crops in enumerate((Crops.REAL, Crops.BLANK, Crops.RANDOM, Crops.WITHHELD, Crops.ORACLE))}
    for run in sorted([real, *others], key=lambda each: order.get(Crops(crops_of(each)), len(order))):
        for line in run.means[run.means["category"] == OVERALL].to_dict("records"):
            cells = [crops_of(run), escape(run.label), escape(line["benchmark"]), accuracy(line), mean(line["zooms"])]
            pair = real.primary_with(run, line["benchmark"]).to_dict("records") if run is not real else []
            yield [*cells, *([difference(pair[0]), probability(pair[0]["p"])] if pair else ["–", "–"])]
