"""A report of two looked-at runs, written once, and a browser to open it in."""

from __future__ import annotations

import asyncio
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from fakes import ScriptedJudgeClient

sys.path.insert(0, str(Path(__file__).parent))

from scripted_runs import answer_items

from cof_eval.agent.protocols import DIRECT
from cof_eval.benchmarks import vstar
from cof_eval.benchmarks.synthetic.scenes import write_scenes
from cof_eval.core.settings import KeepImages
from cof_eval.report import report_runs, write_report
from cof_eval.runs.folder import RunData, load_run

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@dataclass(frozen=True)
class Looked:
    """A written report and the runs that it is of."""

    out: Path
    runs: list[RunData]

    @property
    def url(self) -> str:
        return (self.out / "index.html").as_uri()


@pytest.fixture(scope="session")
def looked(tmp_path_factory: pytest.TempPathFactory) -> Looked:
    """Scenes at three resolutions under `cof`, unscored in part, and at two under `direct`, unfinished."""
    folder = tmp_path_factory.mktemp("looked")
    items = vstar.load(write_scenes(folder / "scenes", count=6, seed=1))
    client = ScriptedJudgeClient(lambda prompt: "1", fail=lambda prompt: len(prompt) % 2 == 0)
    asyncio.run(answer_items(folder / "cof", items, ("224", "448", "1024"), label="looker · cof", client=client))
    asyncio.run(
        answer_items(
            folder / "direct",
            items,
            ("224", "448"),
            protocol=DIRECT,
            label="looker · direct",
            keep_images=KeepImages.ALL,
            expected=20,
        )
    )
    runs = [load_run(folder / name) for name in ("cof", "direct")]
    write_report(report_runs(runs), folder / "cof" / "report")
    return Looked(folder / "cof" / "report", runs)


@pytest.fixture(scope="module")
def browser(looked: Looked) -> Iterator[Browser]:
    """One Chromium for all tests of a module; `looked` first, because no event loop may start beside it."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (extra `dev`)")
    program = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if program is None:
        pytest.skip(f"no browser found (looked for {', '.join(BROWSERS)}); install the package chromium to test the viewer")
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def window(browser: Browser) -> Iterator[BrowserContext]:
    """One window for all tests: a new one for each would take longer than most of them."""
    with browser.new_context(viewport={"width": 1280, "height": 900}) as context:
        yield context


@dataclass
class Heard:
    """What a page did besides showing itself."""

    problems: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def page(window: BrowserContext, heard: Heard) -> Iterator[Page]:
    """A fresh page; at the end nothing may have gone wrong in it, and nothing may have been asked of a network."""
    opened: Any = window.new_page()
    opened.set_default_timeout(10_000)
    opened.on("console", lambda message: heard.problems.append(message.text) if message.type == "error" else None)
    opened.on("pageerror", lambda error: heard.problems.append(str(error)))
    opened.on("dialog", lambda dialog: heard.problems.append(f"dialog: {dialog.message}") or dialog.dismiss())
    opened.on("request", lambda request: heard.requests.append(request.url))
    opened.on("requestfailed", lambda request: heard.requests.remove(request.url) if request.failure == "csp" else None)
    yield opened
    opened.close()
    assert not heard.problems
    assert all(url.startswith("file:") for url in heard.requests)
