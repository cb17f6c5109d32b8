"""Curves of training runs: loss, accuracy, rewards, zooms over the steps, as a PNG. `python -m training.session.curves FOLDER…`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from cof_eval.core.errors import CofError, UsageError

from .metrics import Metrics, load_metrics

PANELS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("loss", ("loss", "eval_loss")),
    ("token accuracy", ("mean_token_accuracy",)),
    ("reward", ("reward",)),
    ("KL", ("kl",)),
    ("calls a rollout", ("rollout/zooms", "rollout/tool_errors")),
    ("tokens a rollout", ("completions/mean_length",)),
    ("gradient norm", ("grad_norm",)),
    ("learning rate", ("learning_rate",)),
)
"""Panels in their order, and the metrics that each shows; a panel without any is excluded. `rewards/…/mean` join `reward`."""
_WIDTH_IN, _PANEL_IN = 6.0, 1.25


def write_curves(runs: Mapping[str, Sequence[Metrics]], path: Path) -> Path:
    """Draw the curves of one or several runs into one figure.

    Args:
        runs: metrics by the run's name.
        path: of the PNG.

    Raises:
        UsageError: if nothing was logged yet.
    """
    panels = _panels(runs)
    if not panels:
        raise UsageError("no metrics are logged yet; train first, then draw the curves")
    from matplotlib import style
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    from cof_eval.report.plots.style import LOOKS, STYLE

    with style.context(STYLE):
        figure = Figure(figsize=(_WIDTH_IN, _PANEL_IN * len(panels) + 0.5), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
        for axis, (title, names) in zip(axes, panels, strict=True):
            for index, (run, metrics) in enumerate(runs.items()):
                for number, name in enumerate(names):
                    points = [(m.step, m.values[name]) for m in metrics if name in m.values]
                    label = " · ".join([*([run] if len(runs) > 1 else []), *([name] if len(names) > 1 else [])])
                    color = LOOKS[(index if len(runs) > 1 else number) % len(LOOKS)][0]
                    look = {"color": color, "ls": ("-", "--", ":", "-.")[number % 4], "marker": "." if len(points) < 20 else ""}
                    axis.plot(*zip(*points, strict=True), label=label or "_only", **look) if points else None
            axis.set_ylabel(title)
            if len(runs) > 1 or len(names) > 1:
                axis.legend(loc="best", fontsize=6)
        axes[0].set_title(", ".join(runs), fontsize=8)
        axes[-1].set_xlabel("optimizer step")
        axes[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
        figure.savefig(path)
    return path


def _panels(runs: Mapping[str, Sequence[Metrics]]) -> list[tuple[str, list[str]]]:
    """Panels that have something to show, with the metrics that are there."""
    logged = {name for metrics in runs.values() for record in metrics for name in record.values}
    rewards = sorted(name for name in logged if name.startswith("rewards/") and name.endswith("/mean"))
    found = [(title, [n for n in names if n in logged] + (rewards if title == "reward" else [])) for title, names in PANELS]
    return [(title, names) for title, names in found if names]


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(prog="python -m training.session.curves", description="Draw the curves of training runs.")
    made.add_argument("folders", type=Path, nargs="+", help="folders of training runs")
    made.add_argument("--out", type=Path, help="PNG to write (default: curves.png in the first folder)")
    return made


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    given = parser().parse_args(arguments)
    try:
        runs = {folder.name: load_metrics(folder) for folder in given.folders}
        print(write_curves(runs, given.out or given.folders[0] / "curves.png"))
    except CofError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
