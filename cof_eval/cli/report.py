"""`cof-eval report`: tables and plots of run folders."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..core.errors import RunError, UsageError
from .finish import finish
from .options import BenchmarkModule, PricesFile


def report(
    runs: Annotated[list[Path], typer.Argument(help="Run folders: one, or a model's and its baseline's.", show_default=False)],
    out: Annotated[
        Path | None, typer.Option("--out", help="Where to write it; by default RUN/report of the first run.")
    ] = None,
    judge: Annotated[
        str | None,
        typer.Option("--judge", metavar="CARD[:MODEL]", help="Verdicts of this card and judge model; by default those in use."),
    ] = None,
    benchmark_module: BenchmarkModule = None,
    prices: PricesFile = None,
    verbose: Annotated[bool, typer.Option("--verbose", help="List every file of the report.")] = False,
) -> None:
    """Write tables and plots of one or more run folders, finished or not."""
    from ..core.settings import use_benchmark_modules
    from ..runs.console import Detail, Screen
    from ..runs.folder import load_run

    use_benchmark_modules(benchmark_module or [])

    try:
        loaded = [load_run(path, judge) for path in runs]
        if prices:
            from ..report.dollars import with_prices
            from ..runs.prices import load_prices

            listed = load_prices(prices)
            loaded = [with_prices(run, listed) for run in loaded]
    except RunError as error:
        raise UsageError(str(error)) from error
    raise typer.Exit(finish(loaded, out or runs[0] / "report", Screen(Detail.VERBOSE if verbose else Detail.NORMAL)))
