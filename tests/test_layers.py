"""The import order: a module uses only what stands below it, so that a reader can start at the bottom."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "cof_eval"

FLOORS = (
    {"cli"},
    {"lmms", "report"},
    {"runs"},
    {"engines", "judging", "benchmarks"},
    {"agent"},
    {"servers", "stats"},
    {"core"},
)
"""Rooms from the top floor down; docs/architecture.md tells what each is."""

PURE = (
    *("core/errors", "core/geometry", "core/resolution", "core/records", "core/option_order"),
    *("agent", "judging/rules", "benchmarks/metrics", "runs/estimate"),
)
"""No files, no network, no environment."""

READS_FILES = {"changed.py"}
"""Of the protocols: reads a user's YAML where it is told to."""

HEAVY = {"torch", "vllm", "transformers", "lmms_eval", "datasets", "openai", "pandas", "matplotlib", "statsmodels", "scipy"}
"""Imported inside the function that needs them, except by the modules that are nothing without them."""

SEAMS = ("lmms/task.py", "lmms/model.py", "lmms/plugin.py", "report/")
"""The lmms-eval seams, and the report (pandas, matplotlib): imported only when used."""


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def inside(path: Path, names: tuple[str, ...]) -> bool:
    return path.relative_to(PACKAGE).as_posix().startswith(names)


def own_imports(path: Path) -> set[str]:
    """Rooms of this package that a module imports, anywhere in it."""
    depth = len(path.relative_to(PACKAGE).parts)
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level == depth:
            names = [node.module.split(".")[0]] if node.module else [alias.name for alias in node.names]
            found |= {name for name in names if not name.startswith("__")}
        assert not (isinstance(node, ast.ImportFrom) and (node.module or "").startswith("cof_eval")), path
    return found


def top_level_imports(path: Path) -> set[str]:
    """Packages imported as soon as the module is."""
    found = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add((node.module or "").split(".")[0])
    return found


def floor(name: str) -> int:
    return next(number for number, rooms in enumerate(FLOORS) if name in rooms)


def test_every_module_has_its_room() -> None:
    assert {room(path) for path in modules()} - {"__init__"} == set().union(*FLOORS)


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_a_module_imports_only_rooms_below_its_own(path: Path) -> None:
    if room(path) == "__init__":
        return
    assert not {name for name in own_imports(path) - {room(path)} if floor(name) <= floor(room(path))}


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
