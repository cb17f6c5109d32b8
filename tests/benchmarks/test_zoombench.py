"""ZoomBench: options inside the query, open questions, and the crop that its view `target` shows."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from tables import ZOOM_SCHEMA, png, write_parquet, zoom_rows

from cof_eval.benchmarks import BENCHMARKS
from cof_eval.benchmarks.views import view_items
from cof_eval.core.image_view import ImageView


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COF_CACHE", str(tmp_path / "cache"))


def test_the_query_is_asked_as_it_stands_and_its_view_target_is_the_benchmarks_own_crop(tmp_path: Path) -> None:
    file = write_parquet(tmp_path / "test.parquet", zoom_rows(), ZOOM_SCHEMA)
    rows = BENCHMARKS["zoombench"].load(file)
    choice, written = (item.question for item in rows)
    assert (choice.options, choice.answer, choice.category) == (("0", "2", "1", "3"), "C", "choice")
    assert choice.text == zoom_rows()[0]["query"]
    assert (written.options, written.answer, written.category) == ((), "EXIT 4", "open")
    targets = view_items(rows, ImageView.TARGET)
    assert [item.image and item.image.read() for item in targets] == [png(9, 60, 40)] * 2
    assert [item.image.read() for item in BENCHMARKS["zoombench"].load(file)] == [png(8)] * 2


def test_a_copy_with_other_names_a_box_and_no_crop_is_read_too(tmp_path: Path) -> None:
    named = {"query": "prompt", "response": "answer"}
    rows = [
        {named.get(k, k): v for k, v in row.items() if k != "crop_image"} | {"bbox": [1.0, 2.0, 30.0, 40.0]}
        for row in zoom_rows()
    ]
    schema = {named.get(k, k): v for k, v in ZOOM_SCHEMA.items() if k != "crop_image"} | {"bbox": pa.list_(pa.float64())}
    found = BENCHMARKS["zoombench"].load(write_parquet(tmp_path / "x.parquet", rows, schema))
    assert [item.question.boxes for item in found] == [((1.0, 2.0, 30.0, 40.0),)] * 2
    assert [item.target for item in found] == [None, None]


def test_options_that_cannot_be_told_apart_are_letters(tmp_path: Path) -> None:
    row = zoom_rows()[0] | {"query": "Which of them?", "response": "D"}
    (item,) = BENCHMARKS["zoombench"].load(write_parquet(tmp_path / "x.parquet", [row], ZOOM_SCHEMA))
    assert (item.question.options, item.question.answer) == (tuple("ABCDEF"), "D")
