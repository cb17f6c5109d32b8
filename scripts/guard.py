"""Who else uses `.venv`: a lock that set-ups take in turn, and the commands that a rebuild would break.

Standard library only: scripts/setup.py imports it before anything is installed.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Process:
    """A running process."""

    pid: int
    command: str


@contextlib.contextmanager
def locked(path: Path, on_wait: Callable[[str], None]) -> Iterator[None]:
    """Hold the lock file; `on_wait` is told the holder's pid when another process holds it.

    The lock ends with the process that holds it, so a killed set-up blocks nobody. A file system without locks gets none.
    """
    import fcntl

    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            on_wait(path.read_text().strip())
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError:
            pass
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


def users_of(venv: Path) -> list[Process]:
    """Processes that run a program of the environment or have loaded a library from it; this one aside."""
    found = _from_proc(venv) if (PROC / "self").exists() else _from_ps(venv)
    return sorted((process for process in found if process.pid != os.getpid()), key=lambda process: process.pid)


def _from_proc(venv: Path) -> Iterator[Process]:
    for folder in PROC.iterdir():
        if not folder.name.isdecimal():
            continue
        try:
            words = [os.fsdecode(word) for word in (folder / "cmdline").read_bytes().split(b"\0") if word]
            started_there = _lies_in(venv, Path(os.readlink(folder / "cwd")), words[:2])
            # An engine's worker renames itself; the libraries it has loaded still tell.
            if words and (started_there or f"{venv}/" in (folder / "maps").read_text(errors="replace")):
                yield Process(int(folder.name), " ".join(words))
        except OSError:  # it has ended, or belongs to someone else
            continue


def _lies_in(venv: Path, folder: Path, words: list[str]) -> bool:
    """Whether a program or its script is a file of the environment; its python is a link, so only folders are resolved."""
    return any((folder / word).parent.resolve().is_relative_to(venv) for word in words)


def _from_ps(venv: Path) -> Iterator[Process]:
    done = subprocess.run(["ps", "-axo", "pid=,args="], capture_output=True, text=True, check=False)
    for line in done.stdout.splitlines():
        pid, _, command = line.strip().partition(" ")
        if f"{venv}/" in command:
            yield Process(int(pid), command.strip())
