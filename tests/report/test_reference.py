"""The stored reference report follows from the stored runs, and the pages that show it find its pictures."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest

from cof_eval.report import reported
from cof_eval.run import load_run

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "results" / "reference" / "demo"


def test_the_stored_table_is_the_one_of_the_stored_runs() -> None:
    runs = reported([load_run(REFERENCE / name) for name in ("cof", "direct")])
    made = pd.concat([run.sweep for run in runs], ignore_index=True)
    stored = pd.read_csv(REFERENCE / "report" / "sweep.csv", dtype={"resolution": str})
    pd.testing.assert_frame_equal(made, stored, check_dtype=False, rtol=1e-4)


def test_it_says_that_it_measures_no_model() -> None:
    text = (REFERENCE / "report" / "summary.md").read_text()
    assert text.startswith("**Complete: all 192 rows are answered and scored.**")
    assert "measures no model" in text


@pytest.mark.parametrize("page", [ROOT / "docs" / "report.md", REFERENCE / "report" / "report.md"], ids=lambda page: page.name)
def test_links_and_pictures_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#]+)\)", page.read_text())
    assert targets
    assert not [target for target in targets if not (page.parent / target).exists()]
