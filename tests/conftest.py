"""Shared fixtures: the photographs that only the project's own machines have, and where the package is."""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path

import pytest
from hypothesis import settings
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

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


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Alone, fast tests first. Beside each other (`-n 2`), a real vLLM's tests keep one process busy while another runs the rest."""
    items.sort(key=lambda item: (item.get_closest_marker("engine") is None) is hasattr(config, "workerinput"))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling:
    """A file's tests share a process, and so do all files that need a real vLLM."""
    return _ByFile(config, log)


class _ByFile(LoadScopeScheduling):
    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.split("::", 1)[0]
        return "engine" if _needs_engine(file) else file


@cache
def _needs_engine(file: str) -> bool:
    return "pytest.mark.engine" in (ROOT / file).read_text(encoding="utf-8")
