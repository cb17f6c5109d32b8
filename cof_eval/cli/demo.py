"""`cof-eval demo`: the whole method in minutes, on the small model that comes with the package; no GPU, no download.

Three checkpoints of one model answer fresh questions about synthetic scenes at eight resolutions: `base` without the zoom tool, `sft` and
`rl` with it. Each evaluation has a process of its own, so that each begins with an empty memory. All are forked from one process that has
imported what they need.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..core.errors import CofError, RunError, UsageError, system_says
from ..core.text import say

if TYPE_CHECKING:
    from multiprocessing.context import ForkServerProcess

    from ..report import ReportRun
    from ..runs.console import Screen

QUESTIONS = 40
SEED = "demo"
"""Of the questions; nothing is trained on it."""
PROTOCOLS = {"base": "direct", "sft": "cof_mini", "rl": "cof_mini"}
"""How each checkpoint is asked, in the order of the runs."""
COMPARED = ("sft", "base", "rl")
"""The order of the report: the first run is compared with each other one."""
ENGINE_ARGS: Mapping[str, Mapping[str, Any]] = {
    "vllm": {"dtype": "float32", "enforce_eager": True, "max_num_seqs": 16},
    "transformers": {"dtype": "float32"},
}
NOTE = "a model of 1.6 million parameters in a synthetic world: says nothing about photographs"


@dataclass(frozen=True, slots=True)
class Part:
    """One of the evaluations."""

    name: str
    engine: str
    folder: Path
    """Of the demo; the run folder and the questions are in it."""

    @property
    def checkpoint(self) -> Path:
        """The shipped checkpoint; relative where it is below the working directory."""
        from ..core.paths import data_dir

        path = data_dir("mini") / self.name
        return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path

    @property
    def run(self) -> Path:
        """The run folder."""
        return self.folder / self.name

    def evaluate(self) -> None:
        """Evaluate it in this process, and leave its run folder."""
        from ..lmms.launch import launch
        from ..runs.console import Detail
        from .session import session

        arguments = {
            "pretrained": str(self.checkpoint),
            "protocol": PROTOCOLS[self.name],
            "engine": self.engine,
            "engine_args": ENGINE_ARGS[self.engine],
            "run": str(self.run),
            "note": NOTE,
        }
        data = [f"vstar_mini={self.folder / 'questions'}"]
        with session(Detail.BAR, name=self.name) as screen:
            launch(arguments, benchmarks="vstar_mini", resolutions="all", data=data, limit=None, screen=screen)


def demo(
    questions: Annotated[int, typer.Option("--questions", min=1, help="Questions, each at eight resolutions.")] = QUESTIONS,
    out: Annotated[Path, typer.Option("--out", help="Folder of the runs and the report.")] = Path("results", "runs", "demo"),
    engine: Annotated[
        str | None, typer.Option("--engine", help="vllm or transformers; by default vllm where it is installed.")
    ] = None,
) -> None:
    """Evaluate a small model that zooms, and its base without the tool, on fresh questions; no GPU, no download.

    Exit status: 0 the report shows every question, 1 something failed, 2 wrong usage, 130 Ctrl-C: the same command resumes.
    """
    from ..core.settings import use_tiny_model
    from ..runs.console import Screen
    from .session import interrupted
    from .stopping import stop_signals

    chosen = engine or ("vllm" if find_spec("vllm") else "transformers")
    if chosen not in ENGINE_ARGS:
        raise UsageError(f"the demo has no engine {chosen!r}; known: {', '.join(ENGINE_ARGS)}")
    use_tiny_model()
    screen = Screen()
    with stop_signals() as stopped:
        try:
            _write_questions(screen, out, questions)
            _say_header(screen, out, questions, chosen, asked=engine is not None)
            for name in PROTOCOLS:
                _evaluate(screen, Part(name, chosen, out))
            status = _report(screen, out)
        except KeyboardInterrupt:
            raise interrupted(stopped, None) from None
        finally:
            screen.clear()
    raise typer.Exit(status)


def _write_questions(screen: Screen, out: Path, questions: int) -> None:
    from .scenes import write_set

    screen.wait(f"drawing {questions:,} questions")
    try:
        write_set(out / "questions", count=questions, seed=SEED)
    except OSError as error:
        raise RunError(
            f"cannot write {out}: {system_says(error, 'free space, or choose another folder with --out')}"
        ) from error


def _say_header(screen: Screen, out: Path, questions: int, engine: str, *, asked: bool) -> None:
    why = "" if asked or engine == "vllm" else " (vLLM is not installed)"
    screen.say(f"cof-eval demo  {questions:,} fresh questions at eight resolutions · three checkpoints · {engine}{why}")
    screen.say(f"folder         {out}; each run's log is its log.txt; some minutes on two cores")


def _evaluate(screen: Screen, part: Part) -> None:
    """Run one evaluation in a process of its own, and wait for its end.

    Raises:
        RunError: if it did not end well; what it said is on the terminal.
    """
    screen.say(f"{part.name}: {part.checkpoint}, protocol {PROTOCOLS[part.name]}")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["cof_eval.lmms.preloaded"])
    process = context.Process(target=_child, args=(part,), name=f"demo-{part.name}")
    process.start()
    try:
        process.join()
    except KeyboardInterrupt:
        _stop(process)
        raise
    status = process.exitcode or 0
    if status:
        how = f"was ended by {signal.Signals(-status).name}" if status < 0 else "failed"
        raise RunError(f"the evaluation of {part.name} {how}; its log is {part.run / 'log.txt'}. The same command resumes")


_PATIENCE_S = 15.0
"""After Ctrl-C, which a terminal sends to all processes; only one that has not heard it is told again."""


def _stop(process: ForkServerProcess) -> None:
    process.join(_PATIENCE_S)
    if process.is_alive():
        process.terminate()
        process.join()


def _child(part: Part) -> None:
    """The process of an evaluation: an error is one line, as in any command."""
    threading.Thread(target=_follow_parent, daemon=True).start()
    try:
        part.evaluate()
    except CofError as error:
        if getattr(error, "status", None) is None:  # of an interruption, the parent tells
            say(f"cof-eval: {part.name}: {error}", err=True)
        raise SystemExit(getattr(error, "status", 1)) from None


def _follow_parent() -> None:
    """End this process as Slurm would when its parent is gone: nobody reads its output any more."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)


def _report(screen: Screen, out: Path) -> int:
    """Write the joint report, and say what it shows; the exit status."""
    from ..core.paths import data_dir
    from ..report import report_runs, write_report
    from ..report.demo import demo_lines
    from ..runs.folder import load_run

    screen.wait("writing the report")
    runs: dict[str, ReportRun] = dict(zip(COMPARED, report_runs([load_run(out / name) for name in COMPARED]), strict=True))
    write_report(list(runs.values()), out / "report", data_dir("published"))
    for line in demo_lines({name: runs[name] for name in PROTOCOLS}):
        screen.show(line)
    screen.show(f"Open {out / 'report' / 'index.html'} in a browser: every question with its turns and crops.")
    return 1 if any((run.rows["stop"].isna() | run.rows["stop"].eq("error")).any() for run in runs.values()) else 0
