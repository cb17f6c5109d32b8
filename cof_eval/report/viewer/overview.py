"""What the page says before any data is loaded: the state of the runs, accuracy against resolution, settings, files."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import pandas as pd

from ...runs.served_notes import all_served_notes
from ..names import OVERALL, resolution_order

if TYPE_CHECKING:
    from ...runs.folder import RunData

SETTING_CHARS = 300
"""Longest value of a setting; run.yaml has it whole."""
LEFT_OUT = ("format", "label", "notes", "sessions", "tasks")
"""Settings that stand elsewhere on the page, or that say how a run was made, not what it is."""


MEANS = ("acc", "acc_low", "acc_high", "acc_upper", "zooms", "output_tokens", "visual_tokens")
"""Columns of the sweep table that a cell shows, in its order."""


@dataclass(frozen=True, slots=True)
class RunProgress:
    """How far a run is."""

    label: str
    expected: int
    answered: int
    unscored: int

    @property
    def text(self) -> str:
        """What is missing, in words; empty if nothing is."""
        if not self.answered:
            return f"empty: none of its {number(self.expected)} rows is answered" if self.expected else "empty: it has no rows"
        parts = []
        if self.answered < self.expected:
            parts.append(f"unfinished: {number(self.answered)} of {number(self.expected)} rows are answered")
        if self.unscored:
            parts.append(
                f"partly unscored: {number(self.unscored)} of {number(self.answered)} answers, so accuracy is a lower bound"
            )
        return "; ".join(parts)


@dataclass(frozen=True, slots=True)
class Cell:
    """One run at one resolution of one benchmark."""

    link: str
    n: int
    pending: int
    unscored: int
    acc: float
    """Fraction (0-1); not a number while nothing is answered."""
    low: float
    high: float
    upper: float
    zooms: float
    text_tokens: float
    """Generated ones, mean per row."""
    visual_tokens: float
    """Of each image once, mean per row."""


@dataclass(frozen=True, slots=True)
class Grid:
    """One benchmark: a line of cells per run, a column per resolution; None where a run has no such rows."""

    benchmark: str
    resolutions: list[str]
    lines: list[tuple[str, list[Cell | None]]]


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting of every run, side by side."""

    name: str
    values: list[str]

    @property
    def differs(self) -> bool:
        """Whether the runs do not agree in it."""
        return len(set(self.values)) > 1


def number(value: float) -> str:
    """A count with thin separators."""
    return f"{round(value):,}".replace(",", "\u202f")


def run_progress(run: RunData, label: str) -> RunProgress:
    """How far a run is."""
    answered = [row for row in run.rows if row.trajectory in run.trajectories]
    scored = sum(run.settled(row) for row in answered)
    return RunProgress(label, max(run.expected_rows, len(run.rows)), len(answered), len(answered) - scored)


def headline(standings: Sequence[RunProgress]) -> tuple[bool, str]:
    """Whether all is complete, and the page's first line."""
    missing = [(run.label, run.text) for run in standings]
    if not any(text for _, text in missing):
        return True, f"Complete: all {number(sum(run.answered for run in standings))} rows are answered and scored."
    if len(missing) == 1:
        text = missing[0][1]
        return False, f"{text[0].upper()}{text[1:]}."
    return False, " · ".join(f"{label} is {text or 'complete'}" for label, text in missing) + "."


def grids(sweep: pd.DataFrame, labels: Sequence[str]) -> list[Grid]:
    """The sweep table's lines over whole benchmarks, as the page arranges them."""
    overall = sweep[sweep["category"] == OVERALL]
    return [_grid(str(name), part, labels) for name, part in overall.groupby("benchmark", sort=False)]


def _grid(benchmark: str, part: pd.DataFrame, labels: Sequence[str]) -> Grid:
    resolutions = resolution_order(list(part["resolution"]))
    found = {(line["run"], line["resolution"]): line for line in part.to_dict("records")}
    lines = []
    for i, label in enumerate(labels):
        cells = [_cell(i, benchmark, name, found.get((label, name))) for name in resolutions]
        if any(cells):
            lines.append((label, cells))
    return Grid(benchmark, resolutions, lines)


def _cell(run: int, benchmark: str, resolution: str, line: Mapping[Any, Any] | None) -> Cell | None:
    if line is None:
        return None
    link = "#/list?" + urlencode({"run": run, "benchmark": benchmark, "resolution": resolution}, quote_via=quote)
    counts = (int(line[name]) for name in ("n", "pending", "unscored"))
    means = (float(line.get(name, math.nan)) for name in MEANS)
    return Cell(link, *counts, *means)


def notes(runs: Sequence[RunData], labels: Sequence[str]) -> list[str]:
    """The runs' notes, each once; one that is not of all runs says whose it is."""
    of_run = {label: _notes(run.settings) for run, label in zip(runs, labels, strict=True)}
    lines = []
    for note in dict.fromkeys(note for each in of_run.values() for note in each):
        whose = [label for label, each in of_run.items() if note in each]
        lines.append(note if len(whose) == len(of_run) else f"{', '.join(whose)}: {note}")
    return lines


def _notes(settings: Mapping[str, Any]) -> list[str]:
    return [str(note) for note in (*(settings.get("notes") or ()), *all_served_notes(settings.get("servers") or {}))]


def settings(runs: Sequence[RunData]) -> list[Setting]:
    """Every setting of run.yaml in lines, nested names joined by dots."""
    flat = [dict(_flat(run.settings)) for run in runs]
    return [Setting(name, [one.get(name, "") for one in flat]) for name in dict.fromkeys(name for one in flat for name in one)]


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        if not prefix and name in LEFT_OUT:
            continue
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        elif value not in (None, "", []):
            text = str(value)
            yield f"{prefix}{name}", text if len(text) <= SETTING_CHARS else text[: SETTING_CHARS - 1] + "…"


def caption(figure: Path) -> str:
    """A figure's name in words."""
    words = figure.stem.replace("_", " ")
    return words[:1].upper() + words[1:]
