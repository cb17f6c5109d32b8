"""Shared fixtures: the photographs that only the project's own machines have, and where the package is."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("cof-eval", deadline=None)  # machines differ; no test here is about time
settings.load_profile("cof-eval")

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))


@pytest.fixture(scope="session")
def photos() -> Path:
    """Nine V*-style questions on real photographs, in the benchmark's layout."""
    folder = ROOT.parent / "shared" / "data" / "vstar_photos"
    if not folder.is_dir():
        pytest.skip("../shared/data/vstar_photos is absent: this test needs real photographs")
    return folder


@pytest.fixture(scope="session")
def contracts() -> Path:
    """The exact prompt strings of published checkpoints."""
    file = ROOT.parent / "shared" / "data" / "prompt_contracts.json"
    if not file.is_file():
        pytest.skip("../shared/data/prompt_contracts.json is absent: this test compares prompts with it")
    return file


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Alone, fast tests first. Beside each other (`-n 2`), a real vLLM's tests keep one process busy while another runs the rest."""
    parallel = hasattr(config, "workerinput")
    items.sort(key=lambda item: (item.get_closest_marker("engine") is None) is parallel)
    if parallel:
        for item in items:
            group = "engine" if item.get_closest_marker("engine") else str(item.path)
            item.add_marker(pytest.mark.xdist_group(group))
