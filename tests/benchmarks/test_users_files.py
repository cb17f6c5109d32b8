"""Files as users have them: each loads, or says what is wrong with which row."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from tables import STRUCT, png, write_parquet, write_tsv

from cof_eval.benchmarks import BENCHMARKS, Rows
from cof_eval.core.errors import DataError
from cof_eval.judging.rules import score

ROW = {"image": "a.png", "question": "Which?", "options": ["red", "blue", "green"], "answer": "B"}


@pytest.fixture(autouse=True)
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COF_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("COF_ALLOW_OUTSIDE", raising=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "a.png").write_bytes(png())
    return tmp_path / "mine"


def custom(folder: Path, *rows: dict[str, Any], **changes: Any) -> Rows:
    """The rows, or a sound one and a changed one."""
    written = rows or (ROW, ROW | changes)
    (folder / "q.jsonl").write_text("\n".join(map(json.dumps, written)))
    return BENCHMARKS["custom"].load(folder)


TEXT = json.dumps(ROW)
DRESSES: dict[str, tuple[str, bytes]] = {
    "JSON lines": ("q.jsonl", f"{TEXT}\n{TEXT}\n".encode()),
    "a byte order mark": ("q.jsonl", f"{TEXT}\n{TEXT}\n".encode("utf-8-sig")),
    "UTF-16": ("q.jsonl", f"{TEXT}\n{TEXT}\n".encode("utf-16")),
    "UTF-16 without a mark": ("q.jsonl", f"{TEXT}\n{TEXT}\n".encode("utf-16-be")),
    "UTF-32": ("q.jsonl", f"{TEXT}\n{TEXT}\n".encode("utf-32")),
    "line ends of Windows": ("q.jsonl", f"{TEXT}\r\n\r\n{TEXT}\r\n".encode()),
    "line ends of an old Mac": ("q.jsonl", f"{TEXT}\r{TEXT}\r".encode()),
    "no line end at the end": ("q.jsonl", f"{TEXT}\n{TEXT}".encode()),
    "a list named .jsonl": ("q.jsonl", f"[{TEXT},\n {TEXT}]".encode()),
    "JSON lines named .json": ("q.json", f"{TEXT}\n{TEXT}\n".encode()),
    "a list": ("q.json", json.dumps([ROW, ROW], indent=2).encode()),
    "rows inside an object": ("q.json", json.dumps({"version": 1, "data": [ROW, ROW]}).encode()),
}


@pytest.mark.parametrize(("name", "content"), DRESSES.values(), ids=DRESSES.keys())
def test_every_form_of_json_is_read(folder: Path, name: str, content: bytes) -> None:
    (folder / name).write_bytes(content)
    rows = BENCHMARKS["custom"].load(folder / name)
    assert [row.question.answer_text for row in rows] == ["blue", "blue"]
    assert not rows.bad


@pytest.mark.parametrize("value", [None, float("nan"), "", "  "])
@pytest.mark.parametrize("field", ["answer", "boxes", "id", "category"])
def test_null_and_blank_optional_fields_are_absent(folder: Path, field: str, value: Any) -> None:
    rows = custom(folder, **{field: value})
    assert not rows.bad
    changed, sound = rows[1].question, rows[0].question
    assert changed.options == sound.options
    assert (changed.answer == "") is (field == "answer")


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "an empty option in the middle": ({"options": ["red", "", "blue"]}, "option B is empty (3 options)"),
    "an empty option at the end": ({"options": ["red", "blue", " "]}, "option C is empty"),
    "a missing option": ({"options": ["red", None, "blue"]}, "options"),
    "an option that is NaN": ({"options": ["red", float("nan")]}, "no text"),
    "one option": ({"options": ["red"], "answer": "A"}, "one option, 'red'"),
    "27 options": ({"options": [str(i) for i in range(27)]}, "27 options are more than the letters A to Z"),
    "an answer of an option beyond the letters": (
        {"options": [f"o{i}" for i in range(30)], "answer": "o29"},
        "30 options are more",
    ),
    "an option twice": ({"options": ["red", "blue", "red"]}, "'red' stands twice"),
    "an answer beyond the last": ({"answer": "D"}, "label 'D'; expected one of A, B, C"),
    "an answer that fits two": ({"options": ["Red", "red ", "RED"], "answer": "reD"}, "the text of option A and B and C"),
    "a letter that is another's text": ({"options": ["B", "A"], "answer": "A"}, "both a letter and the text of option B"),
    "a box without area": ({"boxes": [[10, 10, 5, 20]]}, "[10.0, 10.0, 5.0, 20.0] has no area"),
    "a box that is not finite": ({"boxes": [[1, 2, 3, 1e999]]}, "not finite"),
    "a wrong type": ({"question": 7}, "$.question` (question is 7)"),
    "a missing field": ({"question": None}, "missing required field `question`"),
    "a path above": ({"image": "../a.png"}, "'../a.png' is not a file below the folder"),
    "a path elsewhere": ({"image": "/etc/hostname"}, "pass --allow-outside"),
    "a name with a NUL": ({"image": "a\0.png"}, "is not a file below the folder"),
    "a very long name": ({"image": "a" * 300 + ".png"}, "is not a file below the folder"),
}


@pytest.mark.parametrize(("changes", "says"), REFUSED.values(), ids=REFUSED.keys())
def test_a_row_that_makes_no_sense_is_one_bad_row(folder: Path, changes: dict[str, Any], says: str) -> None:
    rows = custom(folder, **changes)
    assert len(rows) == 1
    (bad,) = rows.bad
    assert bad.where == f"{folder / 'q.jsonl'}, row 2"
    assert says in bad.problem and bad.problem.endswith("; correct it")


def test_numbers_are_options_and_answers_as_they_are_written(folder: Path) -> None:
    rows = custom(folder, ROW | {"options": [1, 2.5, "3"], "answer": 2.5}, ROW | {"options": [], "answer": 7})
    assert [row.question.answers for row in rows] == [("B",), ("7",)]
    assert rows[0].question.options == ("1", "2.5", "3")


def test_texts_that_read_nan_or_none_are_texts(folder: Path) -> None:
    (row,) = custom(folder, ROW | {"options": ["None", "nan", "NaN "], "answer": "C"})
    assert row.question.options == ("None", "nan", "NaN")


def test_a_tsv_of_ones_own_has_lists_as_texts(folder: Path) -> None:
    row = {
        "image": "./a.png",
        "question": "Which?",
        "options": "['red', 'blue']",
        "answer": "blue",
        "boxes": "[[1, 2, 3, 4]]",
        "id": "a",
    }
    file = write_tsv(folder / "q.tsv", [row, row | {"options": "", "boxes": "", "id": "b"}])
    first, second = (item.question for item in BENCHMARKS["custom"].load(file))
    assert (first.options, first.answer, first.boxes, first.cluster) == (("red", "blue"), "B", ((1, 2, 3, 4),), "a.png")
    assert (second.options, second.answer, second.boxes) == ((), "blue", ())


class TestIds:
    def test_of_a_v_star_folder_whose_ids_restart_are_told_apart(self, tmp_path: Path) -> None:
        rows = [
            {"image": f"{c}/{i}.jpg", "text": f"{c} {i}?\n(A) x\n(B) y", "label": "A", "category": c, "question_id": i}
            for c, count in (("direct_attributes", 2), ("relative_position", 1))
            for i in range(count)
        ]
        (tmp_path / "test_questions.jsonl").write_text("\n".join(map(json.dumps, rows)))
        assert [row.question.id for row in BENCHMARKS["vstar"].load(tmp_path)] == ["0", "1", "0#2"]

    def test_a_suffix_is_no_id_that_is_there_already(self, folder: Path) -> None:
        rows = custom(folder, *(ROW | {"id": name} for name in ("a", "a", "a#2", "a")))
        assert [row.question.id for row in rows] == ["a", "a#3", "a#2", "a#4"]


class TestFilesBesideFiles:
    def names(self, folder: Path, *names: str, stem: str = "scene1") -> Rows:
        for i, name in enumerate(names):
            (folder / name).write_bytes(png(i))
        (folder / f"{stem}.json").write_text(json.dumps({"question": "Which?", "answer": "x"}))
        return BENCHMARKS["custom"].load(folder)

    @pytest.mark.parametrize(
        ("stem", "names"),
        [
            ("scene1", ("scene1.jpg", "scene1.5.jpg", "scene1.mask.png", "scene10.jpg", "scene1.txt")),
            ("photo[1]", ("photo[1].PNG", "photo1.png")),
            ("p*", ("p*.webp", "p1.webp")),
            ("a?", ("a?.gif", "ab.gif")),
        ],
    )
    def test_the_image_has_exactly_that_name(self, folder: Path, stem: str, names: tuple[str, ...]) -> None:
        (row,) = self.names(folder, *names, stem=stem)
        assert row.image.read() == png(0)

    def test_two_that_fit_are_refused(self, folder: Path) -> None:
        with pytest.raises(DataError, match=r"expected one image named 'scene1', found scene1\.jpg and scene1\.png"):
            self.names(folder, "scene1.jpg", "scene1.png")

    def test_none_that_fits_is_refused(self, folder: Path) -> None:
        with pytest.raises(DataError, match="found none; keep one, or name it in the field `image`"):
            self.names(folder, "scene10.jpg")

    def test_boxes_that_could_be_of_two_images_are_refused(self, tmp_path: Path) -> None:
        (tmp_path / "d").mkdir()
        for end in ("jpg", "png"):
            (tmp_path / "d" / f"a.{end}").write_bytes(png())
        (tmp_path / "d" / "a.json").write_text('{"bbox": [[1, 2, 3, 4]]}')
        row = {"image": "d/a.jpg", "text": "What?\n(A) x\n(B) y", "label": "A", "category": "d", "question_id": 1}
        (tmp_path / "test_questions.jsonl").write_text(json.dumps(row))
        with pytest.raises(DataError, match="several images are named 'a'"):
            BENCHMARKS["vstar"].load(tmp_path)


class TestOutside:
    def test_links_out_of_the_folder_are_refused_unless_allowed(
        self, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "secret.png").write_bytes(png(9))
        (folder / "link.png").symlink_to(tmp_path / "secret.png")
        (folder / "elsewhere").symlink_to(tmp_path)
        outside = ("link.png", "elsewhere/secret.png", "../secret.png", str(tmp_path / "secret.png"))
        rows = custom(folder, ROW, *(ROW | {"image": name} for name in outside))
        assert (len(rows), len(rows.bad)) == (1, len(outside))
        monkeypatch.setenv("COF_ALLOW_OUTSIDE", "1")
        rows = custom(folder, *(ROW | {"image": name} for name in outside))
        assert [row.image.read() for row in rows] == [png(9)] * len(outside)
        (row,) = custom(folder, ROW | {"image": "~nobody-of-that-name/a.png"})
        with pytest.raises(DataError, match="does not exist"):
            row.image.read()

    def test_links_within_the_folder_and_to_it_are_followed(self, folder: Path, tmp_path: Path) -> None:
        (folder / "link.png").symlink_to(folder / "a.png")
        (tmp_path / "alias").symlink_to(folder)
        custom(folder, ROW | {"image": "link.png"})
        (row,) = BENCHMARKS["custom"].load(tmp_path / "alias")
        assert row.image.read() == png()


SCHEMA = {**dict.fromkeys(("question_id", "question", "answer", "category"), pa.string()), "image": STRUCT}
POPE = {"question_id": "1", "question": "Is there a dog?", "answer": "yes", "category": "random"}


class TestTables:
    def test_a_struct_without_bytes_names_a_file(self, folder: Path) -> None:
        cells = [{"bytes": None, "path": "a.png"}, {"bytes": png(3), "path": "a.png"}, {"bytes": None, "path": "gone.png"}]
        write_parquet(folder / "p.parquet", [POPE | {"image": cell} for cell in cells], SCHEMA)
        rows = BENCHMARKS["pope"].load(folder)
        assert [row.image.read() for row in rows[:2]] == [png(), png(3)]
        with pytest.raises(DataError, match=r"gone\.png does not exist"):
            rows[2].image.read()

    @pytest.mark.parametrize(
        "cell",
        [lambda: base64.b64encode(png(2)).decode(), lambda: f"data:image/png;base64,{base64.b64encode(png(2)).decode()}"],
    )
    def test_base64_with_and_without_a_prefix(self, folder: Path, cell: Callable[[], str]) -> None:
        (row,) = BENCHMARKS["pope"].load(write_tsv(folder / "p.tsv", [POPE | {"image": cell()}]))
        assert row.image.read() == png(2)

    def test_quoted_fields_of_a_tsv_keep_tabs_quotes_and_lines(self, folder: Path) -> None:
        question = 'Is there a "dog"\tor\na cat?'
        (row,) = BENCHMARKS["pope"].load(write_tsv(folder / "p.tsv", [POPE | {"question": question, "image": "a.png"}]))
        assert row.question.text.startswith(question)

    def test_an_official_row_with_an_option_twice_is_kept_its_letters_decide(self, folder: Path) -> None:
        row = {"index": "0", "question": "Which?", "answer": "B", "category": "single", "image": "a.png"}
        file = write_tsv(folder / "hr_4k.tsv", [row | {"A": "red", "B": "red", "C": "blue", "D": ""}])
        (found,) = BENCHMARKS["hrbench4k"].load(file)
        assert (found.question.options, found.question.answer) == (("red", "red", "blue"), "B")
        assert [score(said, found.question).outcome for said in ("B", "C", "red", "A")] == ["correct", "wrong", None, None]

    def test_an_answer_that_is_missing_is_a_bad_row(self, folder: Path) -> None:
        rows = BENCHMARKS["mmstar"].load(
            write_tsv(folder / "m.tsv", [
                {"index": str(i), "question": "Which?", "answer": answer, "category": "math", "image": "a.png"}
                for i, answer in enumerate(("A", ""))
            ])
        )  # fmt: skip
        assert len(rows) == 1
        assert "the answer is empty" in rows.bad[0].problem


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_may_not_be_read_is_one_line(folder: Path) -> None:
    custom(folder, ROW)
    (folder / "q.jsonl").chmod(0)
    with pytest.raises(DataError, match="cannot be read"):
        BENCHMARKS["custom"].load(folder)
