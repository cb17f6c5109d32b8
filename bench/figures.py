"""What a bench finds: one line a figure, and a JSON file."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

HEADING = "<!-- written by make bench from here on -->\n\n"


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured figure and its gate."""

    name: str
    value: float
    unit: str
    gate: str
    """What it must be, as text; empty for a figure without a gate."""
    ok: bool | None
    detail: str

    def __str__(self) -> str:
        verdict = {True: "ok", False: "MISSED", None: ""}[self.ok]
        return f"{self.name:<28}{self.value:>10.3g} {self.unit:<8}{self.gate:<16}{verdict:<8}{self.detail}"


def at_least(name: str, value: float, gate: float, unit: str, detail: str) -> Figure:
    """A figure that must reach a gate."""
    return Figure(name, value, unit, f"gate ≥ {gate:g}", value >= gate, detail)


def below(name: str, value: float, gate: float, unit: str, detail: str) -> Figure:
    """A figure that must stay below a gate."""
    return Figure(name, value, unit, f"gate < {gate:g}", value < gate, detail)


def write_figures(figures: list[Figure], path: Path) -> None:
    """Write figures as JSON, replacing those of the same name."""
    kept = {f["name"]: f for f in json.loads(path.read_text())} if path.exists() else {}
    kept |= {f.name: asdict(f) for f in figures}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(list(kept.values()), indent=1, ensure_ascii=False) + "\n")


def results_table(path: Path) -> str:
    """The figures of a file as a Markdown table."""
    lines = ["| figure | value | gate | of |", "|---|---|---|---|"]
    for f in json.loads(path.read_text()):
        missed = " **missed**" if f["ok"] is False else ""
        value = " ".join(f"{f['value']:.3g} {f['unit']}".split())
        lines.append(f"| {f['name']} | {value} | {f['gate'].removeprefix('gate ')}{missed} | {f['detail']} |")
    return "\n".join(lines) + "\n"


def update_page(page: Path, figures: Path) -> None:
    """Put the last figures into the page that explains them, below its last heading."""
    head, heading, _ = page.read_text().rpartition(HEADING)
    page.write_text(head + heading + results_table(figures))
