"""`python -m cof_eval.cli.scenes FOLDER`: writes a set of vstar_mini from any seed, to run with `--data vstar_mini=FOLDER`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ..benchmarks.vstar_mini import FORMAT, TEST_COUNT, write_folder
from ..core.errors import CofError
from ..core.files import write_part
from ..core.text import say


def write_set(folder: Path, *, count: int, seed: str) -> str:
    """Write a set unless it is there; returns a line that says which.

    Raises:
        DataError: for a count below 1.
        UsageError: if the folder holds something else.
    """
    made_with: dict[str, object] = {"count": count, "seed": seed, "format": FORMAT}
    return write_part(folder, made_with, lambda unfinished: write_folder(unfinished, count=count, seed=seed))


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m cof_eval.cli.scenes", description="Write questions about synthetic scenes."
    )
    parser.add_argument("folder", type=Path, help="where to")
    parser.add_argument("--count", type=int, default=TEST_COUNT, help="questions (default: %(default)s)")
    parser.add_argument("--seed", default="0", help="any text; equal seeds give equal sets (default: %(default)s)")
    given = parser.parse_args(arguments)
    try:
        say(write_set(given.folder, count=given.count, seed=given.seed))
    except (CofError, OSError) as error:
        say(f"error: {error}", err=True)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
