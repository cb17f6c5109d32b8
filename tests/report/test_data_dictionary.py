"""docs/data-dictionary.md has every column of every table and every field of every journal, and no other."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pandas as pd
import pytest
import yaml

from cof_eval.core.records import Call, Crop, ImageRef, Question, Row, ShownImage, ToolCall, Trajectory, Turn, Verdict
from cof_eval.report.benchmark_metrics import MetricValue
from cof_eval.report.call_targets import CALL_COLUMNS
from cof_eval.report.compare import FLIP_COLUMNS, PAIRED_COLUMNS
from cof_eval.report.rows import ROW_COLUMNS
from cof_eval.report.summary import SWEEP_COLUMNS
from cof_eval.report.target_summary import TARGET_COLUMNS
from cof_eval.report.zoom_worth import WORTH_COLUMNS
from cof_eval.runs.spending import Paid

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "data-dictionary.md").read_text()
REFERENCE = ROOT / "results" / "reference" / "demo"
TABLES = {
    "### rows": list(ROW_COLUMNS),
    "### calls": list(CALL_COLUMNS),
    "### sweep": list(SWEEP_COLUMNS),
    "### metrics": ["run", *(field.name for field in fields(MetricValue))],
    "### looking": list(TARGET_COLUMNS),
    "### pairs": [*PAIRED_COLUMNS, "run", "other"],
    "### flips": list(FLIP_COLUMNS),
    "### worth": list(WORTH_COLUMNS),
}
RECORDS = {
    "### questions.jsonl": Question,
    "### rows.jsonl": Row,
    "### trajectories.jsonl": Trajectory,
    "A shown image:": ShownImage,
    "A native image:": ImageRef,
    "A turn:": Turn,
    "A call.": Call,
    "A native call:": ToolCall,
    "### spending.jsonl": Paid,
    "A crop:": Crop,
    "### verdicts.jsonl": Verdict,
}


def documented(heading: str) -> list[str]:
    """The names in the first column of the first table after a heading."""
    after = PAGE.split(f"\n{heading}", 1)[1]
    table = re.search(r"(?:^\|.*\n)+", after, re.MULTILINE)
    assert table is not None
    rows = table.group().splitlines()[2:]
    return [name for row in rows for name in re.findall(r"`([\w ]+)`", row.split("|")[1])]


@pytest.mark.parametrize("heading", TABLES)
def test_every_column_of_a_table_is_explained(heading: str) -> None:
    assert sorted(documented(heading)) == sorted(TABLES[heading])


@pytest.mark.parametrize("heading", RECORDS)
def test_every_field_of_a_journal_is_explained(heading: str) -> None:
    assert documented(heading) == [field.name for field in fields(RECORDS[heading])]


@pytest.mark.parametrize("path", sorted((REFERENCE / "report").glob("*.csv")), ids=lambda path: path.name)
def test_every_column_of_a_written_table_is_explained(path: Path) -> None:
    some = ("usd", "extra")  # of runs with prices, and of data with further columns
    explained = [name for name in documented(f"### {path.stem}\n") if not name.startswith(some)]
    assert sorted(explained) == sorted(pd.read_csv(path, nrows=0).columns)


def test_every_key_of_the_settings_is_explained() -> None:
    settings = yaml.safe_load((REFERENCE / "sft" / "run.yaml").read_text())
    later = {"view", "outside", "prices", "servers"}  # the reference run is older
    assert set(documented("## run.yaml")) == {*settings, *later}
