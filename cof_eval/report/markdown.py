"""The written report: what state the runs are in, tables per benchmark, paired counts, published figures, settings.

Labels, answers' categories and settings come from models and users: `escape` makes plain text of all of them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from ..records import Stop
from .tables import OVERALL, one_line, paired_table, resolution_order

if TYPE_CHECKING:
    from ..run import RunData

ENTITIES = str.maketrans({char: f"&#{ord(char)};" for char in "&<>|\\`*[]#~"})
"""Characters that mean something to Markdown or HTML, as entities, which mean nothing but the character."""

EDGE_UNDERSCORE = re.compile(r"(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
"""Underscores that could start or end an emphasis; those within a name cannot."""

SETTINGS = ("model", "protocol", "engine", "judge", "seed", "option_order", "repeats", "data", "versions", "commit", "machine")
"""What the report repeats of a run's settings, as far as they are there."""

SETTING_CHARS = 160
"""Longest value of one setting, in characters; run.yaml has it whole."""

HOW_TO_READ = """\
- Accuracy is correct / all answered rows, in percent, with its Wilson 95% interval. Unscored rows count as not correct; the upper
  bound is accuracy if all of them were correct, and the interval reaches from one case to the other.
- Zooms, tool errors and tokens are means per row over the rollouts that the engine did not break off. Output tokens are the generated
  ones; visual tokens count each image once.
- Truncated rows (cut at the length, turn or context limit) and those without an answer are wrong. Shared rows were not generated again:
  their shown image equals that of the next smaller resolution, so they add no new evidence.
- Wins and losses are plain counts of the same questions. Whether a difference is more than chance needs a paired test, which they are
  not, and overlapping intervals do not answer it either."""


@dataclass(frozen=True, slots=True)
class Reported:
    """A run with its label and its tables."""

    label: str
    run: RunData
    rows: pd.DataFrame
    sweep: pd.DataFrame


def report_text(runs: Sequence[Reported], published: pd.DataFrame, figures: Mapping[str, str]) -> str:
    """The report as Markdown; its first line says whether anything is missing.

    Args:
        runs: the runs side by side; differences are those of the first to each other.
        published: as of `load_published`.
        figures: file names of the sweep figures by benchmark.
    """
    benchmarks = list(dict.fromkeys(name for run in runs for name in run.sweep["benchmark"]))
    title = " and ".join(escape(run.label) for run in runs)
    parts = [f"**{state_line(runs)}**", f"# Accuracy, zooms and tokens against resolution: {title}"]
    parts += _bullets(caveats(runs))
    for benchmark in benchmarks:
        parts += _benchmark(benchmark, runs, published, figures)
    parts += ["## How to read this", HOW_TO_READ, "## Settings", _settings(runs)]
    return "\n\n".join(parts) + "\n"


def state_line(runs: Sequence[Reported]) -> str:
    """Which runs are empty, unfinished or partly unscored, in one line."""
    states = [(run.label, _state(run)) for run in runs]
    if not any(state for _, state in states):
        return f"Complete: all {sum(len(run.rows) for run in runs):,} rows are answered and scored."
    if len(states) == 1:
        state = states[0][1]
        return f"{state[:1].upper()}{state[1:]}."
    return "; ".join(f"{escape(label)} is {state or 'complete'}" for label, state in states) + "."


def _state(run: Reported) -> str:
    """What is missing; empty if nothing is."""
    answered = run.rows[run.rows["stop"].notna()]
    expected, unscored = max(run.run.expected_rows, len(run.rows)), int(answered["correct"].isna().sum())
    if not len(answered):
        return f"empty (none of its {expected:,} rows is answered)"
    parts = []
    if len(answered) < expected:
        parts.append(f"unfinished ({len(answered):,} of {expected:,} rows are answered)")
    if unscored:
        parts.append(f"partly unscored ({unscored:,} of {len(answered):,} answered rows, so accuracy is a lower bound)")
    return " and ".join(parts)


def caveats(runs: Sequence[Reported], benchmark: str | None = None) -> list[str]:
    """What the reader of a number must know, as plain text; said of all runs at once where it holds for all.

    With a benchmark, as the note of its figure: about its rows only, and what `state_line` says besides.
    """
    found = {run.label: _caveats(run, benchmark) for run in runs}
    distinct = dict.fromkeys(caveat for of_run in found.values() for caveat in of_run)
    lines = []
    for caveat in distinct:
        labels = [label for label, of_run in found.items() if caveat in of_run]
        lines.append(caveat if len(labels) == len(runs) else f"{', '.join(labels)}: {caveat}")
    return lines


def _caveats(run: Reported, benchmark: str | None) -> list[str]:
    rows, sweep = run.rows, run.sweep[run.sweep["category"] == OVERALL]
    if benchmark is not None:
        rows, sweep = rows[rows["benchmark"] == benchmark], sweep[sweep["benchmark"] == benchmark]
    lines = [str(note) for note in run.run.settings.get("notes") or ()]
    if benchmark is not None and (state := _state(run)):
        lines.append(state)
    unverified = rows[(rows["stop"] != Stop.ERROR.value) & rows["verified"].eq(False).fillna(False)]
    if len(unverified):
        lines.append(f"visual tokens of {len(unverified):,} rows are predicted, not counted by the engine")
    dependent = sweep[sweep["n"] > sweep["clusters"]]
    for line in dependent.drop_duplicates("benchmark").to_dict("records"):
        lines.append(
            f"rows of {line['benchmark']} share images ({line['clusters']:,} images in {line['n']:,} rows at "
            f"{line['resolution']}), so the intervals, which take rows as independent, are too narrow"
        )
    return lines


def _benchmark(benchmark: str, runs: Sequence[Reported], published: pd.DataFrame, figures: Mapping[str, str]) -> Iterator[str]:
    yield f"## {escape(benchmark)}"
    if benchmark in figures:
        yield f"![Accuracy, zooms and tokens against resolution]({figures[benchmark]})"
    for run in runs:
        sweep = run.sweep[run.sweep["benchmark"] == benchmark]
        if len(sweep):
            yield f"### {escape(run.label)}"
            yield _sweep(sweep[sweep["category"] == OVERALL])
            yield from _categories(sweep[sweep["category"] != OVERALL])
    for other in runs[1:]:
        yield from _paired(benchmark, runs[0], other)
    yield from _published(published[published["benchmark"] == benchmark])


def _sweep(sweep: pd.DataFrame) -> str:
    bounded = bool((sweep["unscored"] > 0).any())
    columns = ["resolution", "n", "accuracy [95%]", *(["upper bound"] if bounded else []), "zooms", "output tokens"]
    columns += ["visual tokens", "unscored", "truncated", "no answer", "tool errors", "shared rows"]
    lines = []
    for line in sweep.to_dict("records"):
        cells = [line["resolution"], count(line["n"]), accuracy(line)]
        cells += [percent(line["acc_upper"])] if bounded else []
        cells += [mean(line["zooms"]), count(line["output_tokens"]), count(line["visual_tokens"]), count(line["unscored"])]
        cells += [
            count(line["truncated"]),
            count(line["no_answer"]),
            mean(line["tool_errors"]),
            count(line["shared_with_smaller"]),
        ]
        lines.append(cells)
    return table(columns, lines)


def _categories(sweep: pd.DataFrame) -> Iterator[str]:
    """Accuracy by category: a row per resolution and a column per category; nothing where there is only one."""
    categories = list(dict.fromkeys(sweep["category"]))
    if len(categories) > 1:
        cells = {
            (line["resolution"], line["category"]): f"{accuracy(line)} (n={line['n']:,})" for line in sweep.to_dict("records")
        }
        lines = [
            [name, *(cells.get((name, category), "–") for category in categories)]
            for name in resolution_order(sweep["resolution"])
        ]
        yield table(["accuracy [95%] by category", *map(escape, categories)], lines)


def _paired(benchmark: str, ours: Reported, theirs: Reported) -> Iterator[str]:
    pairs = paired_table(ours.rows, theirs.rows)
    pairs = pairs[pairs["benchmark"] == benchmark]
    if len(pairs):
        first, second = escape(ours.label), escape(theirs.label)
        yield f"### {first} less {second}, on the questions that both have"
        columns = ["resolution", "pairs", first, second, "difference, points", "wins", "losses", "pairs unscored"]
        yield table(columns, [_pair_cells(line) for line in pairs.to_dict("records")])


def _pair_cells(line: Mapping[str, Any]) -> list[str]:
    accuracies = [percent(line["acc"]), percent(line["acc_other"])]
    counts = [count(line["wins"]), count(line["losses"]), count(line["unscored"])]
    return [line["resolution"], count(line["n"]), *accuracies, points(line["difference"]), *counts]


def _published(published: pd.DataFrame) -> Iterator[str]:
    """Published figures in the units of their sources: sweeps as rows of a table, then single results."""
    for metric, part in published.groupby("metric", sort=False):
        form, name = (".1f", "accuracy (%)") if metric == "acc" else (".2f", escape(metric))
        part = part.assign(text=[format(value, form) for value in part["value"]])
        sweeps, single = part[part["resolution"] != ""], part[part["resolution"] == ""]
        yield f"### Published {name}, from other harnesses"
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


def _settings(runs: Sequence[Reported]) -> str:
    each = [_named(run.run.settings) for run in runs]
    names = dict.fromkeys(name for settings in each for name in settings)
    lines = [[name, *(escape(_brief(settings.get(name))) for settings in each)] for name in names]
    return table(["setting", *(escape(run.label) for run in runs)], lines)


def _named(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings to show by name; those of the protocol one by one, since each of them changes scores."""
    shown = {name: settings[name] for name in SETTINGS if settings.get(name)}
    protocol = shown.pop("protocol", {})
    return {**{f"protocol: {escape(name)}": value for name, value in protocol.items()}, **shown}


def _brief(value: Any) -> str:
    """A setting in one line, nested ones as `name=value`."""
    text = _flat(value)
    return text if len(text) <= SETTING_CHARS else f"{text[: SETTING_CHARS - 1]}…"


def _flat(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name}={_flat(part)}" for name, part in value.items())
    if isinstance(value, (list, tuple)):
        return f"({', '.join(map(_flat, value))})"
    return "–" if value is None else str(value)


def _bullets(lines: Sequence[str]) -> list[str]:
    return ["\n".join(f"- {escape(line)}" for line in lines)] if lines else []


def table(columns: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table of cells that are escaped already; columns of numbers stand to the right."""
    rule = ["---:" if i and not any(_wordy(line[i]) for line in lines) else "---" for i in range(len(columns))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [columns, rule, *lines])


def _wordy(cell: str) -> bool:
    return any(char.isalpha() for char in cell)


def escape(text: object) -> str:
    """Any text as one line that Markdown shows as it is: no markup, no HTML, no end of a table's cell."""
    return EDGE_UNDERSCORE.sub("&#95;", one_line(text).translate(ENTITIES))


def accuracy(line: Mapping[str, Any]) -> str:
    """An accuracy of the sweep table with its interval, percent: `84.8 [79.0, 89.2]`."""
    if not line["n"]:
        return "–"
    return f"{percent(line['acc'])} [{percent(line['acc_low'])}, {percent(line['acc_high'])}]"


def percent(share: float) -> str:
    """A share in percent, one decimal."""
    return "–" if math.isnan(share) else f"{100 * share:.1f}"


def points(share: float) -> str:
    """A difference of shares in percentage points, always signed."""
    return "–" if math.isnan(share) else f"{100 * share:+.1f}"


def mean(value: float) -> str:
    """A small mean, two decimals."""
    return "–" if math.isnan(value) else f"{value:.2f}"


def count(value: float) -> str:
    """A count or a large mean, no decimals."""
    return "–" if math.isnan(value) else f"{value:,.0f}"
