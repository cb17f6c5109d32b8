"""The table "protocol by vector kind" of docs/protocols.md, between its markers."""

from __future__ import annotations

from pathlib import Path

from ...agent.protocols import PROTOCOLS
from ...core.errors import DataError
from .known import FILES
from .report import Report, check_protocol
from .vectors import KINDS

BEGIN, END = "<!-- peers: begin -->", "<!-- peers: end -->"


def measure(folder: Path) -> list[Report]:
    """Every protocol that is held to a peer, against its vectors.

    Raises:
        DataError: if a file of vectors is missing.
    """
    return [check_protocol(PROTOCOLS[name], [folder / f"{file}.jsonl"]) for name, file in FILES.items()]


def table(reports: list[Report]) -> str:
    """The table in Markdown, with a sentence for every remaining difference."""
    lines = ["| protocol | " + " | ".join(KINDS) + " |", "|---|" + "---:|" * len(KINDS)]
    for report in reports:
        cells = [_cell(report, kind) for kind in KINDS]
        lines.append(f"| `{report.protocol}` | " + " | ".join(cells) + " |")
    reasons = {
        f"`{report.protocol}`, {each.kind} “{each.way if each.kind == 'limits' else each.name}”: {each.reason or each.way}."
        for report in reports
        for each in report.differing
    }
    return "\n".join(
        [*lines, "", "Cells: equal of compared. These differ:", "", *(f"- {reason}" for reason in sorted(reasons))]
    )


def _cell(report: Report, kind: str) -> str:
    count = report.counts[kind]
    return f"{count - report.differing_of(kind)} of {count}" if count else "–"


def write_table(page: Path, text: str) -> None:
    """Put a table between the markers of a page.

    Raises:
        DataError: if the page has no markers.
    """
    old = page.read_text(encoding="utf-8")
    if old.count(BEGIN) != 1 or old.count(END) != 1:
        raise DataError(f"{page} must hold {BEGIN} and {END} once each, where the table stands")
    before, after = old[: old.index(BEGIN) + len(BEGIN)], old[old.index(END) :]
    page.write_text(f"{before}\n{text}\n{after}", encoding="utf-8")
