"""What all tests share: one thread a process, the fast selection, and which files run first."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import settings
from selection import COSTLY, marks_of_all, needs_engine
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported: two workers on two cores, one thread each
for _name in ("NO_PROXY", "no_proxy"):  # the tests' own servers are on loopback, whatever proxy this machine has
    os.environ[_name] = ",".join(filter(None, [os.environ.get(_name), "127.0.0.1", "localhost"]))

settings.register_profile("cof-eval", deadline=None)  # machines differ; no test here is about time
settings.load_profile("cof-eval")

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def contracts() -> Path:
    """The exact prompt strings of published checkpoints, each with its source."""
    return ROOT / "tests" / "data" / "prompt_contracts.json"


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--fast`, which `make test-fast` passes."""
    parser.addoption("--fast", action="store_true", help="leave out what is marked slow or engine (tests/README.md)")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """A fast run does not even import a file that is marked as a whole."""
    return True if config.getoption("--fast") and marks_of_all(collection_path) else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Alone, fast tests first. With `-n 2`, a real vLLM's tests keep one process busy while another begins with the slow files."""
    if config.getoption("--fast"):
        slow = [item for item in items if any(item.get_closest_marker(mark) for mark in COSTLY)]
        config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if item not in set(slow)]
    if "network" not in config.getoption("markexpr"):
        asking = [item for item in items if item.get_closest_marker("network")]
        config.hook.pytest_deselected(items=asking)
        items[:] = [item for item in items if item not in set(asking)]
    if find_spec("vllm") is None:
        for item in (item for item in items if item.get_closest_marker("engine")):
            item.add_marker(pytest.mark.skip(reason="vLLM is not installed (profile light): this test needs a real engine"))
    items.sort(key=_cost, reverse=hasattr(config, "workerinput"))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling:
    """A file's tests share a process, and so do all files that need a real vLLM."""
    return _ByFile(config, log)


class _ByFile(LoadScopeScheduling):
    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.split("::", 1)[0]
        return "engine" if needs_engine(ROOT / file) else file


def _cost(item: pytest.Item) -> int:
    """0 for a file of the fast run, 1 for a file that is slow as a whole, 2 for one that needs a real vLLM."""
    return 2 if needs_engine(item.path) else len(marks_of_all(item.path))
