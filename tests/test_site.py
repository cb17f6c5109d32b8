"""The documentation builds strictly: every page is reached, and a broken link, anchor or inclusion fails the build."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from guides import ROOT

_NEEDS_MKDOCS = pytest.mark.skipif(
    importlib.util.find_spec("mkdocs") is None or importlib.util.find_spec("mkdocstrings") is None,
    reason="the extra `docs` is not installed",
)
pytestmark = [pytest.mark.slow, _NEEDS_MKDOCS]


def checkout(folder: Path) -> Path:
    """The sources of the site: its pages copied, so that they can be changed, and the rest linked."""
    shutil.copytree(ROOT / "docs", folder / "docs")
    shutil.copytree(ROOT / "scripts", folder / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
    for path in ROOT.iterdir():
        if path.name not in {"docs", "scripts", "site"} and not path.name.startswith("."):
            (folder / path.name).symlink_to(path)
    return folder


def build(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder / "built")]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built from this checkout."""
    folder = checkout(tmp_path_factory.mktemp("site"))
    done = build(folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "built"


class Loaded(HTMLParser):
    """What a browser fetches for a page by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = dict(attributes)
        if tag in ("img", "script", "iframe", "source", "video", "audio"):
            self.found.append(values.get("src") or "")
        if tag == "link" and values.get("rel") in ("stylesheet", "preconnect", "dns-prefetch", "icon", "preload"):
            self.found.append(values.get("href") or "")


def test_a_reader_s_browser_fetches_nothing_from_elsewhere(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 40
    for page in pages:
        parser = Loaded()
        parser.feed(page.read_text())
        assert not [url for url in parser.found if re.match(r"(https?:)?//", url)], page


def test_a_page_holds_the_script_that_it_includes_and_the_docstrings_that_it_names(site: Path) -> None:
    python, agent = ((site / name / "index.html").read_text() for name in ("python", "api/agent"))
    assert "RedFinder" in python and "--8&lt;--" not in python
    assert 'id="cof_eval.agent.rollout.rollout"' in agent and ":::" not in agent


def test_links_of_the_repository_lead_to_pages_of_the_site_and_else_to_the_repository(site: Path) -> None:
    benchmarks, report = ((site / name / "index.html").read_text() for name in ("benchmarks", "report"))
    assert 'href="../tasks/vstar/"' in benchmarks
    assert 'src="../pictures/sweep.png"' in report and (site / "pictures" / "sweep.png").is_file()
    assert "https://github.com/cof-eval/cof-eval/tree/main/results/reference/demo" in report


def planted(folder: Path, *lines: str) -> subprocess.CompletedProcess[str]:
    """A build with these lines at the end of a page."""
    with (checkout(folder) / "docs" / "vocabulary.md").open("a") as page:
        page.write("".join(f"\n{line}\n" for line in lines))
    return build(folder)


def test_broken_links_fail_the_build_which_names_each(tmp_path: Path) -> None:
    targets = ["nonesuch.md", "../nonesuch/README.md", "report.md#nonesuch", "../results/reference/demo/report/nonesuch.png"]
    done = planted(
        tmp_path, *(f"![broken]({target})" if target.endswith("png") else f"[broken]({target})" for target in targets)
    )
    assert done.returncode != 0
    warnings = [line for line in done.stderr.splitlines() if line.startswith("WARNING")]
    assert [target for target in targets if not any(f"'{target}'" in line for line in warnings)] == []


@pytest.mark.parametrize("line", ['```python\n--8<-- "examples/nonesuch.py"\n```', "::: cof_eval.nonesuch"])
def test_a_script_or_a_docstring_that_is_not_there_fails_the_build(tmp_path: Path, line: str) -> None:
    done = planted(tmp_path, line)
    assert done.returncode != 0
    assert "nonesuch" in done.stderr
