"""Following a page of `docs/` to the letter: its code blocks, applied to a copy of the checkout, and what runs there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def blocks(page: str, language: str) -> list[str]:
    """The code blocks of one language in a page of `docs/`, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```", (ROOT / "docs" / page).read_text(), re.DOTALL | re.MULTILINE)


def copied_checkout(copy: Path) -> Path:
    """A copy of the package with its data and of the tests' helpers."""
    for name in ("cof_eval", "tasks", "judges", "results/published"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    (copy / "tests").mkdir()
    for name in ("tables.py", "fakes.py"):
        shutil.copy(ROOT / "tests" / name, copy / "tests")
    return copy


def environment(checkout: Path) -> dict[str, str]:
    """This environment, with a checkout in the place of this one."""
    paths = (str(checkout), str(checkout / "tests"))
    return os.environ | {"PYTHONPATH": os.pathsep.join(paths), "COF_CACHE": str(checkout / "cache"), "HF_HUB_OFFLINE": "1"}


def run_in(checkout: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`python …` in a checkout."""
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=checkout, env=environment(checkout), capture_output=True, text=True, check=False)


def run_test(checkout: Path, name: str, text: str) -> None:
    """A page's test, which must pass."""
    (checkout / "tests" / name).write_text(text)
    ran = run_in(checkout, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"tests/{name}")
    assert ran.returncode == 0, ran.stdout + ran.stderr
