"""Each benchmark's loader on rows of its true schema, and the traps that lie in its data."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tables
from PIL import Image
from tables import WRITERS, png, write_parquet, write_tsv

from cof_eval.agent.reply import RawCall
from cof_eval.agent.zoom import CropSource, View, ZoomRules, zoom
from cof_eval.benchmarks import BENCHMARKS, Rows
from cof_eval.benchmarks.options import ANSWER_LETTER, choice_text
from cof_eval.core.errors import DataError, ImageError
from cof_eval.core.images import encode_png, header_size, load_native, resize, source_hash
from cof_eval.core.records import Question
from cof_eval.core.resolution import PixelLimits, parse_resolution, shown_size
from cof_eval.judging.rules import score

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("COF_CACHE", str(tmp_path / "cache"))
    yield


def load(name: str, data: Path) -> Rows:
    return BENCHMARKS[name].load(data)


def questions(name: str, data: Path) -> list[Question]:
    return [item.question for item in load(name, data)]


@pytest.mark.parametrize("name", BENCHMARKS)
def test_every_row_becomes_a_question_about_an_image_that_can_be_read(name: str, tmp_path: Path) -> None:
    items = load(name, WRITERS[name](tmp_path / "data"))
    assert items
    assert len({item.question.id for item in items}) == len(items)
    for item in items:
        assert item.question.benchmark == name
        assert min(header_size(item.image.read())) > 0
        assert item.image.path is not None, "an image in memory would stay there for the whole run"


@pytest.mark.slow
def test_every_benchmark_that_has_a_hub_dataset_says_how_to_go_without_the_hub(tmp_path: Path) -> None:
    """In a process of its own: the hub's client reads its settings when it is imported."""
    code = """
from cof_eval.benchmarks import BENCHMARKS
from cof_eval.core.errors import DataError
for name, benchmark in BENCHMARKS.items():
    try:
        benchmark.load(None)
    except DataError as error:
        print(f"{name}: {error}")
"""
    paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {
        "COF_CACHE": str(tmp_path),
        "HF_HUB_OFFLINE": "1",
        "HF_HOME": str(tmp_path),
        "PYTHONPATH": paths,
    }
    ran = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    said = dict(line.split(": ", 1) for line in ran.stdout.splitlines())
    assert list(said) == [name for name in BENCHMARKS if name != "vstar_mini"]  # drawn on this machine
    assert "pass --data custom=PATH" in said.pop("custom")
    ids = {
        "vstar": "craigwu/vstar_bench",
        "hrbench4k": "DreamMr/HR-Bench",
        "hrbench8k": "DreamMr/HR-Bench",
        "mme_realworld_lite": "yifanzhang114/MME-RealWorld-lite-lmms-eval",
        "treebench": "HaochenWang/TreeBench",
        "visual_probe": "Mini-o3/VisualProbe_Easy",
        "pope": "lmms-lab-encoder/POPE",
        "infovqa": "lmms-lab-encoder/DocVQA",
        "docvqa": "lmms-lab-encoder/DocVQA",
        "mmstar": "Lin-Chen/MMStar",
        "zoombench": "inclusionAI/ZoomBench",
        "adaptmmbench": "xintongzhang/AdaptMMBench",
        "o3bench": "m-Just/O3-Bench",
        "zoomgainbench": "inclusionAI/ZoomGainBench",
        "cvbench": "nyu-visionx/CV-Bench",
        "screenspot_pro": "likaixin/ScreenSpot-Pro",
    }
    for name, message in said.items():
        assert f"({ids[name]}) cannot be fetched from the Hugging Face hub" in message
        assert f"pass --data {name}=PATH, or set COF_DATA_{name.upper()}" in message


class TestHrBench:
    def test_four_rotations_are_one_cluster_and_keep_the_right_option(self, tmp_path: Path) -> None:
        rows = questions("hrbench4k", tables.write_hrbench(tmp_path))[:4]
        assert {row.cluster for row in rows} == {source_hash(png(0))}
        assert [row.answer for row in rows] == ["C", "B", "A", "D"]
        assert {row.answer_text for row in rows} == {"blue"}
        assert len({row.text for row in rows}) == 4

    def test_an_option_that_reads_none_is_an_option(self, tmp_path: Path) -> None:
        assert questions("hrbench4k", tables.write_hrbench(tmp_path))[0].options == ("red", "None", "blue", "yellow")

    @pytest.mark.parametrize("missing", [None, ""])
    def test_missing_options_leave_the_others(self, tmp_path: Path, missing: str | None) -> None:
        row = tables.hr_rows()[0] | {"C": missing, "D": missing, "answer": "B"}
        file = write_parquet(tmp_path / "hr_bench_4k.parquet", [row], tables.HR_SCHEMA)
        (found,) = questions("hrbench4k", file)
        assert found.options == ("red", "None")
        assert "(C)" not in found.text

    def test_the_other_size_in_the_same_folder_is_never_taken(self, tmp_path: Path) -> None:
        tables.write_hrbench(tmp_path)
        (tmp_path / "hr_bench_4k.parquet").unlink()
        assert questions("hrbench8k", tmp_path)
        with pytest.raises(DataError, match="holds no table"):
            questions("hrbench4k", tmp_path)

    def test_the_tsv_gives_the_same_questions(self, tmp_path: Path) -> None:
        file = write_tsv(tmp_path / "hr_bench_4k.tsv", tables.hr_rows())
        assert questions("hrbench4k", file) == questions("hrbench4k", tables.write_hrbench(tmp_path / "parquet"))

    @pytest.mark.slow
    def test_an_8k_image_is_shown_at_4k_and_zoomed_into_at_its_own_size(self, tmp_path: Path) -> None:
        photograph = Image.new("RGB", (7680, 4320), (90, 90, 90))
        photograph.paste((250, 20, 20), (7000, 4000, 7112, 4112))
        packed = base64.b64encode(encode_png(photograph)).decode()
        rows = [row | {"image": "\n".join(textwrap.wrap(packed, 76))} for row in tables.hr_rows()[:4]]
        items = load("hrbench8k", write_parquet(tmp_path / "hr_bench_8k.parquet", rows, tables.HR_SCHEMA))
        assert len({item.image.path for item in items}) == 1
        native = load_native(items[0].image.read())
        limits = PixelLimits(28, 4 * 28**2, 4096 * 4096)
        shown = resize(native, shown_size(native.size, parse_resolution("4k"), limits))
        assert native.size == (7680, 4320)
        assert 0.97 * 3840**2 < shown.width * shown.height <= 3840**2
        x, y = shown.width / native.width, shown.height / native.height
        call = RawCall("", "image_zoom_in_tool", {"bbox_2d": [7000 * x, 4000 * y, 7112 * x, 4112 * y]})
        view = View(shown, native.size, native)
        crop = zoom(call, view, view.shown_frame, ZoomRules(CropSource.NATIVE, 1.0, 1.0, limits)).image
        assert crop is not None
        assert crop.size == (112, 112)
        assert crop.getpixel((56, 56)) == (250, 20, 20)


class TestMmeRealWorld:
    def test_shards_are_read_in_order_and_both_tasks_are_told_apart(self, tmp_path: Path) -> None:
        rows = questions("mme_realworld_lite", tables.write_mme(tmp_path))
        assert [row.id for row in rows] == ["0", "1"]
        assert [row.category for row in rows] == [
            "Perception/Monitoring/vehicle/counting",
            "Reasoning/OCR with Complex Context/scene understanding",
        ]

    def test_the_fifth_option_is_one(self, tmp_path: Path) -> None:
        first, _ = questions("mme_realworld_lite", tables.write_mme(tmp_path))
        assert first.letters == ("A", "B", "C", "D", "E")
        assert first.answer_text == "This image doesn't feature the count."
        assert "\n(E) This image doesn't feature the count.\n" in first.text
        assert score("E", first).outcome == "correct"

    def test_other_scripts_and_full_width_brackets_are_kept_and_scored(self, tmp_path: Path) -> None:
        _, second = questions("mme_realworld_lite", tables.write_mme(tmp_path))
        assert second.options == ("大阪", "東京", "Αθήνα", "القاهرة", "не видно")
        outcomes = [score(said, second).outcome for said in ("東京", "（B）", "大阪", "Αθήνα")]
        assert outcomes == ["correct", "correct", "wrong", "wrong"]


class TestTreeBench:
    def test_boxes_are_read_from_text_and_six_options_from_lines(self, tmp_path: Path) -> None:
        first, second = questions("treebench", tables.write_treebench(tmp_path))
        assert first.boxes == ((10, 20.5, 30, 40), (0, 0, 5, 5))
        assert (len(first.options), first.answer_text) == (6, "None of these")
        assert second.boxes == ()

    @pytest.mark.parametrize(
        ("boxes", "found"),
        [("", ()), ("nan", ()), ("[(1, 2, 3, 4)]", ((1, 2, 3, 4),)), ("[[3, 2, 1, 4], [1, 1, 2, 2]]", ((1, 1, 2, 2),))],
    )
    def test_boxes_without_area_are_left_out(self, tmp_path: Path, boxes: str, found: tuple[Any, ...]) -> None:
        row = tables.tree_rows()[0] | {"target_instances": boxes}
        assert questions("treebench", write_tsv(tmp_path / "t.tsv", [row]))[0].boxes == found

    @pytest.mark.parametrize("boxes", ["[[1, 2, 3]]", "[1, 2, 3, 4]", "everywhere", "[[1, 2, 3, 'x']]"])
    def test_boxes_that_are_none_are_refused(self, tmp_path: Path, boxes: str) -> None:
        row = tables.tree_rows()[0] | {"target_instances": boxes}
        with pytest.raises(DataError, match=r"t\.tsv, row 1: the boxes .* are no list of \[x1, y1, x2, y2\]"):
            load("treebench", write_tsv(tmp_path / "t.tsv", [row]))

    def test_options_inside_the_question_are_found(self, tmp_path: Path) -> None:
        row = tables.tree_rows()[0] | {
            "question": "What is written?\n(A) STOP\n(B) SHOP",
            "multi-choice options": "",
            "answer": "b",
        }
        (found,) = questions("treebench", write_tsv(tmp_path / "t.tsv", [row]))
        assert (found.options, found.answer) == (("STOP", "SHOP"), "B")
        assert found.text.count("(A)") == 1


class TestVisualProbe:
    def test_levels_are_categories_and_their_ids_and_images_are_told_apart(self, tmp_path: Path) -> None:
        items = load("visual_probe", tables.write_visual_probe(tmp_path))
        assert [item.question.id for item in items] == ["easy/0", "medium/0", "hard/0"]
        assert [item.question.category for item in items] == ["easy", "medium", "hard"]
        assert [source_hash(item.image.read()) for item in items] == [source_hash(png(seed)) for seed in range(3)]
        assert len({item.question.cluster for item in items}) == 3
        assert "<image>" not in items[0].question.text

    def test_one_level_alone_is_enough(self, tmp_path: Path) -> None:
        tables.write_visual_probe(tmp_path)
        (item,) = load("visual_probe", tmp_path / "VisualProbe_Hard")
        assert item.question.category == "hard"
        assert header_size(item.image.read()) == (120, 90)

    @pytest.mark.parametrize(
        ("change", "says"),
        [
            ({"images": []}, "there are 0 images"),
            ({"images": ["a", "b"]}, "there are 2 images"),
            ({"images": ["../../etc/passwd"]}, "not a file below"),
            ({"solution": " "}, "the solution is empty"),
            ({"problem": "<image>"}, "has no text"),
        ],
    )
    def test_a_bad_row_is_named(self, tmp_path: Path, change: dict[str, Any], says: str) -> None:
        source = tables.write_visual_probe(tmp_path) / "VisualProbe_Easy" / "val.json"
        rows = json.loads(source.read_text())
        source.write_text(json.dumps([rows[0] | change]))
        (bad,) = load("visual_probe", tmp_path).bad
        assert re.search(rf"val\.json, row 1: .*{says}", str(bad))

    def test_a_missing_image_is_found_out_when_it_is_read(self, tmp_path: Path) -> None:
        (tables.write_visual_probe(tmp_path) / "VisualProbe_Easy/data/0.png").unlink()
        with pytest.raises(ImageError, match="does not exist"):
            load("visual_probe", tmp_path)[0].image.read()

    def test_a_folder_of_something_else_says_what_is_expected(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"expected VisualProbe_Easy/val\.json"):
            load("visual_probe", tmp_path)


class TestPope:
    def test_ids_that_count_anew_in_each_category_are_told_apart(self, tmp_path: Path) -> None:
        rows = questions("pope", tables.write_pope(tmp_path))
        assert [row.id for row in rows] == [f"{c}/{n}" for c in ("adversarial", "popular", "random") for n in (1, 2)]

    @pytest.mark.parametrize(
        ("said", "outcome"),
        [("Yes", "correct"), ("yes.", "correct"), ("Yes, there is a dog.", "correct"), ("No", "wrong"), ("maybe", None)],
    )
    def test_answers_in_words_are_read(self, tmp_path: Path, said: str, outcome: str | None) -> None:
        assert score(said, questions("pope", tables.write_pope(tmp_path))[0]).outcome == outcome


class TestDocuments:
    def test_every_accepted_answer_is_kept_in_order_and_once(self, tmp_path: Path) -> None:
        row = tables.info_rows()[0] | {"answers": ["2", "two", " 2 ", ""]}
        (found,) = questions("infovqa", write_parquet(tmp_path / "i.parquet", [row], tables.INFO_SCHEMA))
        assert found.answers == ("2", "two")

    def test_the_two_benchmarks_lie_in_one_repository(self, tmp_path: Path) -> None:
        tables.write_docvqa(tmp_path)
        assert [row.id for row in questions("docvqa", tmp_path)] == ["1", "2"]
        assert [row.id for row in questions("infovqa", tmp_path)] == ["98313"]

    def test_lists_in_a_tsv_are_texts(self, tmp_path: Path) -> None:
        row = {"questionId": 5, "question": "Who?", "answers": "['Núñez, José', 'J. Núñez']", "image": tables.packed()}
        (found,) = questions("docvqa", write_tsv(tmp_path / "d.tsv", [row]))
        assert found.answers == ("Núñez, José", "J. Núñez")

    def test_rows_without_answers_are_refused_with_why(self, tmp_path: Path) -> None:
        row = tables.info_rows()[0] | {"answers": []}
        with pytest.raises(DataError, match="the test split has none"):
            load("infovqa", write_parquet(tmp_path / "i.parquet", [row], tables.INFO_SCHEMA))


class TestMmStar:
    def test_options_inside_the_question_are_read(self, tmp_path: Path) -> None:
        first, _ = questions("mmstar", tables.write_mmstar(tmp_path))
        assert first.options == ("The suitcase is on the book.", "The suitcase is beneath the cat.")
        assert score("The suitcase is beneath the cat.", first).outcome == "wrong"

    def test_where_they_cannot_be_told_apart_letters_are_scored_and_words_left_to_the_judge(self, tmp_path: Path) -> None:
        _, second = questions("mmstar", tables.write_mmstar(tmp_path))
        assert second.options == ("A", "B", "C", "D")
        assert [score(said, second).outcome for said in ("D", "(A)", "the largest one")] == ["correct", "wrong", None]

    def test_an_answer_beyond_the_options_that_were_read_means_that_they_were_misread(self, tmp_path: Path) -> None:
        row = tables.star_rows()[0] | {"answer": "D"}
        (found,) = questions("mmstar", write_parquet(tmp_path / "m.parquet", [row], tables.STAR_SCHEMA))
        assert found.options == ("A", "B", "C", "D")


EXTRACTION: dict[str, tuple[str, str | None]] = {
    "a text that begins with another option's letter": ("Cotton", "correct"),
    "a letter after words with letters in them": ("Based on the image, the answer is (B).", "correct"),
    "thinking aloud before the answer": ("Let me see a man. So the answer is B.", "correct"),
    "thinking aloud before a bare letter": ("Let me see a man.\nB", None),
    "the letter alone": ("b", "correct"),
    "another option's text": ("Leather", "wrong"),
    "the letter with another option's text": ("B. kevlar", None),
    "two letters": ("(A) or (B)", None),
}


@pytest.mark.parametrize(("said", "outcome"), EXTRACTION.values(), ids=EXTRACTION.keys())
def test_letters_are_never_picked_out_of_words(said: str, outcome: str | None) -> None:
    """What other harnesses read wrong; None is left to a judge."""
    options = ("rubber", "cotton", "kevlar", "leather")
    text = choice_text("Which material?", options, ANSWER_LETTER)
    asked = Question(id="1", benchmark="hrbench4k", category="", cluster="", text=text, options=options, answer="B")
    assert score(said, asked).outcome == outcome


class TestCustom:
    def write(self, folder: Path, *rows: dict[str, Any]) -> Path:
        folder.mkdir(exist_ok=True)
        (folder / "a.png").write_bytes(png())
        (folder / "questions.jsonl").write_text(
            "\n".join(json.dumps({"image": "a.png", "question": "What?"} | row) for row in rows)
        )
        return folder

    def test_a_file_and_its_folder_are_the_same(self, tmp_path: Path) -> None:
        folder = tables.write_custom(tmp_path / "mine")
        assert load("custom", folder) == load("custom", folder / "questions.jsonl")

    @pytest.mark.parametrize(
        ("fields", "answers", "text"),
        [
            ({"options": ["white", "red"], "answer": "B"}, ("B",), "red"),
            ({"options": ["white", "red"], "answer": "(b)"}, ("B",), "red"),
            ({"options": ["(A) white", "(B) red"], "answer": "white"}, ("A",), "white"),
            ({"options": ["white", "red"]}, (), ""),
            ({"answer": "red"}, ("red",), "red"),
            ({"answer": ["red", "crimson"]}, ("red", "crimson"), "red"),
            ({"answer": ""}, (), ""),
            ({}, (), ""),
        ],
    )
    def test_answers_are_letters_texts_lists_or_missing(
        self, tmp_path: Path, fields: dict[str, Any], answers: tuple[str, ...], text: str
    ) -> None:
        (found,) = questions("custom", self.write(tmp_path, fields))
        assert (found.answers, found.answer_text) == (answers, text)

    @pytest.mark.parametrize(
        ("fields", "says"),
        [
            ({"options": ["white", "red"], "answer": "C"}, "label 'C'"),
            ({"options": ["white", "red"], "answer": "blue"}, "label 'blue'"),
            ({"options": ["white", "red"], "answer": ["A", "B"]}, "2 answers"),
            ({"options": ["B", "A"], "answer": "A"}, "both a letter and the text of option B"),
            ({"boxes": [[1, 2, 3]]}, r"boxes"),
            ({"anwser": "red"}, "unknown field 'anwser': write 'answer' if that is meant; known: question, image, options"),
            ({"bbox": [[1, 2, 3, 4]], "boxes": None}, "unknown field 'bbox': write 'boxes'"),
            ({"question": None, "prompt": "Which?"}, "unknown field 'prompt': write 'question'"),
            ({"question": " "}, "has no text"),
            ({"question": None}, "missing required field `question`; .*; known: question, image, options, answer"),
        ],
    )
    def test_a_bad_row_is_named_with_what_is_wrong(self, tmp_path: Path, fields: dict[str, Any], says: str) -> None:
        rows = load("custom", self.write(tmp_path, {}, fields, {}))
        assert [item.question.id for item in rows] == ["1", "3"]
        (bad,) = rows.bad
        assert re.search(rf"questions\.jsonl, row 2: .*{says}", str(bad))

    def test_further_columns_are_kept_and_never_asked(self, tmp_path: Path) -> None:
        row = {
            "difficulty": "hard",
            "year": 2026,
            "tags": ["a", "b"],
            "note": None,
            "question_id": 7,
            "label": "x",
            "answer": "3",
        }
        (found,) = questions("custom", self.write(tmp_path, row))
        expected = {"difficulty": "hard", "year": "2026", "tags": '["a", "b"]', "question_id": "7", "label": "x"}
        assert dict(found.extra) == expected
        assert not any(value in found.text for value in ("hard", "2026"))

    def test_a_folder_of_images_with_json_files_beside_them(self, tmp_path: Path) -> None:
        for name in ("b", "a"):
            (tmp_path / f"{name}.png").write_bytes(png())
            (tmp_path / f"{name}.json").write_text(json.dumps({"question": f"What is {name}?", "boxes": [[1, 2, 30, 40]]}))
        items = load("custom", tmp_path)
        assert [item.question.id for item in items] == ["a", "b"]
        assert items[0].image.path == str(tmp_path / "a.png")
        assert items[0].question.boxes == ((1, 2, 30, 40),)

    def test_an_empty_folder_says_what_is_expected(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="holds no question; expected a JSONL file"):
            load("custom", tmp_path)
