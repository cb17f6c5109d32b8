"""Every command of every page works: make targets exist, and `cof-eval` takes the options. Links lead somewhere."""

from __future__ import annotations

import re
import shlex
import subprocess
import tomllib
from pathlib import Path

import pytest

from cof_eval.agent.protocols import PROTOCOLS, Protocol
from cof_eval.benchmarks import BENCHMARKS

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
README = (ROOT / "README.md").read_text()
PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text()
    for pattern in (
        "*.md",
        "docs/**/*.md",
        "tasks/*/README.md",
        "tests/README.md",
        "results/*/README.md",
        "results/reference/mini/*.md",
    )
    for path in sorted(ROOT.glob(pattern))
}


def commands(page: str) -> list[str]:
    """Every line of a page's shell blocks."""
    blocks = re.findall(r"```bash\n(.*?)```", page, re.DOTALL)
    return [line.split("  #")[0].strip() for block in blocks for line in block.splitlines()]


COMMANDS = commands(README)
EVERYWHERE = sorted({command for page in PAGES.values() for command in commands(page)})
IN_CI = {"make demo", "make test"}
"""Run as they stand by `.ci/run`."""


def test_the_readme_is_short_and_has_commands() -> None:
    assert len(README.splitlines()) < 130
    assert set(COMMANDS) > IN_CI
    assert len(COMMANDS) == len(set(COMMANDS)) >= 8
    ci = (ROOT / ".ci" / "run").read_text().splitlines()
    assert set(ci) >= IN_CI


@pytest.mark.parametrize("command", [c for c in EVERYWHERE if c.startswith("make ")])
def test_make_targets_exist_and_call_cof_eval_as_it_wants_to_be_called(command: str) -> None:
    words = shlex.split(command)
    done = subprocess.run(["make", "--dry-run", *words[1:]], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for line in done.stdout.replace("\\\n", " ").splitlines():
        if "bin/cof-eval" in line:
            _parses(shlex.split(line.split("||")[0].replace("@", "")))


@pytest.mark.parametrize("command", [c for c in EVERYWHERE if c.startswith((".venv/bin/cof-eval", "cof-eval "))])
def test_cof_eval_commands_name_options_that_exist(command: str) -> None:
    _parses(shlex.split(command))


def _parses(words: list[str]) -> None:
    """The command line accepts these words (nothing is run)."""
    import click
    import typer

    from cof_eval.cli import app

    start = next(i for i, word in enumerate(words) if word.split("/")[-1] == "cof-eval")
    group = typer.main.get_command(app)
    if words[start + 1 :] == ["--version"]:
        return  # an option of the group; tests/core/test_supported.py runs it
    name, arguments = words[start + 1], words[start + 2 :]
    command = group.get_command(click.Context(group), name)  # type: ignore[attr-defined, arg-type]
    assert command is not None, name
    command.make_context(name, list(arguments))


def test_every_command_is_checked_here_or_elsewhere() -> None:
    lmms = [c for c in COMMANDS if c.startswith(".venv/bin/lmms-eval")]
    assert len(lmms) == 1  # tests/test_wheel.py and tests/engines run this one, with a tiny checkpoint
    others = [c for c in COMMANDS if not c.startswith(("make ", ".venv/bin/cof-eval ")) and c not in lmms]
    assert not others


def table(page: str, heading: str) -> list[list[str]]:
    """The cells of the first table under a heading, its own head aside."""
    lines = page.split(heading + "\n", 1)[1].splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith("|"))
    rows = [line for line in lines[first:] if line.startswith("|") or not line][2:]
    end = rows.index("") if "" in rows else len(rows)
    return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows[:end]]


PROTOCOL_PAGE = PAGES["docs/protocols.md"]


def test_the_protocol_table_names_every_protocol() -> None:
    named = [name for row in table(PROTOCOL_PAGE, "## The protocols") for name in re.findall(r"`(\w+)`", row[0])]
    assert sorted(named) == sorted(PROTOCOLS)


def test_every_setting_of_a_protocol_stands_with_its_default() -> None:
    """The table against the dataclass: the same names in the same order, the same defaults, every choice of a setting."""
    rows = table(PROTOCOL_PAGE, "## Every setting")
    fields = Protocol.__dataclass_fields__
    assert [row[0].strip("`") for row in rows] == list(fields)
    least = Protocol(name="required", system="required")
    for name, default, meaning in rows:
        value = getattr(least, name.strip("`"))
        shown = "empty" if value in ("", ()) else str(value)
        assert default.strip("`") == shown, name
        if hasattr(type(value), "__members__"):
            assert {choice.value for choice in type(value)} <= set(re.findall(r"`(\w+)`", meaning)), name


def test_the_benchmark_table_names_every_benchmark_in_order() -> None:
    cells = [row[1] for row in table(PAGES["docs/benchmarks.md"], "# Benchmarks")]
    assert re.findall(r"`(\w+)`", " ".join(cells)) == list(BENCHMARKS)


@pytest.mark.parametrize("benchmark", BENCHMARKS)
def test_every_benchmark_says_where_it_comes_from_and_what_is_measured(benchmark: str) -> None:
    text = (ROOT / "tasks" / benchmark / "README.md").read_text()
    facts = dict(re.findall(r"^\| ([a-z ]+) \| (.+) \|$", text, re.MULTILINE))
    assert {"metric", *(("fields",) if benchmark == "custom" else ("source", "licence", "size"))} <= set(facts)
    assert all(f"`{metric.name}`" in text or len(BENCHMARKS[benchmark].metrics) > 4 for metric in BENCHMARKS[benchmark].metrics)


def anchors(page: str) -> set[str]:
    """The anchors of a page's headings, as GitHub and the site make them."""
    titles = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```", "", page, flags=re.DOTALL | re.MULTILINE), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower().replace("`", "")).strip().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("name", PAGES)
def test_pictures_and_links_lead_somewhere(name: str) -> None:
    prose = re.sub(r"^```.*?^```", "", PAGES[name], flags=re.DOTALL | re.MULTILINE)
    for link in re.findall(r"\]\(([^)\s]+)\)", prose):
        target, _, anchor = link.partition("#")
        if target.startswith("https://"):
            continue
        path = (ROOT / name).parent / target if target else ROOT / name
        assert path.exists(), link
        assert not anchor or anchor in anchors(path.read_text()), link


@pytest.mark.parametrize(("package", "heading"), [("cof_eval", "## The rooms"), ("training", "## Training")])
def test_the_documented_floors_are_the_checked_ones(package: str, heading: str) -> None:
    """From the top, the layers of import-linter's contract."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (layers,) = [contract["layers"] for contract in contracts if contract.get("containers") == [package]]
    shown = [set(re.findall(r"`(\w+)(?:/|\.py)`", row[0])) for row in table(PAGES["docs/architecture.md"], heading)]
    assert shown == [set(layer.split(" | ")) for layer in layers]


def test_every_environment_variable_is_explained_where_it_is_read() -> None:
    source = (ROOT / "cof_eval" / "core" / "settings.py").read_text()
    named = {row[0] for row in table(PAGES["docs/evaluate.md"], "## Environment variables")}
    assert {f"`{name}`" for name in re.findall(r"^\| `([A-Z_<>]+)` \|", source, re.MULTILINE)} == named


def test_the_performance_page_shows_the_measured_figures() -> None:
    from bench.figures import HEADING, results_table

    page = (ROOT / "docs" / "performance.md").read_text()
    assert page.split(HEADING)[1] == results_table(ROOT / "results" / "reference" / "bench.json")
