"""What the page loads: chunks that nothing can break out of, boxes in one frame, an index that agrees with the run."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fakes import question, trajectory

from cof_eval.core.records import Call, Crop, Finish, ImageRef, Outcome, ShownImage, Turn, Verdict
from cof_eval.report.viewer.chunks import ChunkedList, ChunkFolder, script_json
from cof_eval.report.viewer.details import Pictures, details
from cof_eval.report.viewer.index import ANSWER_CHARS, COLUMNS, ROWS_PER_CHUNK, Index

RIGHT, WRONG = Outcome.CORRECT, Outcome.WRONG


def received(path: Path) -> tuple[str, Any]:
    """The name and the value that a chunk gives the page, read by the rules of JSON."""
    name, value = json.loads("[" + path.read_text(encoding="utf-8").removeprefix("Cof.receive(").removesuffix(");\n") + "]")
    return name, value


@pytest.mark.parametrize(
    "text",
    ["</script>", "<!--", "-->", "<script>", "]]>", "&lt;", "\u2028\u2029", "\\u003c/script>", "\\", '"', "\x00\x1f", "à 语 👁"],
)
def test_text_survives_a_script_file_and_cannot_leave_it(text: str) -> None:
    encoded = script_json({text: [text]})
    assert json.loads(encoded) == {text: [text]}
    assert not re.search("[<>&\u2028\u2029]", encoded.decode())


def test_lone_surrogates_become_a_replacement_character() -> None:
    assert json.loads(script_json("a\ud800b")) == "a\ufffdb"


def test_a_list_is_cut_into_chunks_of_bounded_size_in_order(tmp_path: Path) -> None:
    with ChunkedList(ChunkFolder(tmp_path), "records", max_bytes=100) as items:
        positions = [items.append("x" * size) for size in (40, 40, 40, 500, 1)]
    assert positions == [0, 1, 2, 3, 4]
    assert items.starts == [0, 2, 3, 4]
    chunks = [received(tmp_path / f"records-{i}.js") for i in range(4)]
    assert [name for name, _ in chunks] == [f"records-{i}" for i in range(4)]
    assert [len(item) for _, chunk in chunks for item in chunk] == [40, 40, 40, 500, 1]


def test_an_empty_list_writes_nothing(tmp_path: Path) -> None:
    with ChunkedList(ChunkFolder(tmp_path), "records") as items:
        pass
    assert items.starts == []
    assert not list(tmp_path.iterdir())


def test_chunks_of_an_earlier_report_go(tmp_path: Path) -> None:
    ChunkFolder(tmp_path).write("rows-7", [])
    ChunkFolder(tmp_path).write("rows-0", [])
    assert [path.name for path in tmp_path.iterdir()] == ["rows-0.js"]


@pytest.mark.parametrize(
    ("frame", "box", "drawn"),
    [
        ("shown", (10, 5, 50, 25), (0.1, 0.1, 0.5, 0.5)),
        ("native", (40, 20, 200, 100), (0.1, 0.1, 0.5, 0.5)),
        ("unit", (0.1, 0.1, 0.5, 0.5), (0.1, 0.1, 0.5, 0.5)),
        ("milli", (100, 100, 500, 500), (0.1, 0.1, 0.5, 0.5)),
        ("shown", (50, 25, 10, 5), None),
        ("shown", (0, 0, float("inf"), 5), None),
        ("elsewhere", (1, 1, 2, 2), None),
        ("shown", None, None),
    ],
)
def test_boxes_of_every_frame_become_shares_of_the_image(frame: str, box, drawn) -> None:
    turn = Turn("…", Finish.STOP, 1, 0, 1, None, 0.0, (Call("{}", box, frame),))
    record = trajectory(image=ImageRef("n", (400, 200)), shown=ShownImage((100, 50), 1, "s"), turns=(turn,))
    assert details(record, None, Pictures(Path("nowhere"))).boxes == ((drawn,),)


def test_a_box_of_an_unknown_frame_lies_where_its_crop_does(tmp_path: Path) -> None:
    crop = Crop("c", (28, 28), (40, 20, 200, 100))
    turn = Turn("…", Finish.STOP, 1, 0, 1, None, 0.0, (Call("{}", (1, 1, 9, 9), "crop[1]", crop=crop),))
    record = trajectory(
        image=ImageRef("n", (400, 200)), turns=(turn,), question=question(boxes=((0, 0, 100, 100), (5, 5, 5, 5)))
    )
    found = details(record, None, Pictures(tmp_path))
    assert found.boxes == found.cuts == (((0.1, 0.1, 0.5, 0.5),),)
    assert found.targets == ((0, 0, 0.25, 0.5),)


def test_only_pictures_that_are_there_are_named(tmp_path: Path) -> None:
    for name in ("ab/abc.jpg", "cd/cde.png", "cd/half.tmp"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "stray.jpg").touch()
    assert Pictures(tmp_path).kept(["abc", "cde", "half", "stray", "gone"]) == {"abc": "jpg", "cde": "png"}


def test_the_index_says_of_every_row_what_the_run_says(make_run, asked, tmp_path: Path) -> None:
    run = make_run(
        asked("a", "448", RIGHT, zooms=2, tool_errors=1, category="c1"),
        asked("a", "224", None, stop=None),
        asked("b", "224", None, answer="x" * 2 * ANSWER_CHARS),
    )
    manifest = Index(ChunkFolder(tmp_path), [run]).manifest()
    _, chunk = received(tmp_path / "rows-0.js")
    names = manifest["vocabulary"]
    rows = [dict(zip(COLUMNS, values, strict=True)) for values in zip(*(chunk[name] for name in COLUMNS), strict=True)]
    assert [names["verdict"][row["verdict"]] for row in rows] == ["correct", "pending", "unscored"]
    assert [names["resolution"][row["resolution"]] for row in rows] == ["448", "224", "224"]
    assert [names["category"][row["category"]] for row in rows] == ["c1", "c1", "direct_attributes"]
    assert [row["question"] for row in rows] == [0, 0, 1]
    assert [row["record"] for row in rows] == [0, -1, 1]
    assert (rows[0]["zooms"], rows[0]["errors"], rows[0]["turns"], rows[0]["output_tokens"]) == (2, 1, 3, 30)
    assert [len(answer) for answer in chunk["answer"]] == [1, 0, ANSWER_CHARS]
    assert [item[0] for item in received(tmp_path / "questions-0.js")[1]] == ["a", "b"]


def test_equal_work_is_one_record_and_each_row_has_the_verdict_in_use(make_run, asked, tmp_path: Path) -> None:
    run = make_run(asked("a", "2560", WRONG, key="same"), asked("a", "4k", WRONG, key="same"))
    later = replace(run, verdicts={"same": Verdict("v", "other", "m", RIGHT, "judge", "1")})
    Index(ChunkFolder(tmp_path), [later])
    assert received(tmp_path / "rows-0.js")[1]["record"] == [0, 0]
    (record,) = received(tmp_path / "records-0-0.js")[1]
    assert (record["verdict"]["verdict"], record["verdict"]["card"]) == ("correct", "other")


def test_runs_follow_each_other_and_large_ones_are_cut(make_run, asked, tmp_path: Path) -> None:
    large = make_run(*(asked(f"q{i}", "224", RIGHT) for i in range(ROWS_PER_CHUNK + 1)))
    manifest = Index(ChunkFolder(tmp_path), [large, make_run(), make_run(asked("q1", "448", RIGHT))]).manifest()
    assert manifest["chunks"] == [ROWS_PER_CHUNK, 1, 1]
    assert [(run.first, run.rows) for run in manifest["runs"]] == [
        (0, ROWS_PER_CHUNK + 1),
        (ROWS_PER_CHUNK + 1, 0),
        (ROWS_PER_CHUNK + 1, 1),
    ]
    assert received(tmp_path / "rows-2.js")[1]["question"] == [1]
    assert all(path.stat().st_size < 1_000_000 for path in tmp_path.glob("records-*.js"))
