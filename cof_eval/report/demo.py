"""What the demo showed: one table of its runs, the paired comparisons, and two sentences whose numbers are the report's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from rich.console import RenderableType
from rich.text import Text

from .caveats import state_line
from .headline import difference, p_text
from .names import resolution_order
from .terminal import by_resolution, caveat_lines, side_by_side
from .text import mean, percent

if TYPE_CHECKING:
    from .report_run import ReportRun


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
    """One line: the difference of the means over resolutions, and the one at the lowest resolution, each with its rows."""
    pairs = run.pairs_with(other).to_dict("records")
    if not pairs:
        return
    (mean_line,), first = run.primary_with(other).to_dict("records"), pairs[0]
    yield (
        f"{name} minus {other_name}  {difference(mean_line)} points, mean of {len(pairs)} resolutions, {p_text(mean_line)}; at "
        f"{first['resolution']} {difference(first)} points on the {first['n']} of {first['n'] + first['unscored']} questions scored in both"
    )


def accuracy_sentence(base: str, tool: str, runs: Mapping[str, ReportRun]) -> str:
    """Accuracy with and without the tool at the lowest and the highest resolution."""
    without, with_tool = by_resolution(runs[base].sweep), by_resolution(runs[tool].sweep)
    low, high = _ends(without, with_tool)
    return (
        f"Shown at {low}, {tool} answers {percent(with_tool[low]['acc'])}% of the questions correctly with the zoom tool and {base} "
        f"{percent(without[low]['acc'])}% without it; at {high} they answer {percent(with_tool[high]['acc'])}% and "
        f"{percent(without[high]['acc'])}%{_unscored([lines[at] for lines in (without, with_tool) for at in (low, high)])}."
    )


def _unscored(lines: Iterable[Mapping[Any, Any]]) -> str:
    return " (of all questions, unscored answers as wrong)" if any(line["unscored"] for line in lines) else ""


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
