"""A run with its tables, and what its reader must know first: what is missing, and what the numbers do not say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING

import pandas as pd

from ..records import Outcome, Stop
from .measured import Measured, measured
from .names import OVERALL, run_labels
from .rows import tidy
from .summary import summarize

if TYPE_CHECKING:
    from ..run import RunData


@dataclass(frozen=True, slots=True)
class Reported:
    """A run with its label and its tables."""

    label: str
    run: RunData
    rows: pd.DataFrame
    calls: pd.DataFrame
    sweep: pd.DataFrame
    own: pd.DataFrame
    """The benchmarks' own metrics: `benchmark`, `resolution`, `metric`, `value` with its interval, and `n` (rows)."""


def reported(runs: Sequence[RunData]) -> list[Reported]:
    """Runs with distinct labels and their tables."""
    made = []
    for run, label in zip(runs, run_labels(runs), strict=True):
        tables = tidy(run, label=label)
        made.append(Reported(label, run, tables.rows, tables.calls, summarize(tables.rows), own_metrics(run, label)))
    return made


def own_metrics(run: RunData, label: str) -> pd.DataFrame:
    """The metrics that benchmarks have besides accuracy, one line a task and metric."""
    lines = [{"run": label, **asdict(each)} for each in measured(run)]
    return pd.DataFrame(lines, columns=["run", *(field.name for field in fields(Measured))])


def state_line(runs: Sequence[Reported]) -> str:
    """Which runs are empty, unfinished or partly unscored, in one line of plain text."""
    states = [(run.label, _state(run)) for run in runs]
    if not any(state for _, state in states):
        return f"Complete: all {sum(len(run.rows) for run in runs):,} rows are answered and scored."
    if len(states) == 1:
        state = states[0][1]
        return f"{state[:1].upper()}{state[1:]}."
    return "; ".join(f"{label} is {state or 'complete'}" for label, state in states) + "."


def _state(run: Reported) -> str:
    """What is missing; empty if nothing is."""
    answered = run.rows[run.rows["stop"].notna()]
    expected, unscored = max(run.run.expected_rows, len(run.rows)), int((answered["verdict"] == Outcome.UNSCORED.value).sum())
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
    dependent = sweep[sweep["rows"] > sweep["clusters"]]
    for line in dependent.drop_duplicates("benchmark").to_dict("records"):
        lines.append(
            f"rows of {line['benchmark']} are not independent ({line['clusters']:,} images in {line['rows']:,} rows at "
            f"{line['resolution']}): its intervals and tests are over images"
        )
    return lines
