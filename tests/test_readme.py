"""Every command in the README works: make targets exist, and the commands run (on a tiny checkpoint and a local server)."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from cof_eval.agent.protocols import PROTOCOLS
from cof_eval.benchmarks import BENCHMARKS

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()


def commands(page: str) -> list[str]:
    """Every line of a page's shell blocks."""
    blocks = re.findall(r"```bash\n(.*?)```", page, re.DOTALL)
    return [line.split("  #")[0].strip() for block in blocks for line in block.splitlines()]


COMMANDS = commands(README)
SCALING = [c for c in commands((ROOT / "docs" / "scaling.md").read_text()) if c.startswith(".venv/bin/cof-eval")]
IN_CI = {"make demo", "make test"}
"""Run as they stand by `.ci/run`."""


def test_the_readme_has_commands() -> None:
    assert set(COMMANDS) > IN_CI
    assert len(COMMANDS) == len(set(COMMANDS)) >= 8
    ci = (ROOT / ".ci" / "run").read_text().splitlines()
    assert set(ci) >= IN_CI


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith("make ")])
def test_make_targets_exist_and_call_cof_eval_as_it_wants_to_be_called(command: str) -> None:
    words = shlex.split(command)
    done = subprocess.run(["make", "--dry-run", *words[1:]], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for line in done.stdout.replace("\\\n", " ").splitlines():
        if "bin/cof-eval" in line:
            _parses(shlex.split(line.split("||")[0].replace("@", "")))


@pytest.mark.parametrize("command", [c for c in [*COMMANDS, *SCALING] if c.startswith(".venv/bin/cof-eval")])
def test_cof_eval_commands_name_options_that_exist(command: str) -> None:
    _parses(shlex.split(command))


def _parses(words: list[str]) -> None:
    """The command line accepts these words (nothing is run)."""
    import click
    import typer

    from cof_eval.cli import app

    start = next(i for i, word in enumerate(words) if word.endswith("bin/cof-eval"))
    group = typer.main.get_command(app)
    name, arguments = words[start + 1], words[start + 2 :]
    command = group.get_command(click.Context(group), name)  # type: ignore[attr-defined, arg-type]
    assert command is not None, name
    command.make_context(name, list(arguments))


def test_every_command_is_checked_here_or_elsewhere() -> None:
    lmms = [c for c in COMMANDS if c.startswith(".venv/bin/lmms-eval")]
    assert len(lmms) == 1  # tests/test_wheel.py and tests/engines run this one, with a tiny checkpoint
    others = [c for c in COMMANDS if not c.startswith(("make ", ".venv/bin/cof-eval ")) and c not in lmms]
    assert not others


def test_the_protocol_table_names_every_protocol() -> None:
    assert set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\| `.*?\|", README, re.MULTILINE)))) == set(PROTOCOLS)


def test_the_benchmark_table_names_every_benchmark_in_order() -> None:
    cells = re.findall(r"^\| [^`|]+ \| (`.*?`) \|", README, re.MULTILINE)
    assert re.findall(r"`(\w+)`", " ".join(cells)) == list(BENCHMARKS)


@pytest.mark.parametrize("benchmark", BENCHMARKS)
def test_every_benchmark_says_where_it_comes_from_and_what_is_measured(benchmark: str) -> None:
    text = (ROOT / "tasks" / benchmark / "README.md").read_text()
    facts = dict(re.findall(r"^\| ([a-z ]+) \| (.+) \|$", text, re.MULTILINE))
    assert {"metric", *(("fields",) if benchmark == "custom" else ("source", "licence", "size"))} <= set(facts)
    assert all(f"`{metric.name}`" in text or len(BENCHMARKS[benchmark].metrics) > 4 for metric in BENCHMARKS[benchmark].metrics)


def test_pictures_and_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


def test_the_documented_import_order_is_the_tested_one() -> None:
    from test_layers import FLOORS

    block = re.search(r"## Import order.*?```\n(.*?)```", (ROOT / "docs" / "architecture.md").read_text(), re.DOTALL)
    assert block is not None
    assert [set(line.split()) - {"|"} for line in block.group(1).splitlines()] == list(FLOORS)


def test_the_performance_page_shows_the_measured_figures() -> None:
    from bench.figures import HEADING, results_table

    page = (ROOT / "docs" / "performance.md").read_text()
    assert page.split(HEADING)[1] == results_table(ROOT / "results" / "reference" / "bench.json")
