"""docs/first-run.md shows what its commands print: run as they stand, and compared line by line, numbers aside."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from commands import Done, forked
from guides import ROOT, blocks

pytestmark = pytest.mark.slow

RUN, BASELINE, COMPARE = blocks("first-run.md", "bash")
SHOWN, SHOWN_BASELINE, SHOWN_COMPARISON, CALL, ANSWER = blocks("first-run.md", "text")


def shapes(text: str) -> list[str]:
    """Lines without their numbers and their spacing: both follow the machine."""
    text = re.sub(r"into \S+, some", "into a folder, some", text)
    numberless = [re.sub(r"[-+]?\d[\d.,:]*|/min|/s", "#", line) for line in text.splitlines()]
    return [" ".join(line.split()) for line in numberless if line.strip()]


def run(folder: Path, command: str) -> Done:
    words = shlex.split(command)
    assert words[0] == ".venv/bin/cof-eval"
    return forked(*words[1:], folder=folder, COF_CACHE=str(folder / "cache"))


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> list[Done]:
    """What the page's three commands say, one after the other, in a folder that has the small model."""
    folder = tmp_path_factory.mktemp("first")
    (folder / "results").mkdir()
    (folder / "results" / "reference").symlink_to(ROOT / "results" / "reference")
    return [run(folder, command) for command in (RUN, BASELINE, COMPARE)]


def test_every_line_of_the_listing_is_printed_and_explained(done: list[Done]) -> None:
    said = shapes(done[0].err + done[0].out)
    shown = shapes(SHOWN)
    assert [line for line in shown if not line.startswith("run:")] == [line for line in said if not line.startswith("run:")]
    assert [line for line in shown if line.startswith("run:")] == [line for line in said if line.startswith("run:")][-1:]
    assert done[0].status == 0


def test_the_baseline_ends_as_shown(done: list[Done]) -> None:
    assert set(shapes(SHOWN_BASELINE)) <= set(shapes(done[1].out))
    assert done[1].status == 1


def test_the_comparison_is_printed_as_shown(done: list[Done]) -> None:
    printed = shapes(done[2].out)
    start = printed.index(shapes(SHOWN_COMPARISON)[0])
    assert printed[start : start + 2] == shapes(SHOWN_COMPARISON)[:2]


def test_the_columns_of_each_listing_are_explained() -> None:
    page = (ROOT / "docs" / "first-run.md").read_text()
    explained = set(re.findall(r"`([^`]+)`", "".join(re.findall(r"^\| `.*?\|", page, re.MULTILINE))))
    heads = [re.split(r"  +", line.strip()) for line in (*SHOWN.splitlines(), *SHOWN_COMPARISON.splitlines())]
    columns = {name for head in heads if head[0] == "resolution" for name in head[1:]}
    assert columns <= explained, columns - explained
