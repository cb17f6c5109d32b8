"""Folders that this project writes, and knows again by a stamp."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

from .errors import UsageError

STAMP = ".demo.json"
"""Says, inside each written folder, what it was written with."""


def write_part(target: Path, made_with: dict[str, object], write: Callable[[Path], Path]) -> str:
    """Writes one folder unless it is there with the same parameters; returns a line that says which.

    The folder appears under its name only once it is complete. One written with other parameters is replaced.

    Raises:
        UsageError: if something else has that name already.
    """
    stamp, expected = target / STAMP, json.dumps(made_with)
    if target.exists() and not stamp.is_file():
        raise UsageError(f"{target} exists and was not written by this command; choose another folder or remove it")
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == expected:
        return f"{target}: up to date"
    unfinished = target.with_name(f".{target.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    write(unfinished)
    (unfinished / STAMP).write_text(expected, encoding="utf-8")
    shutil.rmtree(target, ignore_errors=True)
    unfinished.rename(target)
    return f"{target}: written"
