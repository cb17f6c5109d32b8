"""AdaptMMBench: domains in files of their own, options and answers in several forms, annotations that are kept and never asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tables import ADAPT_SCHEMA, adapt_rows, write_adaptmmbench, write_parquet

from cof_eval.benchmarks import BENCHMARKS, Rows

FIRST = adapt_rows()["realworld"][0]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COF_CACHE", str(tmp_path / "cache"))


def loaded(tmp_path: Path, **changes: Any) -> Rows:
    return BENCHMARKS["adaptmmbench"].load(write_parquet(tmp_path / "x.parquet", [FIRST | changes], ADAPT_SCHEMA))


def test_all_domains_are_read_and_annotations_are_kept_but_not_asked(tmp_path: Path) -> None:
    by_id = {item.question.id: item.question for item in BENCHMARKS["adaptmmbench"].load(write_adaptmmbench(tmp_path / "data"))}
    assert {name: question.category for name, question in by_id.items()} == {
        "m_1": "math/geometry",
        "rw_1": "realworld/attribute",
    }
    assert by_id["rw_1"].boxes == ((10.0, 20.0, 60.0, 70.0),)
    assert dict(by_id["rw_1"].extra) == {"type_label": "zoom-in", "key_step": "1. Identify the cat."}
    assert not any("Identify" in question.text or "rotation" in question.text for question in by_id.values())


@pytest.mark.parametrize(
    ("options", "answer", "letter"),
    [
        ("(A) 50 (B) 55 (C) 60 (D) 90", "(C) 60", "C"),
        ("A. 50\nB. 55\nC. 60", "C", "C"),
        ("['A: one-to-one', 'B: This is not a one-to-one function']", "B:This is not a one-to-one function", "B"),
        ("['red', 'blue']", "blue", "B"),
    ],
)
def test_options_and_answers_are_read_in_the_forms_that_occur(options: str, answer: str, letter: str, tmp_path: Path) -> None:
    (item,) = loaded(tmp_path, options=options, answer=answer)
    assert item.question.answer == letter
    assert f"({letter}) {item.question.answer_text}" in item.question.text


def test_options_inside_the_question_are_not_written_twice(tmp_path: Path) -> None:
    text = "What is it? Options:\n(A) 50\n(B) 55"
    (item,) = loaded(tmp_path, question=text, options="(A) 50 (B) 55", answer="A")
    assert item.question.text.count("(B) 55") == 1


@pytest.mark.parametrize(("box", "count"), [("", 0), ("None", 0), ("[1, 2, 3, 4]", 1), ("[[1, 2, 3, 4], [5, 5, 9, 9]]", 2)])
def test_boxes_are_one_or_several(box: str, count: int, tmp_path: Path) -> None:
    (item,) = loaded(tmp_path, bbox=box)
    assert len(item.question.boxes) == count


def test_what_is_no_box_is_kept_as_text(tmp_path: Path) -> None:
    (item,) = loaded(tmp_path, bbox="the whole left half")
    assert (item.question.boxes, dict(item.question.extra)["bbox"]) == ((), "the whole left half")


def test_an_answer_beyond_the_options_is_a_bad_row(tmp_path: Path) -> None:
    rows = [FIRST, FIRST | {"uid": "2", "options": "(A) 50 (B) 55", "answer": "(C) 60"}]
    found = BENCHMARKS["adaptmmbench"].load(write_parquet(tmp_path / "x.parquet", rows, ADAPT_SCHEMA))
    assert (len(found), len(found.bad)) == (1, 1)
    assert "has the label '(C) 60'; expected one of A, B" in str(found.bad[0])
