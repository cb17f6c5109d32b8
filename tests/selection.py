"""Which tests are costly: read off a file's marks, without importing it."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

COSTLY = ("slow", "engine", "network")
"""Marks of tests that a fast run leaves out."""


@cache
def marks_of_all(file: Path) -> frozenset[str]:
    """The costly marks that a test file's `pytestmark` gives to all its tests."""
    lines = re.findall(r"^pytestmark = .*$", _text(file), re.MULTILINE)
    return frozenset(mark for mark in COSTLY if any(f"pytest.mark.{mark}" in line for line in lines))


@cache
def needs_engine(file: Path) -> bool:
    """Whether a test file needs a real vLLM anywhere."""
    return "pytest.mark.engine" in _text(file)


def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8") if file.match("test_*.py") else ""
