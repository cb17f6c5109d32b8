"""docs/adding-an-engine.md is followed to the letter, in a copy of the package; its test passes, and its command runs."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from fake_server import tiny_checkpoint
from guides import ROOT, blocks, copied_checkout, run_in, run_test

from cof_eval.agent.engine import Engine
from cof_eval.benchmarks.synthetic.scenes import write_scenes
from cof_eval.runs.folder import load_run

pytestmark = pytest.mark.slow

MODULE, REGISTRY, TEST = blocks("adding-an-engine.md", "python")
(COMMAND,) = blocks("adding-an-engine.md", "bash")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout to which the page was applied; its test passes there."""
    copy = copied_checkout(tmp_path_factory.mktemp("checkout"))
    (copy / "cof_eval/engines/recorded.py").write_text(MODULE)
    registry = copy / "cof_eval/engines/__init__.py"
    registry.write_text(f"{registry.read_text()}\n\n{REGISTRY}")
    run_test(copy, "test_recorded.py", TEST)
    return copy


def test_its_command_runs(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    write_scenes(checkout / "vstar", count=3, seed=1)
    words = shlex.split(COMMAND.replace("MODEL", str(tiny_checkpoint(tmp_path_factory))))
    ran = run_in(checkout, "-m", "cof_eval.cli", *words[1:], "--out", "run", "--data", "vstar=vstar")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    run = load_run(checkout / "run")
    assert [run.trajectories[row.trajectory].answer for row in run.rows] == ["A", "A"]


def test_the_page_names_every_member_of_the_interface() -> None:
    page = (ROOT / "docs" / "adding-an-engine.md").read_text()
    members = {name for name in vars(Engine) if not name.startswith("_")}
    assert members == {"limits", "context", "max_images", "text_tokens", "start", "generate", "close"}
    table = "".join(re.findall(r"^\| `.*?\|", page, re.MULTILINE))
    assert set(re.findall(r"`(\w+)`", table)) == members
