"""`cof-eval data`: the list without a fetch, data checked without a model, a question with its boxes drawn."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from fakes import noise
from PIL import Image
from tables import png, write_custom, write_screenspot_pro

from cof_eval.benchmarks import BENCHMARKS, SHIPPED, catalog, hub
from cof_eval.benchmarks.catalog import State
from cof_eval.cli import main
from cof_eval.core.images import encode_png

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """`cof-eval data …` in this process, in a folder of its own and without a hub."""
    for name in ("COF_BENCHMARK_MODULES", "COF_ALLOW_OUTSIDE", *(f"COF_DATA_{name.upper()}" for name in SHIPPED)):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("COF_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(hub, "cached_folder", lambda repository: None)
    monkeypatch.setattr(catalog, "cached_folder", lambda repository: None)
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["cof-eval", "data", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return run


def test_the_list_has_every_benchmark_with_its_questions_licence_and_place(command: Command, tmp_path: Path) -> None:
    data = write_screenspot_pro(tmp_path / "spots")
    status, out, err = command("--data", f"screenspot_pro={data}")
    assert (status, err) == (0, "")
    lines = {line.split()[0]: line for line in out.splitlines() if line.strip()}
    assert set(SHIPPED) <= set(lines)
    assert "hub" in lines["zoombench"]
    assert all(each in lines["zoombench"] for each in ("845", "4 GB", "Apache 2.0", "inclusionAI/ZoomBench"))
    assert all(each in lines["screenspot_pro"] for each in ("folder", "1,581", "MIT", str(data)))
    assert "name your data with --data custom=PATH" in lines["custom"]
    assert "\x1b" not in out


def test_places_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cached = tmp_path / "snapshot"
    (cached / "data").mkdir(parents=True)
    monkeypatch.setattr(catalog, "cached_folder", lambda repository: cached if "POPE" in repository else None)
    monkeypatch.setenv("COF_DATA_MMSTAR", str(tmp_path / "nowhere"))
    monkeypatch.setenv("COF_DATA_POPE", "")
    (partly,) = catalog.catalog(["pope"])
    assert (partly.state, partly.missing) == (State.HUB, "the cache has no data/test-*.parquet; a run fetches it")
    (cached / "data/test-0.parquet").write_bytes(b"x" * 2500)
    (there,) = catalog.catalog(["pope"])
    assert (there.state, there.place, there.size) == (State.CACHE, str(cached), "2 KB")
    (gone,) = catalog.catalog(["mmstar"])
    assert (gone.state, "does not exist" in gone.missing) == (State.MISSING, True)


def test_every_benchmark_of_the_hub_is_known_by_its_id_without_loading_it() -> None:
    places = {name: hub.hub_place(BENCHMARKS[name].load) for name in SHIPPED if name not in ("custom", "vstar_mini")}
    assert all(place and place.repository.count("/") == 1 for place in places.values())


def test_sound_data_pass_and_are_summed_up(command: Command, tmp_path: Path) -> None:
    status, out, _ = command("check", f"custom={write_custom(tmp_path / 'mine')}")
    assert status == 0
    assert "3 questions about 1 image\n" in out
    assert "1 with options, 2 open, 1 without a reference answer, 1 with boxes" in out
    assert out.endswith("nothing is wrong\n")


def test_every_row_image_and_box_that_is_wrong_is_named(command: Command, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "good.png").write_bytes(png(1))
    (folder / "cut.png").write_bytes(png(2)[:200])
    (folder / "thin.png").write_bytes(encode_png(noise(900, 2)))
    rows = [
        {"image": "good.png", "question": "Fine?", "answer": "yes"},
        {"image": "good.png", "question": "Out?", "boxes": [[0, 0, 500, 20]], "id": "box\x1b[2J"},
        {"image": "cut.png", "question": "Cut?"},
        {"image": "thin.png", "question": "Thin?"},
        {"image": "nowhere.png", "question": "Gone?"},
        {"image": "good.png"},
        {"image": "good.png", "question": "Which?", "options": ["a", "", "c"], "answer": "C"},
    ]
    (folder / "q.jsonl").write_text("\n".join(map(json.dumps, rows)))
    status, out, _ = command("check", f"custom={folder}")
    assert status == 1
    assert "2 rows that cannot be asked" in out
    assert "q.jsonl, row 6: " in out
    assert "3 images that cannot be shown" in out
    assert {line.split(":")[0].strip() for line in out.splitlines() if line.startswith("  question")} == {
        "question 3", "question 4", "question 5", "question box [2J",
    }  # fmt: skip
    assert "reaches out of its image of 120x90 px" in out
    assert "6 problems" in out
    assert "\x1b" not in out
    assert "… and 2 more (--problems 3)" in command("check", f"custom={folder}", "--problems", 1)[1]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("check", "nonesuch"), "unknown benchmark 'nonesuch'; known: vstar"),
        (("check", "vstar=nowhere"), "nowhere does not exist"),
        (("check", "custom"), "custom has no data of its own"),
        (
            ("show", "custom", "9", "--data", "custom=mine"),
            "no row '9': there are 3; give a number from 1, or an id such as 1, 2, 3",
        ),
        (("show", "custom", "1", "--data", "custom=mine", "--out", "mine/desk.png/x.png"), "cannot write"),
        (("--benchmark-module", "none.py"), "expected a Python file"),
    ],
)
def test_a_mistake_is_one_line(arguments: tuple[str, ...], says: str, command: Command, tmp_path: Path) -> None:
    write_custom(tmp_path / "mine")
    status, _, err = command(*arguments)
    assert (status, err.count("cof-eval: ")) == (2, 1)
    assert says in err
    assert "Traceback" not in err


def test_a_question_is_printed_and_its_image_written_with_its_boxes(command: Command, tmp_path: Path) -> None:
    folder = write_custom(tmp_path / "mine")
    Image.new("RGB", (4000, 3000), "white").save(folder / "desk.png")
    row = {
        "image": "desk.png",
        "question": "Two\nlines\x1b]0;x\x07?",
        "answer": "3",
        "boxes": [[100, 100, 1000, 700], [2000, 20, 2400, 300]],
    }
    (folder / "questions.jsonl").write_text(json.dumps(row | {"id": "desk/1"}))
    status, out, _ = command("show", "custom", "desk/1", "--data", f"custom={folder}")
    assert status == 0
    assert "text        Two\n            lines\ufffd]0;x\ufffd?\n" in out
    assert "box 2       2000, 20, 2400, 300" in out
    drawn = Image.open(tmp_path / "custom-desk_1.png")
    assert drawn.size == (2048, 1536)
    red = drawn.convert("RGB").getpixel
    assert red((round(100 * 0.512) + 1, 200)) == (224, 32, 32)
    assert red((300, 200)) == (255, 255, 255)
    assert "\x1b" not in out


def test_a_row_is_found_by_its_number_first(command: Command, tmp_path: Path) -> None:
    folder = write_custom(tmp_path / "mine")
    shutil.copy(folder / "questions.jsonl", folder / "copy.txt")
    status, out, _ = command("show", "custom", "2", "--data", f"custom={folder}", "--out", tmp_path / "x.png")
    assert (status, "How many pens?" in out, "also right  three" in out) == (0, True, True)
    assert (tmp_path / "x.png").is_file()
