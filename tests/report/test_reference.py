"""The stored reference report follows from the stored runs, and the pages that show it find its pictures."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest

from cof_eval.report import report_runs
from cof_eval.runs.folder import load_run

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "results" / "reference" / "demo"
RUNS = ("sft", "base", "rl")


@pytest.mark.slow
def test_the_stored_table_is_the_one_of_the_stored_runs() -> None:
    runs = report_runs([load_run(REFERENCE / name) for name in RUNS])
    made = pd.concat([table for run in runs for table in (run.means, run.sweep)], ignore_index=True)
    made = made[[name for name in made.columns if not name.startswith("usd")]]  # these runs have no prices
    stored = pd.read_csv(REFERENCE / "report" / "sweep.csv", dtype={"resolution": str})
    pd.testing.assert_frame_equal(made, stored, check_dtype=False, rtol=1e-4)


def test_it_says_what_was_measured_and_what_that_is_worth() -> None:
    text = (REFERENCE / "report" / "summary.md").read_text()
    assert "says nothing about photographs" in text
    assert all(f"{name} · " in text for name in RUNS)


def test_the_readme_shows_the_headlines_of_the_stored_report() -> None:
    (shown,) = re.findall(r"```text\n(sft · .*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    summary = (REFERENCE / "report" / "summary.md").read_text()
    assert len(shown.splitlines()) == 2
    assert all(f"**{line}**" in summary for line in shown.splitlines())


@pytest.mark.parametrize("page", [ROOT / "docs" / "report.md", REFERENCE / "report" / "report.md"], ids=lambda page: page.name)
def test_links_and_pictures_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#]+)\)", page.read_text())
    assert targets
    assert not [target for target in targets if not (page.parent / target).exists()]
