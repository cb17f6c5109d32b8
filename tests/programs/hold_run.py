"""Opens a run folder, says so, starts a worker as an engine would, and waits to be killed. Arguments: the folder."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from cof_eval.runs.folder import RunFolder


def main() -> None:
    """Hold the folder until stdin ends."""
    with RunFolder(Path(sys.argv[1]), {"model": "m"}):
        reader, writer = os.pipe()
        worker = os.fork()
        if worker == 0:  # inherits the open files, outlives the process that started it, and ends with the test's stdin
            os.write(writer, b"!")
            sys.stdin.read()
            os._exit(0)
        os.read(reader, 1)
        print("held", flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
