"""Opens a run folder again and again, each time with another machine in run.yaml; see `until_killed`."""

from __future__ import annotations

from itertools import count
from pathlib import Path

from until_killed import Say, serve

from cof_eval.runs.folder import RunFolder


def reopen(path: str, say: Say) -> None:
    """Say each number once the folder was opened with it."""
    for number in count():
        with RunFolder(Path(path), {"model": "m", "machine": [number] * 20}):
            say(number)


if __name__ == "__main__":
    serve(reopen)
