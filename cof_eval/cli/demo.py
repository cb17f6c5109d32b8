"""`python -m cof_eval.cli.demo FOLDER`: writes the demo's benchmark and checkpoint, or says that they are there already."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ..benchmarks.synthetic import scenes
from ..core.errors import CofError
from ..core.files import write_part
from ..core.images import source_hash
from ..engines import tiny_checkpoint


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m cof_eval.cli.demo", description="Write a small benchmark and a tiny checkpoint."
    )
    parser.add_argument("folder", type=Path, help="where to; gets vstar/ and tiny-qwen2.5-vl/")
    parser.add_argument("--count", type=int, default=24, help="questions of the benchmark (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the scenes and of the weights (default: %(default)s)")
    given = parser.parse_args(arguments)
    count, seed = given.count, given.seed
    try:
        said = [
            write_part(
                given.folder / "vstar",
                {"count": count, "seed": seed, "code": _code(scenes.__file__)},
                lambda folder: scenes.write_scenes(folder, count=count, seed=seed),
            ),
            write_part(
                given.folder / "tiny-qwen2.5-vl",
                {"seed": seed, "code": _code(tiny_checkpoint.__file__)},
                lambda folder: _write_quietly(folder, seed=seed),
            ),
        ]
    except (CofError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print("\n".join(said))
    return 0


def _write_quietly(folder: Path, *, seed: int) -> Path:
    """The checkpoint, without the library's progress bars between this command's lines."""
    from transformers.utils import logging

    logging.disable_progress_bar()
    return tiny_checkpoint.write_checkpoint(folder, seed=seed)


def _code(module: str | None) -> str:
    """Changes when the code that writes a folder does."""
    return source_hash(Path(module or "").read_bytes())


if __name__ == "__main__":
    sys.exit(main())
