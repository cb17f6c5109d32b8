"""Who decided a run's answers: the rules, the LLM judge, the stop, or nobody; open questions apart from those with options."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pandas as pd

from ..core.records import Outcome
from ..judging.identity import set_name, who
from .report_run import ReportRun
from .text import count, escape, table

_DECIDERS = ("rules", "judge", "stop", "nobody")


def deciders_lines(runs: Sequence[ReportRun]) -> list[str]:
    """A line of plain text for each run: how many answers the rules and the judge decided, and by whom."""
    return [
        line if len(runs) == 1 else f"{run.label}: {line}"
        for run in runs
        if (line := _line(run.rows, run.run.settings.get("judge") or {}))
    ]


def deciders_text(run: ReportRun) -> Iterator[str]:
    """A Markdown table: rows by decider, with options and open ones apart; the rules that decided, most used first."""
    rows = _answered(run.rows)
    if rows.empty:
        return
    parts = {"with options": rows[rows["options"] > 0], "open": rows[~(rows["options"] > 0)], "all": rows}
    lines = [[name, count(len(part)), *(count(n) for n in _counts(part).values())] for name, part in parts.items() if len(part)]
    yield table(["decided", "rows", *(f"by {name}" for name in _DECIDERS)], lines)
    names = rows.loc[rows["by"].str.startswith("rule:"), "by"].str.removeprefix("rule:").value_counts()
    if len(names):
        yield f"Rules: {', '.join(f'{escape(name)} {n:,}' for name, n in names.items())}."


def _line(rows: pd.DataFrame, judge: dict[str, object]) -> str:
    answered = _answered(rows)
    if answered.empty:
        return ""
    counts = _counts(answered)
    model = f" {who(judge)}" if who(judge) else ""
    said = [f"{counts['rules']:,} by rules", f"{counts['judge']:,} by the LLM judge{model}", f"{counts['stop']:,} by the stop"]
    nobody = [f"{counts['nobody']:,} by nobody"] if counts["nobody"] else []
    return f"Verdicts ({set_name(judge) or 'no judge'}): {', '.join([*said, *nobody])}."


def _answered(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows that have a reference answer and a trajectory."""
    return rows[rows["stop"].notna() & rows["by"].notna() & rows["verdict"].notna()]


def _counts(rows: pd.DataFrame) -> dict[str, int]:
    """Rows by who decided; an unscored row was decided by nobody, even if a judge was asked."""
    scored = rows[rows["verdict"] != Outcome.UNSCORED.value]["by"]
    found = {
        name: int(scored.str.startswith(start).sum())
        for name, start in zip(_DECIDERS, ("rule:", "judge", "stop:"), strict=False)
    }
    return {**found, "nobody": len(rows) - sum(found.values())}
