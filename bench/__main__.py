"""Run benches by name, or all of them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from bench import judging, large, photographs, real, replies, report, rules, scripted, served, start, training, viewer
from bench.figures import Figure, update_page, write_figures

RESULTS, PAGE = Path("results/reference/bench.json"), Path("docs/performance.md")

BENCHES: dict[str, Callable[[], list[Figure]]] = {
    "start": start.start,
    "overhead": scripted.overhead,
    "ideal": scripted.ideal,
    "memory": scripted.memory,
    "report": report.report,
    "served": served.served,
    "photographs": photographs.photographs,
    "large": large.large,
    "viewer": viewer.viewer,
    "judging": judging.judging,
    "rules": rules.rules,
    "replies": replies.replies,
    "real": real.real,
    "training": training.training,
}


def main() -> None:
    """Print each figure as it is measured; exit 1 if a gate was missed."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", default=list(BENCHES), metavar="NAME", help=", ".join(BENCHES))
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    unknown = [name for name in arguments.names if name not in BENCHES]
    if unknown:
        parser.error(f"unknown bench {', '.join(unknown)}; known: {', '.join(BENCHES)}")
    figures: list[Figure] = []
    for name in arguments.names:
        for figure in BENCHES[name]():
            print(figure, flush=True)
            figures.append(figure)
    write_figures(figures, arguments.out)
    if arguments.out == RESULTS:
        update_page(PAGE, RESULTS)
    sys.exit(any(figure.ok is False for figure in figures))


if __name__ == "__main__":
    main()
