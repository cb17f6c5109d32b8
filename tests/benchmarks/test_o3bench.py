"""O3-Bench: images next to the metadata, options as lines, and the layouts that an answer needs as boxes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tables import o3_rows, png, write_o3bench

from cof_eval.benchmarks import BENCHMARKS


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COF_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize("place", ["", "test", "test/metadata.jsonl"])
def test_images_options_and_layouts_are_found_from_any_place_of_the_data_set(place: str, tmp_path: Path) -> None:
    rows = BENCHMARKS["o3bench"].load(write_o3bench(tmp_path / "O3-Bench") / place)
    first, second = rows
    assert first.question.text == f"{o3_rows()[0]['question']}\n{o3_rows()[0]['options']}"
    assert (len(first.question.options), first.question.answer, first.question.category) == (6, "E", "map")
    assert first.question.boxes == ((10.5, 5.0, 20.5, 30.25), (31.5, 5.0, 41.5, 30.25))
    assert (second.question.answer, second.question.category) == ("A", "chart")
    assert [item.image.read() for item in rows] == [png(20), png(21)]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"target_layouts": [1, 9]}, "target_layouts has 9"),
        ({"options": ""}, "options"),
        ({"answer": "G"}, "has the label 'G'"),
        ({"file_name": "../secret.png"}, "allow-outside"),
    ],
)
def test_a_row_that_makes_no_sense_is_bad_and_the_other_is_asked(changes: dict[str, object], says: str, tmp_path: Path) -> None:
    folder = write_o3bench(tmp_path / "data")
    (folder / "test/metadata.jsonl").write_text("\n".join(map(json.dumps, [o3_rows()[0], o3_rows()[1] | changes])))
    rows = BENCHMARKS["o3bench"].load(folder)
    assert (len(rows), len(rows.bad)) == (1, 1)
    assert says in str(rows.bad[0])
    assert "metadata.jsonl, row 2" in str(rows.bad[0])
