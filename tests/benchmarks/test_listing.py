"""Listing the tasks: all of them, and without importing what takes seconds."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from cof_eval.benchmarks import BENCHMARKS

ROOT = Path(__file__).parents[2]
CODE = """
import sys
sys.argv = ["cof-eval", "tasks"]
from cof_eval.cli import main
try:
    main()
finally:
    print(*sys.modules, file=sys.stderr)
"""


def test_listing_the_tasks_names_each_and_imports_nothing_heavy() -> None:
    ran = subprocess.run([sys.executable, "-c", CODE], cwd=ROOT, capture_output=True, text=True, check=True)
    listed = ran.stdout.split()
    assert len(listed) == len(set(listed)) == 10 * len(BENCHMARKS) + 1
    assert {f"cof_{name}_4k" for name in BENCHMARKS} <= set(listed)
    heavy = {"torch", "transformers", "datasets", "lmms_eval", "pandas", "matplotlib", "pyarrow", "sklearn", "yaml", "numpy"}
    assert not heavy & set(ran.stderr.split())
