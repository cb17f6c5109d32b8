"""Commands print through one function, `core.text.say`, and screens through `runs/console.py`: nothing else writes to a terminal."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import cof_eval

ROOT = Path(cof_eval.__file__).parent
MAY_PRINT = {"core/text.py": {"print"}}


def printing(path: Path) -> Iterator[str]:
    """Calls that write to a terminal."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            if name in ("print", "typer.echo", "typer.secho", "click.echo", "sys.stdout.write", "sys.stderr.write"):
                yield name


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_prints_past_the_one_function(path: Path) -> None:
    assert set(printing(path)) <= MAY_PRINT.get(str(path.relative_to(ROOT)), set())
