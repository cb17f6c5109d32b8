"""The written report: what state the runs are in, then each benchmark's tables, comparisons and published figures, and the settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from .caveats import caveats, state_line
from .comparison_text import comparison, differences_text
from .deciders import deciders_lines, deciders_text
from .dollars import dollars_lines, is_priced, priced_cell
from .headline import headline_lines
from .names import MEAN, OVERALL, resolution_order
from .report_run import ReportRun
from .sweep_means import overall_lines, with_means
from .target_summary import target_summary
from .text import accuracy, between, bullets, count, escape, mean, percent, share, table
from .worth_text import worth_text

SETTINGS = ("model", "protocol", "engine", "judge", "seed", "option_order", "repeats", "data", "versions", "commit", "machine")
"""What the report repeats of a run's settings, as far as they are there."""

SETTING_CHARS = 160
"""Longest value of one setting, in characters; run.yaml has it whole."""

HOW_TO_READ = """\
- Accuracy is correct / all answered questions, in percent (of repeats and option orders, the mean over questions of their means), with a
  95% interval: Wilson's, or clustered Wilson over images where rows share them. Unscored rows count as not correct; the upper bound is
  accuracy if all of them were correct, and the interval reaches from one case to the other. The mean gives each resolution the same weight.
- Zooms, tool errors, tokens and seconds are means per row over the rollouts that the engine did not break off, intervals Student's t over
  images. Text tokens are the generated ones; visual tokens count each image once; tokens per correct are both of all rows with a reference
  over the right answers (Fieller's interval). Cached is the fraction of prompt tokens, summed over turns, that the engine's prefix cache held.
- Truncated rows (cut at the length, turn or context limit) and those without an answer are wrong. Shared rows were not generated again:
  their shown image equals that of the next smaller resolution, so they add no new evidence.
- Comparisons are paired by question, on the questions that are scored in both runs. The mean over resolutions is the primary result, tested
  once at 0.05. p at a resolution is McNemar's exact test (sign flips of images where rows share them), corrected over a benchmark's
  resolutions by step-down max-T and by Holm; nothing is corrected for comparing with several runs. Intervals are t + 2, and hold whatever
  unscored pairs are worth. Overlapping intervals of two runs do not say that they are equal, and a difference below the detectable one could
  not have been found."""

ANSWERED = "Rows: all that ended, unscored ones as wrong; n counts questions."
"""Which rows the table of scores is of."""

OWN_ROWS = (
    "Rows: all that ended and have a reference. These are averages over rows (micro): each repeat and option order counts, and "
    "so does each row of a group. Accuracy above is an average over questions (each question once)."
)
"""Which rows a benchmark's own metrics are of, and how their average differs from accuracy's."""

PICTURES = {
    "sweep": "Accuracy, zooms and tokens against resolution",
    "frontier": "Accuracy against tokens",
    "flow": "Verdict flow between two runs",
    "worth": "What zooming is worth",
    "zooms": "Number of zooms",
    "size": "Accuracy against the target's size",
}
"""What each figure shows, by the start of its name."""


def report_text(runs: Sequence[ReportRun], published: pd.DataFrame, figures: Mapping[str, Mapping[str, str]]) -> str:
    """The report as Markdown; its first line says whether anything is missing.

    Args:
        runs: the runs side by side; differences are those of the first to each other.
        published: as of `load_published`.
        figures: file names by benchmark and kind of figure.
    """
    title = " and ".join(escape(run.label) for run in runs)
    parts = [
        f"**{escape(state_line(runs))}**",
        "\n".join(f"- {line}" for line in headline_lines(runs, escape)),
        *differences_text(runs),
        *map(escape, deciders_lines(runs)),
        *map(escape, dollars_lines(runs)),
        f"# Accuracy, zooms and tokens against resolution: {title}",
    ]
    parts += bullets(caveats(runs))
    for benchmark in benchmarks(runs):
        parts += _benchmark(benchmark, runs, published, figures.get(benchmark, {}))
    parts += [*worth_text(runs), "## Who decided", *(part for run in runs for part in _decided(run))]
    parts += ["## How to read this", HOW_TO_READ, "## Settings", _settings(runs)]
    return "\n\n".join(parts) + "\n"


def _decided(run: ReportRun) -> Iterator[str]:
    yield f"### {escape(run.label)}"
    yield from deciders_text(run)


def benchmarks(runs: Sequence[ReportRun]) -> list[str]:
    """The benchmarks of all runs, each once."""
    return list(dict.fromkeys(name for run in runs for name in run.sweep["benchmark"]))


def _benchmark(benchmark: str, runs: Sequence[ReportRun], published: pd.DataFrame, figures: Mapping[str, str]) -> Iterator[str]:
    yield f"## {escape(benchmark)}"
    for kind, file in figures.items():
        yield f"![{PICTURES[kind.split('_')[0]]}]({file})"
    for run in runs:
        sweep = run.sweep[run.sweep["benchmark"] == benchmark]
        if len(sweep):
            yield f"### {escape(run.label)}"
            means = run.means[run.means["benchmark"] == benchmark]
            overall = overall_lines(run, benchmark)
            yield _scores(overall)
            yield ANSWERED
            yield _failures(overall)
            yield "Rows: counts of all that ended (pending: not yet), means of those that the engine did not break off."
            yield from metrics_text(run.own_metrics[run.own_metrics["benchmark"] == benchmark])
            yield from categories(sweep, means)
            yield from _looking(run.rows[run.rows["benchmark"] == benchmark])
    for other in runs[1:]:
        yield from comparison(benchmark, runs[0], other)
    yield from _published(published[published["benchmark"] == benchmark])


def _scores(sweep: pd.DataFrame) -> str:
    bounded = bool((sweep["unscored"] > 0).any())
    columns = ["resolution", "n", "images", "accuracy [95%]", *(["upper bound"] if bounded else [])]
    priced = is_priced(sweep)
    columns += ["zooms", "text tokens", "visual tokens", "tokens per correct"]
    columns += ["$ per question", "$ per correct"] if priced else []
    lines = []
    for line in sweep.to_dict("records"):
        cells = [line["resolution"], count(line["n"]), count(line["clusters"]), accuracy(line)]
        cells += [percent(line["acc_upper"])] if bounded else []
        cells += [between(line, "zooms", 2), between(line, "output_tokens"), between(line, "visual_tokens")]
        cells += [between(line, "tokens_per_correct")]
        lines.append([*cells, *([priced_cell(line, "usd"), priced_cell(line, "usd_per_correct")] if priced else [])])
    return table(columns, lines)


def metrics_text(own: pd.DataFrame) -> Iterator[str]:
    """A benchmark's own metrics with their intervals, percent: a row per resolution; nothing where it has none."""
    if len(own):
        said = {(line["resolution"], line["metric"]): share(line, "value") for line in own.to_dict("records")}
        names = list(dict.fromkeys(own["metric"]))
        lines = [[each, *(said.get((each, name), "–") for name in names)] for each in resolution_order(own["resolution"])]
        yield table(["the benchmark's own, percent [95%]", *map(escape, names)], lines)
        yield OWN_ROWS


def _failures(sweep: pd.DataFrame) -> str:
    columns = ["failures and costs", "pending", "unscored", "errors", "no answer", "turn limit", "length", "context full"]
    columns += ["tool errors", "zoomed", "cached", "engine s", "shared rows"]
    counted = ("pending", "unscored", "errors", "no_answer", "max_turns", "length", "context_full")
    lines = []
    for line in sweep.to_dict("records"):
        cached = line["cached_tokens"] / line["prompt_tokens"] if line["prompt_tokens"] else float("nan")
        cells = [line["resolution"], *(count(line[name]) for name in counted), mean(line["tool_errors"])]
        cells += [percent(line["zoom_rate"]), percent(cached), between(line, "engine_s", 1)]
        lines.append([*cells, count(line["shared_with_smaller"])])
    return table(columns, lines)


_MOST_COLUMNS = 8
"""Categories that stand side by side; MME-RealWorld-Lite has some sixty."""


def categories(sweep: pd.DataFrame, means: pd.DataFrame) -> Iterator[str]:
    """Accuracy by category: a row per resolution, then their mean, and a column per category; the other way round where these are many.

    Nothing where there is only one.
    """
    sweep = with_means(*(each[each["category"] != OVERALL] for each in (sweep, means)))
    names = list(dict.fromkeys(sweep["category"]))
    if len(names) > 1:
        cells = {
            (line["resolution"], line["category"]): f"{accuracy(line)} (n={line['n']:,})" for line in sweep.to_dict("records")
        }
        order = sorted(resolution_order(sweep["resolution"]), key=lambda name: name == MEAN)
        title = "accuracy [95%] by category"
        if len(names) > _MOST_COLUMNS:
            yield table([title, *order], [[escape(each), *(cells.get((name, each), "–") for name in order)] for each in names])
        else:
            lines = [[name, *(cells.get((name, category), "–") for category in names)] for name in order]
            yield table([title, *map(escape, names)], lines)
        yield "Rows: as in the table of scores, by the benchmark's categories."


def _looking(rows: pd.DataFrame) -> Iterator[str]:
    """What zooms found, where questions have boxes and the run zoomed."""
    looking = target_summary(rows)
    if not (looking["zoomed"] > 0).any():
        return
    columns = [
        "where it looked",
        "rows",
        "target px",
        "in best crop",
        "zoomed",
        "found [95%]",
        "coverage",
        "IoU",
        "first useful",
    ]
    columns += [
        "right, found",
        "right, wrong place",
        "wrong, found",
        "wrong, wrong place",
        "right, not zoomed",
        "wrong, not zoomed",
    ]
    lines = []
    for line in looking.to_dict("records"):
        found = (
            "–"
            if not line["zoomed"]
            else f"{percent(line['found'])} [{percent(line['found_low'])}, {percent(line['found_high'])}]"
        )
        cells = [line["resolution"], count(line["n"]), _side(line["target_side"]), _side(line["best_target_side"])]
        cells += [count(line["zoomed"]), found, percent(line["coverage"]), mean(line["iou"]), mean(line["first_useful_zoom"])]
        cells += [count(line[name]) for name in ("right_target", "right_elsewhere", "wrong_target", "wrong_elsewhere")]
        lines.append([*cells, count(line["right_not_zoomed"]), count(line["wrong_not_zoomed"])])
    yield table(columns, lines)
    yield (
        "Rows: scored ones of questions with annotated boxes. The median side of one target in the shown image and in the best crop (px, the root of its area); of the "
        "zoomed rows, the fraction in which a zoom held at least half of a target and showed it larger (found), the mean fraction of the targets "
        "that some crop held, the mean of the best IoU of a given box, and which zoom was the first useful one."
    )


def _side(pixels: float) -> str:
    return "–" if pixels != pixels else f"{pixels:,.0f}²"


def _published(published: pd.DataFrame) -> Iterator[str]:
    """Published figures in the units of their sources: sweeps as rows of a table, then single results."""
    for metric, part in published.groupby("metric", sort=False):
        form, name = (".1f", "accuracy (%)") if metric == "acc" else (".2f", escape(metric))
        part = part.assign(text=[format(value, form) for value in part["value"]])
        sweeps, single = part[part["resolution"] != ""], part[part["resolution"] == ""]
        yield f"### Published {name}, from other harnesses"
        yield "Rows: the whole benchmark, as its authors answered and scored it."
        if len(sweeps):
            yield _published_sweeps(sweeps)
        if len(single):
            columns = ["model", "category", "text", "source", "note"]
            lines = [[escape(line[column]) for column in columns] for line in single.to_dict("records")]
            yield table(["model at its own settings", "category", name, "source", "note"], lines)


def _published_sweeps(sweeps: pd.DataFrame) -> str:
    names, lines = resolution_order(sweeps["resolution"]), []
    for (model, category, source), part in sweeps.groupby(["model", "category", "source"], sort=False):
        at = dict(zip(part["resolution"], part["text"], strict=True))
        lines.append([escape(model), escape(category), *(at.get(name, "–") for name in names), escape(source)])
    return table(["model", "category", *names, "source"], lines)


def _settings(runs: Sequence[ReportRun]) -> str:
    each = [_named(run.run.settings) for run in runs]
    names = dict.fromkeys(name for settings in each for name in settings)
    lines = [[name, *(escape(brief(settings.get(name))) for settings in each)] for name in names]
    return table(["setting", *(escape(run.label) for run in runs)], lines)


def _named(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings to show by name; those of the protocol one by one, since each of them changes scores."""
    shown = {name: settings[name] for name in SETTINGS if settings.get(name)}
    protocol = shown.pop("protocol", {})
    return {**{f"protocol: {escape(name)}": value for name, value in protocol.items()}, **shown}


def brief(value: Any, chars: int = SETTING_CHARS) -> str:
    """A setting in one line of so many characters, nested ones as `name=value`."""
    text = _flat(value)
    return text if len(text) <= chars else f"{text[: chars - 1]}…"


def _flat(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name}={_flat(part)}" for name, part in value.items())
    if isinstance(value, (list, tuple)):
        return f"({', '.join(map(_flat, value))})"
    return "–" if value is None else str(value)
