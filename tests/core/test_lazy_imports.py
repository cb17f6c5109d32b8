"""Stand-ins for packages: they cost nothing until they are used, and then are the real thing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = """
VALUE = 7
class Thing:
    KIND = 'real'
    def __init__(self, size=1): self.size = size
class Other: pass
def double(x): return 2 * x
import heavy.inner
"""
CLIENT = """
import heavy
import heavy.inner as inner
from heavy import Thing, double
def annotated(thing: heavy.Thing) -> Thing: ...
class Mine(heavy.Thing):
    def __init__(self): self.own = True
"""


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    """A package that tells when it is imported, and a client that imports it."""
    (tmp_path / "heavy").mkdir()
    (tmp_path / "heavy" / "__init__.py").write_text("print('imported')" + HEAVY)
    (tmp_path / "heavy" / "inner.py").write_text("SETTING = 1\ndef ready(): return True\n")
    (tmp_path / "heavy" / "other.py").write_text("import heavy\nNAME = 'other'\n")
    (tmp_path / "client.py").write_text(CLIENT)
    return tmp_path


def said(packages: Path, code: str, names: str = "{'heavy': ('Thing', 'double'), 'heavy.inner': ()}") -> list[str]:
    """What a process prints that imports the client with stand-ins, then runs this code."""
    start = (
        f"import sys; sys.path.insert(0, {str(packages)!r})\n"
        "from cof_eval.core.lazy_imports import imported_later\n"
        f"with imported_later({names}):\n    import client\n"
    )
    done = subprocess.run([sys.executable, "-c", start + code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("", []),
        ("print('heavy' in sys.modules, 'heavy.inner' in sys.modules)", ["False", "False"]),
        ("print(isinstance(3, client.Thing))", ["False"]),
        ("print(client.Mine().own)", ["True"]),
        ("import inspect; inspect.getmodule(client.annotated); print([*map(hasattr, sys.modules.values(), ['_'])] and 1)", ["1"]),
        ("print(client.heavy.VALUE)", ["imported", "7"]),
        ("print(client.Thing(5).size)", ["imported", "5"]),
        ("print(client.Thing.KIND)", ["imported", "real"]),
        ("print(client.double(4))", ["imported", "8"]),
        ("print(client.inner.ready())", ["imported", "True"]),
        ("client.inner.SETTING = 9\nimport heavy.inner\nprint(client.inner.SETTING, heavy.inner.SETTING)", ["imported", "9", "9"]),
        ("import heavy\nprint(isinstance(heavy.Thing(), client.Thing), isinstance(3, client.Thing))", ["imported", "True", "False"]),
        ("import heavy.other\nprint(heavy.other.NAME, client.heavy is not heavy, client.heavy.other is heavy.other)",
         ["imported", "other", "True", "True"]),
        ("from threading import Thread as T\nts = [T(target=lambda: client.heavy.VALUE) for _ in range(8)]\n"
         "[t.start() for t in ts]; [t.join() for t in ts]", ["imported"]),
    ],
)  # fmt: skip
def test_a_package_is_imported_when_it_is_first_used_and_not_before(packages: Path, code: str, expected: list[str]) -> None:
    assert said(packages, code) == expected


@pytest.mark.parametrize(
    "statement", ["import heavy.other", "from heavy import other", "from heavy.other import NAME", "from heavy import VALUE"]
)
def test_what_a_client_needs_at_its_import_is_imported_then_and_once(packages: Path, statement: str) -> None:
    with (packages / "client.py").open("a") as file:
        file.write(f"{statement}\n")
    code = "import heavy, heavy.other, heavy.inner\nprint(heavy.inner.__spec__.name, client.heavy.other is heavy.other)"
    assert said(packages, code) == ["imported", "heavy.inner", "True"]


def test_a_module_of_a_package_that_is_real_can_be_a_stand_in_alone(packages: Path) -> None:
    (packages / "heavy" / "seldom.py").write_text("print('seldom')\nclass Rare: pass\n")
    (packages / "client.py").write_text("import heavy\nfrom heavy.seldom import Rare\nprint(isinstance(3, Rare))\n")
    assert said(packages, "Rare = client.Rare()\nprint(isinstance(Rare, client.Rare))", "{'heavy.seldom': ('Rare',)}") == [
        "imported", "False", "seldom", "True",
    ]  # fmt: skip


def test_what_is_set_on_a_stand_in_is_set_on_the_real_one(packages: Path) -> None:
    with (packages / "client.py").open("a") as file:
        file.write("heavy.inner.SETTING = 5\n")
    assert said(packages, "print(client.heavy.inner.SETTING)") == ["imported", "5"]


def test_modules_that_are_imported_already_or_missing_get_no_stand_in(packages: Path) -> None:
    code = "import json\nwith imported_later({'json': (), 'no_such_package': (), 'no_such.inner': ()}):\n    import json as again\n"
    code += "    try:\n        import no_such_package\n    except ImportError:\n        print(again is json)"
    assert said(packages, code) == ["True"]
