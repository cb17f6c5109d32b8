"""The set-up script: quick when done, and clear when something fails."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = ROOT / "scripts" / "setup.py"


@pytest.fixture
def script(tmp_path: Path) -> ModuleType:
    """The script as a module, working on a throw-away folder."""
    spec = importlib.util.spec_from_file_location("cof_eval_setup", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.VENV, module.LOG, module.PYTHON = tmp_path, tmp_path / "setup.log", Path(sys.executable)  # type: ignore[attr-defined]
    return module


def test_it_needs_nothing_but_the_standard_library() -> None:
    code = f"import runpy, sys; sys.argv = ['setup.py', '--help']; runpy.run_path({str(SCRIPT)!r}, run_name='__main__')"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "--profile" in done.stdout


def test_a_failing_step_shows_the_command_the_reason_and_what_to_do(
    script: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        script.step("packages", [sys.executable, "-c", "import sys; sys.exit('no such index')"])
    assert stop.value.code == 1
    told = capsys.readouterr().err
    assert "packages failed (exit 1)" in told
    assert "no such index" in told
    assert "make setup" in told


def test_an_optional_step_may_fail(script: ModuleType) -> None:
    assert script.step("torch", [sys.executable, "-c", "raise SystemExit(3)"], optional=True) is False
    assert script.step("torch", [sys.executable, "-c", ""], optional=True) is True


def test_a_package_that_does_not_import_is_named_with_its_reason(
    script: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    script.IMPORTS = ("json", "no_such_package_at_all")  # type: ignore[attr-defined]
    with pytest.raises(SystemExit):
        script.verify()
    told = capsys.readouterr().err
    assert "no_such_package_at_all: ModuleNotFoundError" in told
    assert "json:" not in told


def test_the_stamp_changes_with_the_profile(script: ModuleType) -> None:
    assert script.fingerprint("cpu") != script.fingerprint("gpu")
    assert script.fingerprint("cpu") == script.fingerprint("cpu")


def test_the_repair_hook_is_valid_and_does_nothing_before_torchvision_is_imported(script: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "hook.py").write_text(script.HOOK)
    code = "import sys; import hook; assert 'torch' not in sys.modules; import json; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)


@pytest.mark.parametrize("profile", ["cpu", "gpu"])
def test_every_pin_is_exact_and_named_once(script: ModuleType, profile: str) -> None:
    text = "\n".join((ROOT / name).read_text() for name in script.constraints(profile))
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    names = [line.split("==")[0].lower().replace("_", "-") for line in lines]
    assert all(line.count("==") == 1 for line in lines)
    assert len(names) == len(set(names))
