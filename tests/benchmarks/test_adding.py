"""docs/adding-a-benchmark.md is followed to the letter, in a copy of the package, and the new benchmark runs on a scripted server."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from fake_server import ChatRequest, serve

from cof_eval.core.resolution import NATIVE, SWEEP
from cof_eval.runs.folder import load_run

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs" / "adding-a-benchmark.md").read_text()
MODULE, REGISTRY, TEST = re.findall(r"```python\n(.*?)```", DOCUMENT, re.DOTALL)
TEMPLATE, COMMAND = re.findall(r"```bash\n(.*?)```", DOCUMENT, re.DOTALL)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout to which the document was applied."""
    copy = tmp_path_factory.mktemp("checkout")
    for name in ("cof_eval", "tasks", "judges", "results/published"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    (copy / "tests").mkdir()
    for name in ("tables.py", "fakes.py"):
        shutil.copy(ROOT / "tests" / name, copy / "tests")
    (copy / "cof_eval/benchmarks/shelf.py").write_text(MODULE)
    registry, (line, entry) = copy / "cof_eval/benchmarks/__init__.py", REGISTRY.splitlines()
    known = registry.read_text()
    registry.write_text(known.replace("from .item", f"{line}\nfrom .item").replace("] = {\n", f"] = {{\n{entry}\n"))
    (copy / "tests/test_shelf.py").write_text(TEST)
    subprocess.run(["bash", "-e", "-c", TEMPLATE], cwd=copy, check=True)
    return copy


def environment(checkout: Path) -> dict[str, str]:
    paths = (str(checkout), str(checkout / "tests"))
    return os.environ | {"PYTHONPATH": os.pathsep.join(paths), "COF_CACHE": str(checkout / "cache"), "HF_HUB_OFFLINE": "1"}


def test_the_template_gives_every_resolution_and_the_group(checkout: Path) -> None:
    folder = checkout / "tasks/shelf"
    names = {"cof_shelf", *(f"cof_shelf_{r.name}" for r in (*SWEEP, NATIVE))}
    assert {file.stem for file in folder.glob("*.yaml")} == names
    assert "vstar" not in "".join(file.read_text() for file in (*folder.glob("*.yaml"), folder / "_template"))


def test_the_test_passes(checkout: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(checkout / "tests/test_shelf.py")]
    ran = subprocess.run(command, cwd=checkout, env=environment(checkout), capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def says(asked: ChatRequest) -> str:
    return "<answer>B</answer>"


def test_the_benchmark_runs(checkout: Path) -> None:
    """By the document's command, on the data that its test writes."""
    write = "import test_shelf as t; from pathlib import Path; from tables import embedded, write_parquet; " + (
        "write_parquet(Path('shelf/data/test-0.parquet'), [t.ROW | {'image': embedded()}], t.SCHEMA)"
    )
    subprocess.run([sys.executable, "-c", write], cwd=checkout, env=environment(checkout), check=True)
    with serve(reply=says) as server:
        words = shlex.split(COMMAND.replace("MODEL", "by-name").replace("PATH", "shelf"))
        more = ["--engine", "openai", "--base-url", server.url, "--out", "run", "--resolutions", "224,native"]
        command = [sys.executable, "-m", "cof_eval.cli", *words[1:], *more]
        ran = subprocess.run(command, cwd=checkout, env=environment(checkout), capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    run = load_run(checkout / "run")
    assert {row.task for row in run.rows} == {"cof_shelf_224", "cof_shelf_native"}
    results = json.loads((checkout / "run/lmms_eval/results.json").read_text())["results"]["cof_shelf_224"]
    assert (results["acc,none"], results["books,none"]) == (1.0, 1.0)
