"""The files of benchmarks' authors, as they are downloaded: other names for columns, images by name, rows inside an object."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tables import packed, png, tree_rows, write_tsv

from cof_eval.benchmarks import BENCHMARKS
from cof_eval.benchmarks.metrics import MACRO, MICRO, JudgedAnswer
from cof_eval.benchmarks.mmstar import MMSTAR
from cof_eval.core.errors import DataError
from cof_eval.core.images import source_hash
from cof_eval.core.records import Outcome, Question


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COF_CACHE", str(tmp_path / "cache"))


def image(folder: Path, name: str, seed: int = 0) -> str:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(png(seed))
    return name


def pope(folder: Path, *categories: str) -> Path:
    """Two rows a file, as github.com/AoiDragon/POPE writes them: JSON lines under the name .json."""
    for number, category in enumerate(categories):
        rows = [
            {
                "question_id": i + 1,
                "image": f"COCO_val2014_{i}.jpg",
                "text": f"Is there a {thing} in the image?",
                "label": label,
            }
            for i, (thing, label) in enumerate([("snowboard", "yes"), (f"thing{number}", "no")])
        ]
        (folder / f"coco_pope_{category}.json").write_text("\n".join(map(json.dumps, rows)) + "\n")
    for i in range(2):
        image(folder, f"val2014/COCO_val2014_{i}.jpg", i)
    return folder


class TestPope:
    def test_three_files_are_three_categories(self, tmp_path: Path) -> None:
        rows = BENCHMARKS["pope"].load(pope(tmp_path, "adversarial", "popular", "random"))
        assert [row.question.id for row in rows] == [f"{c}/{i}" for c in ("adversarial", "popular", "random") for i in (1, 2)]
        assert {row.question.category for row in rows} == {"adversarial", "popular", "random"}
        assert [row.question.answer for row in rows[:2]] == ["yes", "no"]
        assert rows[0].question.text.startswith("Is there a snowboard in the image?")
        assert [source_hash(row.image.read()) for row in rows[:2]] == [source_hash(png(i)) for i in range(2)]

    def test_one_file_alone_is_one_category(self, tmp_path: Path) -> None:
        file = pope(tmp_path, "random", "popular") / "coco_pope_random.json"
        assert {row.question.category for row in BENCHMARKS["pope"].load(file)} == {"random"}

    def test_an_image_at_two_places_is_not_chosen_from(self, tmp_path: Path) -> None:
        image(pope(tmp_path, "random"), "COCO_val2014_0.jpg", 9)
        rows = BENCHMARKS["pope"].load(tmp_path)
        assert len(rows) == 1
        assert "keep one of them" in rows.bad[0].problem


def challenge(folder: Path, name: str, rows: list[dict[str, Any]]) -> Path:
    (folder / name).write_text(json.dumps({"dataset_name": "x", "dataset_split": "val", "data": rows}, indent=1))
    return folder


class TestDocuments:
    @pytest.mark.parametrize("place", ["documents/a_1.png", "spdocvqa_images/a_1.png", "images/documents/a_1.png"])
    def test_docvqa(self, tmp_path: Path, place: str) -> None:
        row = {"questionId": 49153, "question": "What is the ‘actual’ value?", "image": "documents/a_1.png", "docId": 14465}
        image(tmp_path, place)
        (found,) = BENCHMARKS["docvqa"].load(challenge(tmp_path, "val_v1.0.json", [row | {"answers": ["0.28", "0.28 "]}]))
        assert (found.question.id, found.question.answers, found.question.category) == ("49153", ("0.28",), "")
        assert found.image.read() == png()

    def test_infovqa(self, tmp_path: Path) -> None:
        row = {
            "questionId": 98313,
            "question": "How many?",
            "image_local_name": "37313.jpeg",
            "image_url": "https://example.org/1.jpg",
        }
        image(tmp_path, "infographicsvqa_images/37313.jpeg")
        row |= {"answers": ["2", "two"], "answer_type": ["non-extractive"]}
        (found,) = BENCHMARKS["infovqa"].load(challenge(tmp_path, "infographicsVQA_val_v1.0_withQT.json", [row]))
        assert (found.question.answers, found.question.category) == (("2", "two"), "non-extractive")
        assert found.image.read() == png()

    def test_a_missing_image_is_unscored_and_a_test_split_has_no_answers(self, tmp_path: Path) -> None:
        row = {"questionId": 1, "question": "What?", "image": "documents/gone.png"}
        file = challenge(tmp_path, "val_v1.0.json", [row, row | {"answers": ["x"]}])
        rows = BENCHMARKS["docvqa"].load(file)
        assert "missing required field `answers`" in rows.bad[0].problem
        with pytest.raises(DataError, match=r"gone\.png does not exist"):
            rows[0].image.read()


def test_mme_realworld_lite(tmp_path: Path) -> None:
    options = ["(A) 1", "(B) 2", "(C) 3", "(D) 4", "(E) The image does not feature it."]
    row = {
        "Question_id": "perception/remote_sensing/count/0182",
        "Image": image(tmp_path / "data", "remote_sensing/03553_Toronto.png").removeprefix("data/"),
        "Text": "How many ships are there?",
        "Question Type": "Multiple Choice",
        "Answer choices": options,
        "Ground truth": "D",
        "Category": "count",
        "Subtask": "Remote Sensing",
        "Task": "Perception",
    }
    (tmp_path / "MME_RealWorld_Lite.json").write_text(json.dumps([row]))
    (found,) = BENCHMARKS["mme_realworld_lite"].load(tmp_path)
    asked = found.question
    assert (asked.id, asked.category, asked.answer_text) == (row["Question_id"], "Perception/Remote Sensing/count", "4")
    assert len(asked.options) == 5
    assert found.image.read() == png()


def test_treebench_tsv_whose_rows_share_an_image(tmp_path: Path) -> None:
    """As VLMEvalKit writes TSV files: a short text in the image's column is the index of the row that holds it."""
    first, second = tree_rows()
    file = write_tsv(
        tmp_path / "TreeBench.tsv", [second | {"image": "0"}, first | {"image": packed(4)}, first | {"index": 5, "image": "7"}]
    )
    rows = BENCHMARKS["treebench"].load(file)
    assert [row.image.read() == png(4) for row in rows] == [True, True, False]
    assert rows[0].question.cluster == rows[1].question.cluster


def test_a_reference_that_fits_two_images_is_refused(tmp_path: Path) -> None:
    first, second = tree_rows()
    shared = [first | {"image": packed(1)}, first | {"image": packed(2)}, second | {"image": "0"}]
    rows = BENCHMARKS["treebench"].load(write_tsv(tmp_path / "TreeBench.tsv", shared))
    assert [row.question.id for row in rows] == ["0", "0#2"]
    assert "several rows have this index" in rows.bad[0].problem


def test_mmstars_macro_average_weighs_categories_and_its_micro_average_rows() -> None:
    def row(category: str, right: bool, number: int) -> JudgedAnswer:
        asked = Question(str(number), "mmstar", category, str(number), "?", (), "x")
        return JudgedAnswer(asked, "x", Outcome.CORRECT if right else Outcome.UNSCORED)

    rows = [row("math/geometry", True, 0), *(row("math/numbers", False, i) for i in range(1, 4))]
    assert MACRO.of(rows) == pytest.approx(1 / 2)
    assert MICRO.of(rows) == pytest.approx(1 / 4)
    assert {metric.name for metric in MMSTAR.metrics} >= {"acc_macro", "acc_micro", "math"}
