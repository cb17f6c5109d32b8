"""V*: rows become questions; whatever is wrong with a folder is one line that names the place and the cure."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from photographs import PHOTOS, needs_photos

from cof_eval.benchmarks import BENCHMARKS, Item
from cof_eval.benchmarks.vstar import load, parse_options
from cof_eval.core.errors import DataError, ImageError
from cof_eval.core.images import header_size

ROOT = Path(__file__).parents[2]
TEXT = "What is the color of the mug?\n(A) white\n(B) deep red\n(C) black\nAnswer with the option's letter from the given choices directly."


def row(**changes: Any) -> dict[str, Any]:
    """A sound row; a change to None removes the field."""
    sound = {"image": "direct_attributes/a.jpg", "text": TEXT, "label": "B", "category": "direct_attributes", "question_id": 7}
    return {name: value for name, value in (sound | changes).items() if value is not None}


def folder_with(tmp_path: Path, *lines: dict[str, Any] | str | bytes, boxes: object = None) -> Path:
    """A V* folder without images; `boxes` is what the JSON beside a.jpg holds."""
    stored = [
        line if isinstance(line, bytes) else (line if isinstance(line, str) else json.dumps(line)).encode() for line in lines
    ]
    (tmp_path / "test_questions.jsonl").write_bytes(b"\n".join(stored) + b"\n")
    (tmp_path / "direct_attributes").mkdir()
    if boxes is not None:
        (tmp_path / "direct_attributes" / "a.json").write_text(boxes if isinstance(boxes, str) else json.dumps(boxes))
    return tmp_path


def refusal(folder: Path) -> str:
    """What loading this folder says, of itself or of its one bad row; always one line."""
    try:
        (said,) = map(str, load(folder).bad)
    except DataError as error:
        said = str(error)
    assert "\n" not in said
    return said


class TestSoundFolder:
    def test_row_becomes_a_question(self, tmp_path: Path) -> None:
        (item,) = load(folder_with(tmp_path, row(), boxes={"target_object": ["mug"], "bbox": [[10, 20, 30, 40.5]]}))
        question = item.question
        assert (question.id, question.benchmark, question.category) == ("7", "vstar", "direct_attributes")
        assert question.text == TEXT
        assert question.options == ("white", "deep red", "black")
        assert (question.answer, question.answer_text) == ("B", "deep red")
        assert question.boxes == ((10, 20, 40, 60.5),)
        assert question.cluster == "direct_attributes/a.jpg"
        assert item.image.path == str(tmp_path / "direct_attributes/a.jpg")

    def test_the_annotations_order_with_the_right_option_first_is_never_shown(self, tmp_path: Path) -> None:
        beside = {"bbox": [[1, 2, 3, 4]], "question": "What is it?", "options": ["deep red", "white", "black"]}
        (item,) = load(folder_with(tmp_path, row(), boxes=beside))
        assert (item.question.options, item.question.answer) == (("white", "deep red", "black"), "B")

    def test_order_of_the_file_is_kept(self, tmp_path: Path) -> None:
        items = load(folder_with(tmp_path, row(question_id="b"), row(question_id=1), row(question_id="a")))
        assert [item.question.id for item in items] == ["b", "1", "a"]

    def test_blank_lines_unknown_fields_and_a_byte_order_mark_are_no_matter(self, tmp_path: Path) -> None:
        first = b"\xef\xbb\xbf" + json.dumps(row(split="test")).encode() + b"\r"
        assert len(load(folder_with(tmp_path, first, "", "   ", row(question_id=8)))) == 2

    def test_missing_image_is_found_out_when_it_is_read(self, tmp_path: Path) -> None:
        (item,) = load(folder_with(tmp_path, row()))
        with pytest.raises(ImageError, match=r"a\.jpg does not exist"):
            item.image.read()

    @pytest.mark.parametrize(
        "boxes", [None, {"bbox": []}, {"bbox": [[1, 2, 0, 5], [1, 2, 5, 0]]}], ids=["no file", "none", "without area"]
    )
    def test_question_without_usable_boxes_loads(self, tmp_path: Path, boxes: object) -> None:
        (item,) = load(folder_with(tmp_path, row(), boxes=boxes))
        assert item.question.boxes == ()

    def test_links_into_a_cache_are_followed(self, tmp_path: Path) -> None:
        (tmp_path / "blobs").mkdir()
        (tmp_path / "blobs" / "1f").write_bytes(b"stored")
        (tmp_path / "snapshots" / "0a").mkdir(parents=True)
        folder = folder_with(tmp_path / "snapshots" / "0a", row())
        (folder / "direct_attributes" / "a.jpg").symlink_to(tmp_path / "blobs" / "1f")
        assert load(folder)[0].image.read() == b"stored"


BAD_ROWS: dict[str, tuple[dict[str, Any] | str | bytes, str]] = {
    "not JSON": ("{image: a.jpg}", "line 2.*malformed"),
    "cut line": ('{"image": "a.jpg", "te', "line 2.*truncated"),
    "a list": ("[1, 2]", "line 2.*Expected `object`, got `array`"),
    "not UTF-8": (b'{"image": "\xff\xfe"}', "line 2"),
    "no image": (row(image=None), "line 2.*missing required field `image`"),
    "no text": (row(text=None), "line 2.*missing required field `text`"),
    "no label": (row(label=None), "line 2.*missing required field `label`"),
    "no category": (row(category=None), "line 2.*missing required field `category`"),
    "no question_id": (row(question_id=None), "line 2.*missing required field `question_id`"),
    "label is a number": (row(label=1), r"line 2.*Expected `str`, got `int` - at `\$.label`"),
    "label outside the options": (row(label="D"), "line 2.*label 'D'; expected one of A, B, C"),
    "label in lower case": (row(label="b"), "line 2.*label 'b'"),
    "empty label": (row(label=""), "line 2.*label ''"),
    "empty text": (row(text=""), "line 2.*lettered nowhere"),
    "only options": (row(text="\n(A) red\n(B) blue", label="A"), "line 2.*no question before"),
    "no options": (row(text="What is it?"), "line 2.*lettered nowhere"),
    "an option is missing": (row(text="Which?\n(A) red\n(C) blue", label="A"), "line 2.*lettered A, C"),
    "an option is empty": (row(text="Which?\n(A) red\n(B) \n(C) blue", label="A"), "line 2.*lettered A, C"),
    "image above the folder": (row(image="../secret.jpg"), r"line 2.*'\.\./secret\.jpg' is not a file below"),
    "image above it in the middle": (row(image="direct_attributes/../../secret.jpg"), "line 2.*not a file below"),
    "absolute image": (row(image="/etc/passwd"), "line 2.*not a file below"),
    "empty image": (row(image=""), "line 2.*not a file below"),
}


@pytest.mark.parametrize(("bad", "says"), BAD_ROWS.values(), ids=BAD_ROWS.keys())
def test_bad_row_names_file_line_and_cure(tmp_path: Path, bad: dict[str, Any] | str | bytes, says: str) -> None:
    said = refusal(folder_with(tmp_path, row(), bad))
    assert said.startswith(str(tmp_path / "test_questions.jsonl"))
    assert re.search(says, said), said
    assert "correct this line" in said


class TestUnsoundFolder:
    def test_missing_folder_says_so(self, tmp_path: Path) -> None:
        said = refusal(tmp_path / "nowhere")
        assert f"{tmp_path / 'nowhere'} cannot be read (No such file or directory)" in said
        assert "--data vstar=FOLDER" in said

    def test_file_in_place_of_the_folder_says_so(self, tmp_path: Path) -> None:
        (tmp_path / "vstar.zip").write_bytes(b"")
        assert f"{tmp_path / 'vstar.zip'} cannot be read" in refusal(tmp_path / "vstar.zip")

    def test_folder_without_questions_names_the_file(self, tmp_path: Path) -> None:
        assert f"{tmp_path / 'test_questions.jsonl'} cannot be read" in refusal(tmp_path)

    def test_empty_questions_file_is_refused(self, tmp_path: Path) -> None:
        assert "holds no question" in refusal(folder_with(tmp_path, "", " "))

    @pytest.mark.parametrize(
        "boxes",
        ["{", "[]", {}, {"bbox": 5}, {"bbox": [[1, 2, 3]]}, {"bbox": [["a", 2, 3, 4]]}, {"bbox": [[1, 2, 3, 4, 5]]}],
        ids=["not JSON", "a list", "no bbox", "a number", "three numbers", "text", "five numbers"],
    )
    def test_unreadable_boxes_name_their_file(self, tmp_path: Path, boxes: object) -> None:
        said = refusal(folder_with(tmp_path, row(), boxes=boxes))
        assert str(tmp_path / "direct_attributes" / "a.json") in said
        assert "[x, y, width, height]" in said


def test_unreachable_hub_says_how_to_use_a_local_copy(tmp_path: Path) -> None:
    """In a process of its own: the hub's client reads its settings when it is imported."""
    code = "from cof_eval.benchmarks import BENCHMARKS\nBENCHMARKS['vstar'].load(None)"
    paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path), "PYTHONPATH": paths}
    ran = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    last = ran.stderr.strip().splitlines()[-1]
    assert last.startswith("cof_eval.core.errors.DataError: V* (craigwu/vstar_bench) cannot be fetched")
    assert "pass --data vstar=PATH, or set COF_DATA_VSTAR" in last


OPTION_TEXTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "as in the dataset": (TEXT, ("white", "deep red", "black")),
    "Windows line ends": ("Which?\r\n(A) red\r\n(B) blue\r\nAnswer.", ("red", "blue")),
    "indented": ("Which?\n  (A) red\n\t(B)\tblue", ("red", "blue")),
    "letters within options": ("Which?\n(A) the (B) side\n(B) the (A) side", ("the (B) side", "the (A) side")),
    "sentences": ("Where?\n(A) The mug is left.\n(B) The mug is right.", ("The mug is left.", "The mug is right.")),
    "a letter within the question": ("What is (A)?\n(A) red\n(B) blue", ("red", "blue")),
}


@pytest.mark.parametrize(("text", "options"), OPTION_TEXTS.values(), ids=OPTION_TEXTS.keys())
def test_options_are_the_lettered_lines(text: str, options: tuple[str, ...]) -> None:
    assert parse_options(text) == options


@needs_photos
class TestPhotographs:
    @pytest.fixture
    def items(self) -> list[Item]:
        return BENCHMARKS["vstar"].load(PHOTOS)

    def test_all_nine_questions_of_both_categories_load(self, items: list[Item]) -> None:
        assert len(items) == 9
        assert {item.question.category for item in items} == {"direct_attributes", "relative_position"}
        assert len({item.image.path for item in items}) == len({item.question.cluster for item in items})

    def test_every_box_lies_within_its_photograph(self, items: list[Item]) -> None:
        for item in items:
            width, height = header_size(item.image.read())
            assert item.question.boxes
            assert all(0 <= x1 < x2 <= width and 0 <= y1 < y2 <= height for x1, y1, x2, y2 in item.question.boxes)
