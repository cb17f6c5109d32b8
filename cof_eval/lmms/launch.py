"""`cof-eval run`: our tasks and our model through lmms-eval's own evaluator, without its command line.

lmms-eval's command line prints tracebacks and still exits 0; calling its evaluator keeps the exit status and the error
messages ours. Its results and samples are written into the run folder as it would write them.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..agent.protocols import parse_protocol
from ..agent.protocols.protocol import check_repeats
from ..benchmarks import BENCHMARKS
from ..core.errors import RunError, UsageError, system_says
from ..core.lazy_imports import LMMS_EVAL, imported_later
from ..core.paths import run_path
from ..core.resolution import SWEEP, Resolution, parse_resolution
from ..core.settings import (
    ModelSettings,
    data_folder,
    parse_model_args,
    quiet_engines,
    use_data_folder,
    use_image_view,
    use_option_order,
    use_question_limit,
)
from ..engines import check_engine
from ..judging import load_card
from ..runs.console import Screen, say_header
from ..runs.folder import RunData, load_run
from ..runs.prices import load_prices
from .task_files import task_folders, task_name


def task_names(benchmarks: str, resolutions: str) -> list[str]:
    """lmms-eval task names for comma-separated benchmarks and resolutions.

    Raises:
        UsageError: for an unknown benchmark or resolution.
    """
    return [task_name(b, r) for b in parse_benchmarks(benchmarks) for r in parse_resolutions(resolutions)]


def parse_benchmarks(text: str) -> list[str]:
    """Benchmarks, comma-separated.

    Raises:
        UsageError: for an unknown one, or none.
    """
    names = list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    unknown = [b for b in names if b not in BENCHMARKS]
    if unknown or not names:
        raise UsageError(f"unknown benchmark {', '.join(unknown) or repr(text)}; known: {', '.join(BENCHMARKS)}")
    return names


def parse_resolutions(text: str) -> list[Resolution]:
    """Resolutions, comma-separated; `all` stands for the eight.

    Raises:
        UsageError: for an unknown one, or none.
    """
    wanted = [r.strip() for r in text.split(",") if r.strip()]
    points = [point for name in wanted for point in (SWEEP if name == "all" else [parse_resolution(name)])]
    if not points:
        raise UsageError(f"no resolution in {text!r}; expected for instance 224,448 or all")
    return list(dict.fromkeys(points))


def use_data(pairs: Sequence[str]) -> None:
    """Apply `--data NAME=PATH` options.

    Raises:
        UsageError: if one is not NAME=PATH, names no benchmark, or the folder does not exist.
    """
    for pair in pairs:
        name, equals, path = pair.partition("=")
        if not equals or name not in BENCHMARKS:
            raise UsageError(f"--data {pair!r}: expected NAME=PATH with NAME one of {', '.join(BENCHMARKS)}")
        folder = Path(path).expanduser()
        if not folder.exists():
            raise UsageError(f"--data {pair!r}: {folder} does not exist; pass the folder that holds the benchmark")
        use_data_folder(name, folder)


def launch(
    arguments: Mapping[str, Any],
    *,
    benchmarks: str,
    resolutions: str,
    data: Sequence[str],
    limit: int | None,
    repeats: int = 1,
    order: str = "dataset",
    screen: Screen | None = None,
) -> RunData:
    """Evaluate, and return what the run folder then holds.

    Args:
        arguments: model arguments of `cof`.
        benchmarks: comma-separated.
        resolutions: comma-separated, or `all`.
        data: `NAME=PATH` options.
        limit: only the first questions of every task.
        repeats: how often every question is asked, by a protocol that samples.
        order: in which order options are shown; see `options.parse_order`.
        screen: where the run speaks; by default on stderr.

    Raises:
        CofError: for anything that a user can fix.
    """
    names = task_names(benchmarks, resolutions)
    use_data(data)
    use_option_order(order)
    use_question_limit(limit)
    settings = _check(arguments, benchmarks, repeats)
    use_image_view(settings.view)
    screen = screen or Screen()
    say_header(screen, settings, run_path(settings, parse_protocol(settings.protocol, settings.protocol_args).name))
    screen.wait("loading lmms-eval")
    quiet_engines(logged=screen.log is not None)
    _quiet_lmms_eval("INFO" if screen.log else "WARNING")
    with imported_later(LMMS_EVAL):
        from lmms_eval.evaluator import simple_evaluate
        from lmms_eval.tasks import TaskManager

        from .model import Cof
        from .task import load_rows

    for name in parse_benchmarks(benchmarks):
        folder = data_folder(name)
        waits_for = "" if folder else BENCHMARKS[name].waits_for()
        screen.wait(f"reading {name} ({waits_for})" if waits_for else f"reading {name}")
        load_rows(name, folder, settings.view)
    model = Cof(**arguments)
    model.screen = screen
    try:
        screen.wait("making the tasks")
        with tempfile.TemporaryDirectory(prefix="cof-tasks-") as made:
            folders = task_folders(parse_benchmarks(benchmarks), parse_resolutions(resolutions), Path(made))
            results = simple_evaluate(
                model=model,
                tasks=names,
                repeats=repeats,
                task_manager=TaskManager(include_path=folders, include_defaults=False),
                cli_args=argparse.Namespace(process_with_media=False, output_path=str(model.run_path)),
                bootstrap_iters=0,
                torch_random_seed=None,  # seeds go with every request; this would import torch for a served model
                distributed_executor_backend="torchrun",  # one process: the other one would make an `Accelerator`
            )
    finally:
        screen.wait("stopping the engine", step=False)
        model.close()
        screen.clear()
    _write_results(model.run_path / "lmms_eval", results)
    return load_run(model.run_path)


def _check(arguments: Mapping[str, Any], benchmarks: str, repeats: int) -> ModelSettings:
    """The settings. Refuse at once what would fail after imports that take many seconds."""
    settings = parse_model_args(arguments)
    protocol = parse_protocol(settings.protocol, settings.protocol_args)
    check_repeats(protocol, repeats)
    check_engine(settings, protocol)
    if settings.prices:
        load_prices(Path(settings.prices))
    load_card(settings.judge)
    for name in parse_benchmarks(benchmarks):
        folder = data_folder(name)
        if folder is not None:
            BENCHMARKS[name].load(folder)
    return settings


def _write_results(folder: Path, results: Mapping[str, Any]) -> None:
    """lmms-eval's own results, and its samples a task."""
    kept = {k: v for k, v in results.items() if k != "samples"}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "results.json").write_text(json.dumps(kept, indent=1, default=str, ensure_ascii=False), encoding="utf-8")
        for task, samples in (results.get("samples") or {}).items():
            lines = (json.dumps(sample, default=str, ensure_ascii=False) for sample in samples)
            (folder / f"samples_{task}.jsonl").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    except OSError as error:
        raise RunError(f"cannot write {folder}: {system_says(error, 'free space and run the same command again')}") from error


def _quiet_lmms_eval(level: str) -> None:
    """Let lmms-eval speak up from this level on."""
    from loguru import logger

    logger.remove()
    logger.add(sys.stderr, level=level, format="{level}: {message}")
