"""CV-Bench: the prompt as it stands, and the authors' figure that weighs sources and not rows."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from tables import CV_SCHEMA, cv_rows, write_cvbench, write_parquet

from cof_eval.benchmarks import BENCHMARKS
from cof_eval.benchmarks.metrics import JudgedAnswer
from cof_eval.core.records import Outcome


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COF_CACHE", str(tmp_path / "cache"))


def test_both_files_are_read_and_the_prompt_is_asked_as_it_stands(tmp_path: Path) -> None:
    rows = BENCHMARKS["cvbench"].load(write_cvbench(tmp_path / "data"))
    assert [item.question.category for item in rows] == [
        "2D/ADE20K/Count",
        "2D/COCO/Relation",
        "2D/COCO/Count",
        "3D/Omni3D/Depth",
    ]
    first = rows[0].question
    assert first.text.startswith(cv_rows()[0]["prompt"] + "\n")
    assert (first.options, first.answer) == (("3", "2", "1", "0"), "C")


def test_without_its_prompt_a_question_is_written_with_its_choices(tmp_path: Path) -> None:
    file = write_parquet(tmp_path / "test_2d.parquet", [cv_rows()[0] | {"prompt": None}], CV_SCHEMA)
    (item,) = BENCHMARKS["cvbench"].load(file)
    assert "(C) 1\n(D) 0" in item.question.text


def test_the_authors_figure_is_the_mean_of_2d_and_3d_whatever_the_numbers_of_rows(tmp_path: Path) -> None:
    """As the example code of the dataset card computes it, on 1 of 1, 1 of 2 and 0 of 1 right."""
    rows = BENCHMARKS["cvbench"].load(write_cvbench(tmp_path / "data"))
    right = [True, True, False, False]
    judged = [
        JudgedAnswer(item.question, "x", Outcome.CORRECT if ok else Outcome.WRONG) for item, ok in zip(rows, right, strict=True)
    ]
    values = {metric.name: metric.of(judged) for metric in BENCHMARKS["cvbench"].metrics}
    assert values == pytest.approx({"balanced": 0.375, "acc_2d": 0.75, "acc_3d": 0, "ade20k": 1, "coco": 0.5, "omni3d": 0})
    partial = {metric.name: metric.of(judged[:3]) for metric in BENCHMARKS["cvbench"].metrics}
    assert math.isnan(partial["balanced"])
    assert partial["acc_2d"] == 0.75
