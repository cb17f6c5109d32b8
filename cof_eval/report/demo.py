"""What the demo showed: one table of its runs, the paired comparisons, and two sentences whose numbers are the report's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from rich.console import RenderableType
from rich.text import Text

from .caveats import state_line
from .compare import paired_table
from .names import resolution_order
from .terminal import by_resolution, caveat_lines, difference, side_by_side
from .text import mean, percent, probability

if TYPE_CHECKING:
    from .report_run import ReportRun

_SIGNIFICANT = 0.05


def demo_lines(runs: Mapping[str, ReportRun]) -> Iterator[RenderableType]:
    """The demo's result as lines and a table.

    Args:
        runs: `base`, which has no tool, then those with it.
    """
    yield ""
    yield side_by_side(runs)
    yield ""
    base, sft, *_ = runs
    for other in (name for name in runs if name != sft):
        yield from comparison(sft, runs[sft], other, runs[other])
    yield from caveat_lines(list(runs.values()))
    yield Text(state_line(list(runs.values())))
    yield ""
    yield Text(accuracy_sentence(base, sft, runs))
    yield Text(zoom_sentence({name: run for name, run in runs.items() if name != base}))


def comparison(name: str, run: ReportRun, other_name: str, other: ReportRun) -> Iterator[str]:
    """One line: the difference at the lowest resolution, and whether any resolution tells the two apart."""
    pairs = paired_table(run.rows, other.rows).to_dict("records")
    if not pairs:
        return
    first, best = pairs[0], min(pairs, key=lambda line: _p(line["p_holm"]))
    found = "differ" if _p(best["p_holm"]) < _SIGNIFICANT else "no difference is significant"
    where = f" at {best['resolution']}" if found == "differ" else ""
    yield (
        f"{name} minus {other_name}  {difference(first)} points at {first['resolution']} ({first['n']} pairs); {found}{where}, "
        f"smallest p (Holm) {probability(best['p_holm'])}"
    )


def accuracy_sentence(base: str, tool: str, runs: Mapping[str, ReportRun]) -> str:
    """Accuracy with and without the tool at the lowest and the highest resolution."""
    without, with_tool = by_resolution(runs[base].sweep), by_resolution(runs[tool].sweep)
    low, high = _ends(without, with_tool)
    return (
        f"Shown at {low}, {tool} answers {percent(with_tool[low]['acc'])}% of the questions correctly with the zoom tool and {base} "
        f"{percent(without[low]['acc'])}% without it; at {high} they answer {percent(with_tool[high]['acc'])}% and "
        f"{percent(without[high]['acc'])}%."
    )


def zoom_sentence(runs: Mapping[str, ReportRun]) -> str:
    """Zooms a question at the lowest and the highest resolution."""
    sweeps = {name: by_resolution(run.sweep) for name, run in runs.items()}
    low, high = _ends(*sweeps.values())
    fewer = all(sweep[low]["zooms"] > sweep[high]["zooms"] for sweep in sweeps.values())
    says = "The model zooms less where it sees more" if fewer else "Zooms a question"
    each = (
        f"{name} {mean(sweep[low]['zooms'])} at {low} and {mean(sweep[high]['zooms'])} at {high}"
        for name, sweep in sweeps.items()
    )
    return f"{says}: {'; '.join(each)}{' zooms a question' if fewer else ''}."


def _ends(*sweeps: Mapping[str, Any]) -> tuple[str, str]:
    """The lowest and the highest resolution that all have."""
    names = resolution_order(set.intersection(*(set(sweep) for sweep in sweeps)))
    return names[0], names[-1]


def _p(value: float) -> float:
    return 1.0 if value != value else float(value)
