"""The scripts of `examples/` run, and docs/python.md shows them and what they print."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys

import pytest
from guides import ROOT, blocks

PAGE = "python.md"
ARGUMENTS = {"read_a_run.py": ["results/reference/demo/sft", "results/reference/demo/base"], "own_engine.py": []}


def printed(script: str) -> str:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, f"examples/{script}", *ARGUMENTS[script]]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return "\n".join(line.rstrip() for line in done.stdout.splitlines()) + "\n"


def test_every_example_stands_in_the_page_by_inclusion() -> None:
    assert {path.name for path in (ROOT / "examples").glob("*.py")} == set(ARGUMENTS)
    assert blocks(PAGE, "python") == [f'--8<-- "examples/{name}"\n' for name in ARGUMENTS]


@pytest.mark.slow
@pytest.mark.parametrize("script", ARGUMENTS)
def test_an_example_prints_what_the_page_shows(script: str) -> None:
    assert printed(script) in blocks(PAGE, "text")


@pytest.mark.slow
def test_the_functions_that_the_page_names_exist() -> None:
    page = (ROOT / "docs" / PAGE).read_text()
    names = re.findall(r"`(cof_eval\.[\w.]+)", page.split("## Where to look next")[1])
    assert len(names) >= 6
    for name in names:
        parts, found = name.split("."), None
        for cut in range(len(parts), 0, -1):
            try:
                found = importlib.import_module(".".join(parts[:cut]))
            except ModuleNotFoundError:
                continue
            for part in parts[cut:]:
                found = getattr(found, part)
            break
        assert found is not None, name
