"""Tables as files: no cell that a spreadsheet runs, and the same files from the same run."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from cof_eval.core.records import Outcome
from cof_eval.core.text import spreadsheet_cell
from cof_eval.report import report_runs
from cof_eval.report.rows import tidy
from cof_eval.report.table_files import write_table


@pytest.mark.parametrize("text", ["=1+1", "+A1", "-A1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "  =1", '=HYPERLINK("x")', "＝1"])
def test_what_a_spreadsheet_would_run_is_text(text: str) -> None:
    assert spreadsheet_cell(text) == f"'{text}"


@pytest.mark.parametrize("text", ["-5", "+3.2", "-1e5", "A", "a=b", "1-2", "'=1", "", "12%"])
def test_numbers_and_other_texts_stay_as_they_are(text: str) -> None:
    assert spreadsheet_cell(text) == text


def test_every_text_of_a_table_and_its_header_is_defused(make_run, asked, tmp_path: Path) -> None:
    hostile = "=cmd|' /C calc'!A0"
    run = make_run(asked("q", "224", Outcome.CORRECT, answer=hostile, category=hostile), label=hostile)
    (ready,) = report_runs([run])
    for name, table in {"rows": ready.rows, "sweep": ready.sweep, "more": pd.DataFrame({"=1": ["=2", None, "-3"]})}.items():
        write_table(table, tmp_path / name)
        stored = pd.read_csv(tmp_path / f"{name}.csv", dtype=str, header=None).stack()
        assert not stored[stored.map(lambda cell: str(cell).startswith("="))].any()
    assert pd.read_parquet(tmp_path / "rows.parquet")["answer"][0] == hostile


def test_calls_stand_in_the_order_of_the_rows_whatever_ended_first(make_run, asked) -> None:
    rows = [asked(f"q{i}", "224", Outcome.CORRECT, zooms=2) for i in range(5)]
    run = make_run(*rows)
    before = tidy(run).calls
    late = dict(reversed(run.trajectories.items()))
    run.trajectories.clear()
    run.trajectories.update(late)
    pd.testing.assert_frame_equal(tidy(run).calls, before)
    assert list(before["trajectory"]) == [row.trajectory_key for row in rows for _ in range(2)]
    assert list(before["zoom"]) == [1, 2] * 5
