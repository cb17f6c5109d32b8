"""docs/adding-a-benchmark.md is followed to the letter, in a copy of the package, and the new benchmark runs on a scripted server."""

from __future__ import annotations

import json
import shlex
import subprocess
from pathlib import Path

import pytest
from fake_server import ChatRequest, serve
from guides import blocks, copied_checkout, run_in, run_test

from cof_eval.core.resolution import NATIVE, SWEEP
from cof_eval.runs.folder import load_run

pytestmark = pytest.mark.slow

MODULE, REGISTRY, TEST = blocks("adding-a-benchmark.md", "python")
TEMPLATE, COMMAND = blocks("adding-a-benchmark.md", "bash")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout to which the document was applied."""
    copy = copied_checkout(tmp_path_factory.mktemp("checkout"))
    (copy / "cof_eval/benchmarks/shelf.py").write_text(MODULE)
    registry, (line, entry) = copy / "cof_eval/benchmarks/__init__.py", REGISTRY.splitlines()
    known = registry.read_text()
    registry.write_text(known.replace("from .item", f"{line}\nfrom .item").replace("] = {\n", f"] = {{\n{entry}\n"))
    subprocess.run(["bash", "-e", "-c", TEMPLATE], cwd=copy, check=True)
    run_test(copy, "test_shelf.py", TEST)
    return copy


def test_the_template_gives_every_resolution_and_the_group(checkout: Path) -> None:
    folder = checkout / "tasks/shelf"
    names = {"cof_shelf", *(f"cof_shelf_{r.name}" for r in (*SWEEP, NATIVE))}
    assert {file.stem for file in folder.glob("*.yaml")} == names
    assert "vstar" not in "".join(file.read_text() for file in (*folder.glob("*.yaml"), folder / "_template"))


def says(asked: ChatRequest) -> str:
    return "<answer>B</answer>"


def test_the_benchmark_runs(checkout: Path) -> None:
    """By the document's command, on the data that its test writes."""
    write = "import test_shelf as t; from pathlib import Path; from tables import embedded, write_parquet; " + (
        "write_parquet(Path('shelf/data/test-0.parquet'), [t.ROW | {'image': embedded()}], t.SCHEMA)"
    )
    assert run_in(checkout, "-c", write).returncode == 0
    with serve(reply=says) as server:
        words = shlex.split(COMMAND.replace("MODEL", "by-name").replace("PATH", "shelf"))
        more = ["--engine", "openai", "--base-url", server.url, "--out", "run", "--resolutions", "224,native"]
        ran = run_in(checkout, "-m", "cof_eval.cli", *words[1:], *more)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    run = load_run(checkout / "run")
    assert {row.task for row in run.rows} == {"cof_shelf_224", "cof_shelf_native"}
    results = json.loads((checkout / "run/lmms_eval/results.json").read_text())["results"]["cof_shelf_224"]
    assert (results["acc,none"], results["books,none"]) == (1.0, 1.0)
