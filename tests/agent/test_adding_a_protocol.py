"""docs/adding-a-protocol.md is followed to the letter: the YAML file, the module in a copy of the package, its test, its commands."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from fake_server import serve
from fakes import call
from guides import blocks, copied_checkout, run_in, run_test

from cof_eval.agent.protocols import parse_protocol
from cof_eval.benchmarks.synthetic.scenes import write_scenes
from cof_eval.core.records import Stop
from cof_eval.core.resolution import SWEEP, PixelLimits
from cof_eval.runs.finding import Level
from cof_eval.runs.folder import load_run
from cof_eval.runs.selftest import selftest

pytestmark = pytest.mark.slow

YAML, WRITTEN_OUT = blocks("adding-a-protocol.md", "yaml")
MODULE, TEST = blocks("adding-a-protocol.md", "python")
WITH_FILE, WITH_MODULE = blocks("adding-a-protocol.md", "bash")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout to which the page was applied; its test passes there."""
    copy = copied_checkout(tmp_path_factory.mktemp("checkout"))
    (copy / "unit_cof.yaml").write_text(YAML)
    (copy / "cof_eval/agent/protocols/lens.py").write_text(MODULE)
    run_test(copy, "test_lens.py", TEST)
    write_scenes(copy / "vstar", count=3, seed=1)
    return copy


@pytest.mark.parametrize(
    ("command", "zoom"),
    [(WITH_FILE, call(0.25, 0.25, 0.5, 0.5)), (WITH_MODULE, call(250, 250, 500, 500, name="lens"))],
    ids=["file", "module"],
)
def test_it_runs_and_zooms(checkout: Path, command: str, zoom: str) -> None:
    name = "file" if "yaml" in command else "module"
    with serve(reply=lambda asked: "<answer>A</answer>" if asked.turn else zoom) as server:
        words = shlex.split(command.replace("MODEL", "by-name"))
        more = ["--engine", "openai", "--base-url", server.url, "--out", name, "--resolutions", "224", "--data", "vstar=vstar"]
        ran = run_in(checkout, "-m", "cof_eval.cli", *words[1:], *more)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    run = load_run(checkout / name)
    assert run.settings["protocol"]["name"] == {"file": "unit_cof", "module": "lens"}[name]
    assert len(run.rows) == 3
    assert {(t.stop, t.zooms, t.tool_errors) for t in run.trajectories.values()} == {(Stop.ANSWERED, 1, 0)}


def test_the_file_with_a_pattern_of_its_own_reads_what_it_writes(tmp_path: Path) -> None:
    (tmp_path / "written_out.yaml").write_text(WRITTEN_OUT)
    protocol = parse_protocol(str(tmp_path / "written_out.yaml"))
    assert [call.error for call in protocol.read("<zoom>crop(0.1, 0.2, 0.5, 0.6)</zoom>").calls] == [None]
    (finding,) = selftest(protocol, PixelLimits(28, 3136, 12_845_056), SWEEP)
    assert finding.level is Level.OK, finding
