"""The rooms: import-linter refuses an import upwards; what is pure stays pure, and what is heavy is imported late."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "cof_eval"

PURE = (
    *("core/errors", "core/geometry", "core/resolution", "core/records", "core/option_order"),
    *("agent", "judging/rules", "benchmarks/metrics", "runs/estimate"),
)
"""Rooms, and modules of rooms, that touch no files, no network and no environment."""

READS_FILES = {"changed.py"}
"""Of the protocols: reads a user's YAML where it is told to."""

HEAVY = {"torch", "vllm", "transformers", "lmms_eval", "datasets", "openai", "pandas", "matplotlib", "statsmodels", "scipy"}
"""Imported inside the function that needs them, except by the modules that are nothing without them."""

SEAMS = ("lmms/task.py", "lmms/model.py", "lmms/plugin.py", "lmms/preloaded.py", "report/")
"""The interfaces to lmms-eval, what the demo preloads, and the report (pandas, matplotlib): imported only when used."""


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def inside(path: Path, names: tuple[str, ...]) -> bool:
    return path.relative_to(PACKAGE).as_posix().startswith(names)


def top_level_imports(path: Path) -> set[str]:
    """Packages imported as soon as the module is."""
    found = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add((node.module or "").split(".")[0])
    return found


@pytest.fixture(scope="session")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tree as the linter needs it: its contracts and the sources of both packages."""
    pytest.importorskip("importlinter", reason="import-linter is not installed (extra `dev`)")
    folder = tmp_path_factory.mktemp("tree")
    shutil.copy(ROOT / "pyproject.toml", folder)
    for package in ("cof_eval", "training"):
        for path in (ROOT / package).rglob("*.py"):
            target = folder / path.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
    return folder


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    """`lint-imports`, as `make lint` calls it, in a folder."""
    command = "from importlinter.cli import lint_imports_command as lint; lint()"
    return subprocess.run(
        [sys.executable, "-c", command, "--no-cache", "--no-logo"], cwd=folder, capture_output=True, text=True, check=False
    )


def test_the_linter_keeps_the_tree_as_it_is(copy: Path) -> None:
    done = lint(copy)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout


PLANTED = [
    ("cof_eval/agent/zoom.py", "from ..runs import folder", "cof_eval.agent.zoom -> cof_eval.runs.folder"),
    ("cof_eval/core/errors.py", "def late():\n    import cof_eval.cli", "cof_eval.core.errors -> cof_eval.cli"),
    ("cof_eval/judging/card.py", "from .. import benchmarks", "cof_eval.judging.card -> cof_eval.benchmarks"),
    ("cof_eval/servers/pool.py", "from ..stats import wilson", "cof_eval.servers.pool -> cof_eval.stats"),
    ("cof_eval/stats/later.py", "import training.sft", "cof_eval.stats.later -> training.sft"),
    ("cof_eval/drawer.py", "", "cof_eval.drawer"),
    ("training/recipe/fits.py", "from ..data import rows", "training.recipe.fits -> training.data.rows"),
    ("training/rl/scorer.py", "from ..session import model", "training.rl.scorer -> training.session.model"),
    ("training/drawer.py", "", "training.drawer"),
]
"""(module, what is added to it, what the linter says): upwards, upwards and late, sideways, and modules in no room."""


@pytest.mark.slow
@pytest.mark.parametrize(("module", "code", "said"), PLANTED, ids=[module for module, _, _ in PLANTED])
def test_the_linter_refuses_an_import_against_the_layers(copy: Path, module: str, code: str, said: str) -> None:
    planted = copy / module
    before = planted.read_text() if planted.exists() else None
    planted.write_text(f"{before or ''}\n{code}\n")
    try:
        done = lint(copy)
    finally:
        planted.unlink() if before is None else planted.write_text(before)
    assert done.returncode == 1
    assert said in " ".join(done.stdout.split()), done.stdout


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_heavy_packages_are_imported_where_they_are_needed(path: Path) -> None:
    if inside(path, SEAMS):
        return
    assert not top_level_imports(path) & HEAVY


@pytest.mark.parametrize("name", PURE)
def test_pure_modules_touch_neither_files_nor_the_environment(name: str) -> None:
    files = [path for path in modules() if inside(path, (name,)) and path.name not in READS_FILES]
    assert files
    for path in files:
        assert not top_level_imports(path) & {"os", "pathlib", "subprocess", "socket", "shutil", "io", "tempfile"}, path


def test_nothing_a_model_says_can_be_executed() -> None:
    for path in modules():
        calls = {
            n.func.id for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)
        }
        assert not calls & {"eval", "exec", "compile", "__import__"}, path
