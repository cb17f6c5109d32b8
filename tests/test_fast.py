"""The fast selection stays fast: collecting it imports nothing heavy, and a file with heavy imports at its top is marked."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest
from selection import marks_of_all

ROOT = Path(__file__).resolve().parent.parent
HEAVY = (
    "torch",
    "vllm",
    "transformers",
    "lmms_eval",
    "trl",
    "peft",
    "datasets",
    "sklearn",
    "scipy",
    "statsmodels",
    "playwright",
)
LMMS = ("cof_eval.lmms.model", "cof_eval.lmms.task")
"""Ours, but nothing without lmms-eval."""
FILES = sorted((ROOT / "tests").rglob("test_*.py"))
COLLECTING = """
import json, sys, pytest
class Seen:
    def pytest_collection_finish(self, session):
        self.count = len(session.items)
        self.folders = {item.path.parent for item in session.items}
seen = Seen()
status = pytest.main(["--fast", "--collect-only", "-q", "-q", "-p", "no:cacheprovider"], plugins=[seen])
modules = {name.partition(".")[0] for name in sys.modules}
print(json.dumps([int(status), seen.count, sorted(map(str, seen.folders)), sorted(modules)]))
"""


def imported_at_the_top(path: Path) -> set[str]:
    """Modules that a file imports as soon as it is imported."""
    found = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add(node.module or "")
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT / "tests")))
def test_a_file_that_imports_heavy_packages_at_its_top_is_marked_as_a_whole(path: Path) -> None:
    heavy = {name for name in imported_at_the_top(path) if name.partition(".")[0] in HEAVY or name in LMMS}
    assert not heavy or marks_of_all(path), f"import {', '.join(sorted(heavy))} where it is needed, or mark the file slow"


def test_no_two_files_have_one_name() -> None:
    """Two of one name in different folders cannot be collected together."""
    names = [path.name for path in FILES]
    assert sorted(set(names)) == sorted(names)


@pytest.mark.slow
def test_the_fast_selection_covers_every_room_and_collecting_it_imports_nothing_heavy() -> None:
    done = subprocess.run([sys.executable, "-c", COLLECTING], cwd=ROOT, capture_output=True, text=True, check=False)
    *said, found = done.stdout.splitlines()
    status, count, folders, modules = json.loads(found)
    assert status == 0, "\n".join(said[-40:])
    assert count > 1000
    assert {str(path.parent) for path in FILES} == set(folders)
    assert not set(modules) & {"torch", "vllm", "transformers", "lmms_eval", "trl"}
