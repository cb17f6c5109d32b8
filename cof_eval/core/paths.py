"""Where things are: packaged data, and the default place of run folders."""

from __future__ import annotations

import re
from pathlib import Path

from .errors import UsageError
from .image_view import ImageView
from .settings import ModelSettings

_PACKAGE = Path(__file__).resolve().parent.parent


_IN_CHECKOUT = {"published": Path("results", "published"), "mini": Path("results", "reference", "mini")}
"""Folders that lie elsewhere in the checkout than in the wheel."""


def data_dir(name: str) -> Path:
    """A data folder (`tasks`, `judges`, `published`, `mini`) in the installed wheel or in the checkout.

    Raises:
        UsageError: if this installation lacks it.
    """
    for folder in (_PACKAGE / "_data" / name, _PACKAGE.parent / _IN_CHECKOUT.get(name, Path(name))):
        if folder.is_dir():
            return folder
    raise UsageError(f"this installation of cof-eval lacks its {name!r} folder; install it again")


def run_path(settings: ModelSettings, protocol: str) -> Path:
    """The run folder of a model's arguments."""
    if settings.run:
        return Path(settings.run).expanduser()
    engine = "" if settings.engine == "vllm" else settings.engine
    view = "" if settings.view is ImageView.FULL else f"view-{settings.view}"
    return default_run(settings.pretrained, protocol, Path(settings.lora or "").name, engine, view)


def default_run(pretrained: str, protocol: str, *more: str) -> Path:
    """Where a run goes that was given no folder: `results/runs/<checkpoint>-<protocol>[-<more>]` below the working directory."""
    parts = [Path(pretrained).name or "model", protocol, *more]
    return Path("results", "runs", re.sub(r"[^A-Za-z0-9._=+-]+", "-", "-".join(part for part in parts if part)))
