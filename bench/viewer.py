"""The report's page for 100,000 trajectories in a real Chromium: how long until it shows."""

from __future__ import annotations

import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.figures import Figure, below
from cof_eval.core.records import (
    Call,
    Crop,
    Finish,
    ImageRef,
    Outcome,
    Question,
    Row,
    ShownImage,
    Stop,
    Trajectory,
    Turn,
    Verdict,
    digest,
)
from cof_eval.core.resolution import SWEEP
from cof_eval.runs.folder import RunData

if TYPE_CHECKING:
    from playwright.sync_api import Browser

QUESTIONS, OPENED = 12_500, 5
"""Distinct questions, each at eight resolutions; how often each page is opened, the median counts."""
THOUGHT = (
    "<think>The object is small at this size, so I look closer at the place where it should be, left of the door.</think>\n"
)
CALL = '<tool_call>{"name": "image_zoom_in_tool", "arguments": {"bbox_2d": [120, 80, 260, 190]}}</tool_call>'
PAINTED = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"


@dataclass(frozen=True, slots=True)
class _Page:
    """A page to open, and what shows when it is there."""

    name: str
    address: str
    selector: str
    text: str


PAGES = (
    _Page("viewer: first page", "", "table.grid strong", ""),
    _Page("viewer: list, all rows read", "#/list", ".tally", "100\u202f000 rows"),
    _Page(
        "viewer: a trajectory by link",
        "#/trajectory?run=0&task=cof_bench_4k&doc=12499&repeat=0",
        "article.trajectory h1",
        "Question 12499",
    ),
)


def viewer() -> list[Figure]:
    """Seconds until each page shows; nothing if there is no browser here."""
    program = next((found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None)
    if program is None:
        print("viewer: not measured, no Chromium found; install the package chromium", flush=True)
        return []
    with tempfile.TemporaryDirectory() as folder:
        url, written = _write(Path(folder))
        return list(_opened(program, url, written))


def _write(folder: Path) -> tuple[str, str]:
    """The page's address, and what it took to write it."""
    from cof_eval.report.rows import rows_table
    from cof_eval.report.summary import summarize
    from cof_eval.report.viewer import write_viewer

    run = _run(folder)
    sweep = summarize(rows_table(run, label="bench"))
    started = time.perf_counter()
    page = write_viewer([run], folder, labels=["bench"], sweep=sweep)
    seconds = time.perf_counter() - started
    megabytes = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6
    return page.as_uri(), f"{len(run.rows):,} trajectories, written in {seconds:.1f} s as {megabytes:.0f} MB"


def _opened(program: str, url: str, written: str) -> Iterator[Figure]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        for page in PAGES:
            times = [_seconds(browser, url, page) for _ in range(OPENED)]
            detail = f"{written}; median of {OPENED}, slowest {max(times):.2f} s"
            yield below(page.name, statistics.median(times), 2, "s", detail)
        browser.close()


def _seconds(browser: Browser, url: str, page: _Page) -> float:
    """From the first request to what is painted, with nothing cached."""
    with browser.new_context(viewport={"width": 1280, "height": 900}) as context:
        opened = context.new_page()
        started = time.perf_counter()
        opened.goto(url + page.address, wait_until="commit")
        opened.locator(page.selector).filter(has_text=page.text).first.wait_for()
        opened.evaluate(PAINTED)
        return time.perf_counter() - started


def _run(path: Path) -> RunData:
    rows, trajectories, verdicts = [], {}, {}
    for resolution in SWEEP:
        for i in range(QUESTIONS):
            key = f"{i}/{resolution.name}"
            rows.append(Row(f"cof_bench_{resolution.name}", i, str(i), "bench", resolution.name, 0, key, 50_176))
            trajectories[key] = _trajectory(key, i)
            outcome = Outcome.CORRECT if i % 3 else Outcome.WRONG
            verdicts[key] = Verdict(key, "strict@00000000", "", outcome, "rule:letter", label="B")
    return RunData(path, {"label": "bench"}, tuple(rows), trajectories, verdicts, len(rows))


def _trajectory(key: str, i: int) -> Trajectory:
    options = ("one", "two", "three", "four")
    text = f"Question {i}: what is the colour of the small object beside the door?\n(A) one\n(B) two\n(C) three\n(D) four"
    question = Question(str(i), "bench", f"category {i % 7}", str(i // 2), text, options, "B", ((900, 700, 1000, 800),))
    zooms = [_turn(CALL, (Call(CALL, (120, 80, 260, 190), "shown", crop=_crop(key, turn)),)) for turn in range(i % 4)]
    turns = (*zooms, _turn("<answer>B</answer>", ()))
    image = ImageRef(f"{i:032x}", (2246, 1582))
    return Trajectory(
        key, question, image, "cof", ShownImage((448, 308), 176, f"{i:032x}"), turns, "B", Stop.ANSWERED, wall_s=2.0
    )


def _crop(key: str, turn: int) -> Crop:
    return Crop(digest(key, turn), (280, 224), (601.0, 411.0, 1304.0, 976.0), 80)


def _turn(said: str, calls: tuple[Call, ...]) -> Turn:
    return Turn(THOUGHT + said, Finish.STOP, 900, 700, 60, 176, 0.8, calls)
