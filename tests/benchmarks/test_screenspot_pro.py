"""ScreenSpot-Pro: annotation files with screenshots next to them, and boxes that must be ones of pixels."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest
from tables import STRUCT, embedded, png, spot_rows, write_parquet, write_screenspot_pro

from cof_eval.benchmarks import BENCHMARKS
from cof_eval.benchmarks.views import exclusions, view_items
from cof_eval.core.image_view import ImageView
from cof_eval.core.records import AnswerKind


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COF_CACHE", str(tmp_path / "cache"))


def test_the_authors_folder_is_read(tmp_path: Path) -> None:
    rows = BENCHMARKS["screenspot_pro"].load(write_screenspot_pro(tmp_path / "data"))
    first = rows[0].question
    assert (first.kind, first.boxes, first.category) == (AnswerKind.POINT, ((30.0, 20.0, 60.0, 45.0),), "Dev/icon")
    assert "save the file" in first.text
    assert dict(first.extra) == {"application": "vscode", "platform": "macos"}
    assert rows[0].image.read() == png(13)


def test_a_copy_with_embedded_images_is_read_too(tmp_path: Path) -> None:
    schema = {
        "image": STRUCT,
        "img_filename": pa.string(),
        "bbox": pa.string(),
        "img_size": pa.string(),
        **dict.fromkeys(("instruction", "ui_type", "id", "group"), pa.string()),
    }
    row = {k: v for k, v in spot_rows()[0].items() if k in schema}
    row |= {"image": embedded(13), "bbox": "[30, 20, 60, 45]", "img_size": "[120, 90]"}
    (item,) = BENCHMARKS["screenspot_pro"].load(write_parquet(tmp_path / "test-0.parquet", [row], schema))
    assert item.question.boxes == ((30.0, 20.0, 60.0, 45.0),)
    assert item.image.read() == png(13)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"bbox": [0.25, 0.2, 0.5, 0.5]}, "is not one of pixels"),
        ({"bbox": [100, 20, 160, 45]}, "is not one of pixels"),
        ({"bbox": [30, 20, 30, 45]}, "has no area"),
        ({"bbox": [[1, 2, 3, 4], [5, 6, 7, 8]]}, "is not one"),
        ({"bbox": "(" * 500}, "no list of"),
        ({"img_size": "(("}, "row 2"),
        ({"instruction": None}, "instruction"),
    ],
)
def test_boxes_in_other_units_are_bad_rows(changes: dict[str, object], says: str, tmp_path: Path) -> None:
    folder = write_screenspot_pro(tmp_path / "data")
    (folder / "annotations/vscode_macos.json").write_text(json.dumps([spot_rows()[0], spot_rows()[1] | changes]))
    rows = BENCHMARKS["screenspot_pro"].load(folder)
    assert (len(rows), len(rows.bad)) == (1, 1)
    assert says in str(rows.bad[0])


@pytest.mark.parametrize("view", [ImageView.TARGET, ImageView.NONE])
def test_a_point_is_one_of_the_whole_image(view: ImageView, tmp_path: Path) -> None:
    rows = BENCHMARKS["screenspot_pro"].load(write_screenspot_pro(tmp_path / "data"))
    assert view_items(rows, view) == []
    (told,) = exclusions(rows, view)
    assert told.startswith("2 of 2 questions of screenspot_pro are excluded (its answer is a point in the whole image)")
