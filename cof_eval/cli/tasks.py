"""`cof-eval tasks`: the lmms-eval tasks that come with the package, and those that are made on demand."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..core.text import say
from .options import BenchmarkModule


def tasks(
    path: Annotated[bool, typer.Option("--path", help="Print only the folder, for lmms-eval's --include_path.")] = False,
    benchmarks: Annotated[
        str | None,
        typer.Option("--benchmarks", help="With --resolutions or --benchmark-module: of these only, comma-separated."),
    ] = None,
    resolutions: Annotated[
        str | None, typer.Option("--resolutions", help="Make tasks at these resolutions too: any side in pixels, e.g. 512,768.")
    ] = None,
    benchmark_module: BenchmarkModule = None,
) -> None:
    """List the lmms-eval tasks that come with cof-eval, and make others on demand."""
    folder = _folder(benchmarks, resolutions, benchmark_module or [])
    if path:
        say(folder)
        return
    for file in sorted(folder.rglob("*.yaml")):
        say(file.stem)


def _folder(benchmarks: str | None, resolutions: str | None, modules: list[Path]) -> Path:
    """The shipped tasks' folder, or one that has made tasks in addition."""
    from ..core.paths import data_dir

    if benchmarks is None and resolutions is None and not modules:
        return data_dir("tasks")
    from ..benchmarks import BENCHMARKS
    from ..core.settings import use_benchmark_modules
    from ..lmms.launch import parse_benchmarks, parse_resolutions
    from ..lmms.task_files import made_tasks

    use_benchmark_modules(modules)
    names = parse_benchmarks(benchmarks or ",".join(BENCHMARKS))
    return made_tasks(names, parse_resolutions(resolutions or "all,native"))
