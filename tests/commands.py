"""Running `cof-eval` as users do, and many times over without paying for its imports each time."""

from __future__ import annotations

import gc
import io
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from multiprocessing.context import ForkServerContext
from multiprocessing.context import ForkServerProcess as Process
from pathlib import Path
from unittest import mock

BIN = Path(sys.executable).parent
QUIET = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
_OURS = ("COF_", "OPENAI_", "WORLD_SIZE", "VLLM_")


def clean_environment(**changes: str) -> dict[str, str]:
    """This process's environment without anything that speaks to cof-eval, and with these changes."""
    return {k: v for k, v in os.environ.items() if not k.startswith(_OURS)} | QUIET | changes


@dataclass(frozen=True, slots=True)
class Done:
    """A command that has ended."""

    status: int
    """Exit status; negative for the signal that ended it."""
    out: str
    err: str

    @property
    def last(self) -> str:
        """The last line on stderr."""
        return (self.err.strip().splitlines() or [""])[-1]


def cof_eval(*arguments: object, cwd: Path | None = None, timeout_s: float = 300, **environment: str) -> Done:
    """The console script, run to its end."""
    command = [str(BIN / "cof-eval"), *map(str, arguments)]
    done = subprocess.run(
        command, cwd=cwd, env=clean_environment(**environment), capture_output=True, text=True, timeout=timeout_s, check=False
    )
    return Done(done.returncode, done.stdout, done.stderr)


def in_process(*arguments: object) -> Done:
    """A command run to its end in this process: for those that start no engine and keep no log."""
    from cof_eval.cli import main

    out, err = io.StringIO(), io.StringIO()
    with mock.patch.object(sys, "argv", ["cof-eval", *map(str, arguments)]), redirect_stdout(out), redirect_stderr(err):
        try:
            main()
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else 0
    return Done(status, out.getvalue(), err.getvalue())


IMPORTED_BY_A_RUN = (
    "cof_eval.report",
    "lmms_eval.evaluator",
    "matplotlib.backends.backend_agg",
    "matplotlib.backends.backend_svg",
    "matplotlib.figure",
    "openai.types.chat",
    "statsmodels.stats.proportion",
)
"""Packages that every run with a server imports sooner or later: seconds, and paid once a test process."""


def _context() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["commands", "cof_eval.lmms.launch", "cof_eval.lmms.model", *IMPORTED_BY_A_RUN])
    return context


@dataclass(slots=True)
class Running:
    """A `cof-eval` in a process of its own, forked from one that has imported everything already."""

    process: Process
    folder: Path

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send a signal."""
        if self.process.pid is not None and self.process.is_alive():
            os.kill(self.process.pid, number)

    def wait(self) -> Done:
        """Wait for its end."""
        self.process.join(300)
        assert self.process.exitcode is not None, "the command does not end"
        return Done(self.process.exitcode, (self.folder / "out").read_text(), (self.folder / "err").read_text())


def start(
    *arguments: object,
    folder: Path,
    max_file_bytes: int | None = None,
    ignores_ctrl_c: bool = False,
    ignores_hangup: bool = False,
    **environment: str,
) -> Running:
    """Start `cof-eval` with `folder` as its working directory; its output goes there too.

    Args:
        arguments: the command line.
        folder: made if needed.
        max_file_bytes: files cannot grow beyond this: a full disk.
        ignores_ctrl_c: as what a shell starts in the background.
        ignores_hangup: as under nohup.
        environment: changes to the environment.
    """
    folder.mkdir(parents=True, exist_ok=True)
    variables = clean_environment(**environment)
    ignored = [number for number, on in ((signal.SIGINT, ignores_ctrl_c), (signal.SIGHUP, ignores_hangup)) if on]
    process = _context().Process(target=_main, args=([*map(str, arguments)], folder, variables, max_file_bytes, ignored))
    process.start()
    return Running(process, folder)


def forked(*arguments: object, folder: Path, max_file_bytes: int | None = None, **environment: str) -> Done:
    """Start a command and wait for its end."""
    return start(*arguments, folder=folder, max_file_bytes=max_file_bytes, **environment).wait()


def _main(
    arguments: list[str],
    folder: Path,
    environment: Mapping[str, str],
    max_file_bytes: int | None,
    ignored: list[signal.Signals],
) -> None:
    gc.freeze()  # what was imported is no garbage: looking through it costs half a second a run
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    for name, stream in (("out", sys.stdout), ("err", sys.stderr)):
        fd = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(fd, stream.fileno())
    if max_file_bytes is not None:
        import resource

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a write beyond the limit is then an error, as on a full disk
        resource.setrlimit(resource.RLIMIT_FSIZE, (max_file_bytes, max_file_bytes))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests themselves may run under nohup
    for number in ignored:
        signal.signal(number, signal.SIG_IGN)
    sys.argv = ["cof-eval", *arguments]
    from cof_eval.cli import main

    main()
