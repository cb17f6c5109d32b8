"""What the reader of a report must know first: what is missing, and what the numbers do not say."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pandas as pd

from ..agent.protocols import Calls
from ..agent.reply.native import LEFT_IN_TEXT
from ..benchmarks import BENCHMARKS
from ..core.records import Outcome, Stop
from ..runs.served_notes import all_served_notes
from .names import OVERALL
from .report_run import ReportRun
from .sweep_means import with_means


@dataclass(frozen=True, slots=True)
class Caveat:
    """What the reader of a run's numbers must know, as plain text."""

    says: str
    figures: str = ""
    """How far it goes in this run."""
    therefore: str = ""
    """What follows from it."""

    def __str__(self) -> str:
        detail = ", ".join(filter(None, (self.figures, self.therefore)))
        return f"{self.says} ({detail})" if detail else self.says


def state_line(runs: Sequence[ReportRun]) -> str:
    """Which runs are empty, unfinished or partly unscored, in one line of plain text."""
    states = [(run.label, " and ".join(map(str, _state(run)))) for run in runs]
    if not any(state for _, state in states):
        return f"Complete: all {sum(len(run.rows) for run in runs):,} rows are answered and scored."
    if len(states) == 1:
        state = states[0][1]
        return f"{state[:1].upper()}{state[1:]}."
    return "; ".join(f"{label} is {state or 'complete'}" for label, state in states) + "."


def _state(run: ReportRun) -> list[Caveat]:
    """The missing rows and verdicts; empty if there are none."""
    answered = run.rows[run.rows["stop"].notna()]
    expected, unscored = max(run.run.expected_rows, len(run.rows)), int((answered["verdict"] == Outcome.UNSCORED.value).sum())
    if not len(answered):
        return [Caveat("empty", f"none of its {expected:,} rows is answered")]
    found = []
    if len(answered) < expected:
        found.append(Caveat("unfinished", f"{len(answered):,} of {expected:,} rows are answered"))
    if unscored:
        found.append(
            Caveat("partly unscored", f"{unscored:,} of {len(answered):,} answered rows", "so accuracy is a lower bound")
        )
    return found


def caveats(runs: Sequence[ReportRun], benchmark: str | None = None) -> list[str]:
    """What the reader of a number must know, as plain text; said of several runs at once where it holds for them.

    With a benchmark, as the note of its figure: about its rows only, and with the state that `state_line` tells.
    """
    found = dict.fromkeys((run.label, caveat) for run in runs for caveat in _caveats(run, benchmark))
    lines = []
    for says, therefore in dict.fromkeys((caveat.says, caveat.therefore) for _, caveat in found):
        alike = [(label, caveat) for label, caveat in found if (caveat.says, caveat.therefore) == (says, therefore)]
        if len({caveat.figures for _, caveat in alike}) > 1:
            each = ", ".join(f"{label} ({caveat.figures})" for label, caveat in alike)
            lines.append(f"{', '.join(filter(None, (says, therefore)))}: {each}")
        else:
            of = "" if len(alike) == len(runs) else f"{', '.join(label for label, _ in alike)}: "
            lines.append(f"{of}{alike[0][1]}")
    compared = () if benchmark is not None else runs[1:]
    return [*lines, *(line for other in compared for line in _pair_caveats(runs[0], other))]


def _pair_caveats(ours: ReportRun, theirs: ReportRun) -> Iterator[str]:
    """Where unscored pairs could make another result of a comparison."""
    pairs = with_means(ours.pairs_with(theirs), ours.primary_with(theirs))
    lines = pairs[pairs["unscored_matter"].astype(bool)]
    if len(lines):
        where = ", ".join(dict.fromkeys(lines["resolution"]))
        yield (
            f"unscored answers can change the difference between {ours.label} and {theirs.label} at {where} "
            "(score them with `cof-eval judge`: intervals allow for it, p values do not)"
        )


def _served(run: ReportRun, *, whole: bool) -> list[Caveat]:
    """What the run's servers did otherwise than they were asked; with `whole`, how their replies had to be read too."""
    servers = run.run.settings.get("servers") or {}
    kept = servers if whole else {who: {**facts, "replies": {}} for who, facts in servers.items()}
    return [Caveat(note.says, note.figures) for note in all_served_notes(kept)]


def _caveats(run: ReportRun, benchmark: str | None) -> list[Caveat]:
    rows, sweep = run.rows, run.sweep[run.sweep["category"] == OVERALL]
    if benchmark is not None:
        rows, sweep = rows[rows["benchmark"] == benchmark], sweep[sweep["benchmark"] == benchmark]
    found = [Caveat(str(note)) for note in run.run.settings.get("notes") or ()]
    found += _served(run, whole=benchmark is None)
    if benchmark is not None:
        found += _state(run)
    outside = run.run.settings.get("outside")
    for name, origin in outside.items() if isinstance(outside, dict) else ():
        if name not in BENCHMARKS and benchmark in (None, name):
            cure = f"name it with --benchmark-module {origin}" if str(origin).endswith(".py") else f"install {origin}"
            found.append(Caveat(f"{name}'s own metrics are missing: its module is not loaded; {cure}"))
    unverified = rows[(rows["stop"] != Stop.ERROR.value) & rows["verified"].eq(False).fillna(False)]
    unknown = int(unverified["visual_tokens"].isna().sum())
    if predicted := len(unverified) - unknown:
        found.append(Caveat("visual tokens are predicted, not counted by the engine", f"{predicted:,} rows"))
    if unknown:
        found.append(Caveat("visual tokens are unknown: the server does not tell them", f"{unknown:,} rows"))
    left = _left_in_text(run, rows)
    if left:
        therefore = "so they were not executed: give the server the tool parser of its model"
        found.append(Caveat("the server left calls in the text", f"{left:,} calls", therefore))
    dependent = sweep[sweep["rows"] > sweep["clusters"]]
    for line in dependent.drop_duplicates("benchmark").to_dict("records"):
        rows_at = f"{line['clusters']:,} images in {line['rows']:,} rows at {line['resolution']}"
        therefore = "so its intervals and tests are over images"
        found.append(Caveat(f"rows of {line['benchmark']} are not independent", rows_at, therefore))
    return found


def _left_in_text(run: ReportRun, rows: pd.DataFrame) -> int:
    """Calls under native calls that no parser of the server took out of the text."""
    if (run.run.settings.get("protocol") or {}).get("calls") != Calls.NATIVE:
        return 0
    ended = (run.run.trajectories.get(key) for key in rows["trajectory"].dropna().unique())
    return sum(LEFT_IN_TEXT in (call.error or "") for each in ended if each for call in each.calls)
