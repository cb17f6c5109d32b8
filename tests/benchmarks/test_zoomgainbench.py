"""ZoomGainBench: columns by their usual names, language and kind from columns or from the names of files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tables import png, write_zoomgainbench

from cof_eval.benchmarks import BENCHMARKS, Rows
from cof_eval.core.errors import DataError


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COF_CACHE", str(tmp_path / "cache"))


def loaded(folder: Path, row: dict[str, Any], name: str = "rows.jsonl") -> Rows:
    (folder / "images").mkdir(parents=True, exist_ok=True)
    (folder / "images/1.png").write_bytes(png(1))
    (folder / name).write_text(json.dumps(row))
    return BENCHMARKS["zoomgainbench"].load(folder)


def test_languages_and_kinds_come_from_the_names_of_the_files(tmp_path: Path) -> None:
    rows = BENCHMARKS["zoomgainbench"].load(write_zoomgainbench(tmp_path / "data"))
    assert {item.question.category: item.question.answer for item in rows} == {"en/count": "B", "zh/ocr": "A"}
    assert {item.question.id for item in rows} == {"en/count/1", "zh/ocr/1"}


@pytest.mark.parametrize(
    "row",
    [
        {"query": "Which?", "response": "(B)", "images": ["images/1.png"], "choices": ["red", "blue"], "lang": "en", "type": "Attribute"},
        {"problem": "<image>\nWhich?", "solution": "blue", "image_path": "1.png", "options": {"A": "red", "B": "blue"}, "language": "English",
         "task": "attribute"},
        {"prompt": "Which?", "label": "B", "file_name": "images/1.png", "A": "red", "B": "blue", "lang": "EN", "category": "attr"},
        {"question": "Which?\n(A) red\n(B) blue", "answer": "B.", "image_name": "1.png", "language": "en", "category": "attribute"},
    ],
)  # fmt: skip
def test_columns_are_known_by_their_usual_names(row: dict[str, Any], tmp_path: Path) -> None:
    (item,) = loaded(tmp_path / "data", row)
    assert (item.question.options, item.question.answer, item.question.category) == (("red", "blue"), "B", "en/attribute")
    assert "(A) red\n(B) blue" in item.question.text
    assert item.image.read() == png(1)


def test_a_table_with_other_columns_is_refused_with_a_list_of_them(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"required field `answer`.*columns .*gold"):
        loaded(tmp_path, {"question": "Which?", "gold": "B", "image": "images/1.png"})


def test_an_open_question_is_one_without_options(tmp_path: Path) -> None:
    (item,) = loaded(tmp_path, {"question": "How many?", "answer": 12, "image": "images/1.png"}, "zh_count.json")
    assert (item.question.options, item.question.answer, item.question.category) == ((), "12", "zh/count")
