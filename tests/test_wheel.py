"""The wheel: what is in it, and that a clean environment with nothing but it runs the tasks through lmms-eval's command line."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from commands import clean_environment
from fake_server import FakeServer, image_pad, serve, tiny_checkpoint

from cof_eval.benchmarks.synthetic.scenes import write_scenes
from cof_eval.runs.folder import load_run

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent
HOOK = "_cof_eval_torchvision"
"""Set-up's mend of torchvision where it does not load beside a CPU build of torch; part of the environment, not of the wheel."""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the checkout without a network."""
    folder = tmp_path_factory.mktemp("wheel")
    code = "import sys; from hatchling.build import build_wheel; print(build_wheel(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)],
        cwd=ROOT,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder / done.stdout.split()[-1]


@dataclass(frozen=True)
class Clean:
    """A virtual environment that sees the project's dependencies, and beside them the wheel only."""

    folder: Path
    before: frozenset[str]
    """What its site-packages held before the wheel was installed."""

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    @property
    def site_packages(self) -> Path:
        return self.folder / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"

    def run(self, *command: object, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
        """A command of the environment, run in `cwd`."""
        (program, *arguments) = map(str, command)
        variables = clean_environment(**environment)
        variables.pop("PYTHONPATH", None)
        return subprocess.run(
            [str(self.folder / "bin" / program), *arguments],
            cwd=cwd,
            env=variables,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )


@pytest.fixture(scope="module")
def clean(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Clean:
    folder = tmp_path_factory.mktemp("clean") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    made = Clean(folder, frozenset())
    dependencies = sysconfig.get_paths()["purelib"]
    lines = [dependencies]  # a .pth inside a folder that a .pth names is not read, so the editable install is not seen
    if (Path(dependencies) / f"{HOOK}.py").is_file():
        lines.append(f"import {HOOK}")
    (made.site_packages / "dependencies.pth").write_text("\n".join(lines) + "\n")
    made = Clean(folder, frozenset(os.listdir(made.site_packages)))
    install = ["-m", "pip", "--python", str(made.python), "install", "--no-deps", "--no-index", "--ignore-installed"]
    done = subprocess.run(
        [sys.executable, *install, str(wheel)], env=clean_environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return made


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[FakeServer, Path]]:
    tiny = tiny_checkpoint(tmp_path_factory)
    with serve(image_pad=image_pad(tiny)) as fake:
        yield fake, tiny


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    """An empty working directory."""
    folder = tmp_path / "empty"
    folder.mkdir()
    return folder


class TestContents:
    def test_it_holds_the_package_and_nothing_else_at_top_level(self, wheel: Path) -> None:
        names = zipfile.ZipFile(wheel).namelist()
        assert {name.split("/")[0] for name in names} == {"cof_eval", wheel.name.rsplit("-", 3)[0] + ".dist-info"}

    def test_every_module_and_every_data_file_is_in_it_and_nothing_private(self, wheel: Path) -> None:
        names = set(zipfile.ZipFile(wheel).namelist())
        files = (p for p in (ROOT / "cof_eval").rglob("*") if p.is_file() and "__pycache__" not in p.parts)
        modules = {str(p.relative_to(ROOT)) for p in files}
        data = {
            f"cof_eval/_data/{target}/{p.relative_to(ROOT / source)}"
            for target, source in (
                ("tasks", "tasks"),
                ("judges", "judges"),
                ("published", "results/published"),
                ("mini", "results/reference/mini"),
            )
            for p in (ROOT / source).rglob("*")
            if p.is_file()
        }
        assert len(data) > 12
        assert {n for n in names if ".dist-info/" not in n} == modules | data
        assert {f"cof_eval/_data/mini/{name}/model.safetensors" for name in ("base", "sft", "rl")} <= names

    def test_it_asks_for_ranges_not_for_pins(self, wheel: Path) -> None:
        archive = zipfile.ZipFile(wheel)
        (metadata,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        needs = re.findall(r"^Requires-Dist: (.+)$", archive.read(metadata).decode(), re.MULTILINE)
        assert any(need.startswith("vllm<") or need.startswith("vllm!=") for need in needs)
        assert not [need for need in needs if "==" in need.split(";")[0]]

    def test_it_tells_lmms_eval_of_the_model_and_the_shell_of_the_command(self, wheel: Path) -> None:
        archive = zipfile.ZipFile(wheel)
        (entry_points,) = (name for name in archive.namelist() if name.endswith("entry_points.txt"))
        text = archive.read(entry_points).decode()
        assert re.search(r"\[lmms_eval\.models\]\s+cof = cof_eval\.lmms\.plugin:MANIFEST", text)
        assert re.search(r"\[console_scripts\]\s+cof-eval = cof_eval\.cli:main", text)


class TestCleanEnvironment:
    def test_site_packages_gains_only_the_package(self, clean: Clean) -> None:
        gained = set(os.listdir(clean.site_packages)) - clean.before
        assert {name for name in gained if not name.endswith(".dist-info")} == {"cof_eval"}
        assert len(gained) == 2

    def test_what_is_imported_is_what_was_installed(self, clean: Clean, empty: Path) -> None:
        code = "import cof_eval, cof_eval.core.paths as p; print(cof_eval.__file__); [print(p.data_dir(n)) for n in ('tasks', 'judges', 'published', 'mini')]"
        done = clean.run("python", "-c", code, cwd=empty)
        assert done.returncode == 0, done.stderr
        assert all(Path(line).is_relative_to(clean.site_packages) for line in done.stdout.splitlines())
        assert len(done.stdout.splitlines()) == 5

    def test_the_command_is_there_and_its_tasks_are_inside_it(self, clean: Clean, empty: Path) -> None:
        done = clean.run("cof-eval", "tasks", "--path", cwd=empty)
        assert Path(done.stdout.strip()).is_relative_to(clean.site_packages)
        assert "cof_all" in clean.run("cof-eval", "tasks", cwd=empty).stdout.split()
        assert clean.run("cof-eval", "--version", cwd=empty).stdout.startswith("cof-eval ")
        mistake = clean.run("cof-eval", "run", "--model", "x", "--resolutions", "5", cwd=empty)
        assert (mistake.returncode, mistake.stderr.count("\n")) == (2, 1)
        assert list(empty.iterdir()) == []

    def test_lmms_evals_command_line_runs_a_task(
        self, clean: Clean, empty: Path, server: tuple[FakeServer, Path], tmp_path: Path
    ) -> None:
        fake, tiny = server
        data = write_scenes(tmp_path / "vstar", count=5, seed=4)
        tasks = clean.run("cof-eval", "tasks", "--path", cwd=empty).stdout.strip()
        model_args = f"pretrained={tiny},engine=openai,base_url={fake.url},run={tmp_path / 'run'}"
        done = clean.run(
            *("python", "-m", "lmms_eval", "--model", "cof", "--model_args", model_args, "--include_path", tasks),
            *("--tasks", "cof_vstar_448", "--limit", "3", "--output_path", tmp_path / "out", "--log_samples"),
            cwd=empty,
            COF_DATA_VSTAR=str(data),
            LMMS_EVAL_HOME=str(tmp_path / "home"),
        )
        assert done.returncode == 0, done.stderr
        assert "Traceback" not in done.stderr
        table = done.stdout.replace(" ", "")
        for metric in ("acc", "acc_upper", "zooms", "tool_errors", "turns", "output_tokens", "visual_tokens", "truncated"):
            assert f"|{metric}|" in table
        run = load_run(tmp_path / "run")
        assert [row.doc_id for row in run.rows] == [0, 1, 2]
        assert all(trajectory.verified for trajectory in run.trajectories.values())
        assert len(fake.log) == 2 * 3
        (results,) = (tmp_path / "out").rglob("*results.json")
        row = json.loads(results.read_text())["results"]["cof_vstar_448"]
        assert (row["zooms,none"], row["turns,none"]) == (1.0, 2.0)
        (samples,) = (tmp_path / "out").rglob("*samples_cof_vstar_448.jsonl")
        assert [json.loads(line)["zooms"] for line in samples.open()] == [1.0] * 3
        assert list(empty.iterdir()) == []
