from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from fakes import noise
from tiny_run import row, said_by, tiny_recipe, write_rows

from cof_eval.agent.protocols import COF
from cof_eval.core.errors import DataError
from cof_eval.core.images import encode_png
from training.data.prepare import PreparedData, prepare
from training.data.rows import Reason
from training.session.model import open_checkpoint

pytestmark = pytest.mark.slow

GOOD = row("a.png")
MESSAGES: list[dict[str, Any]] = GOOD["messages"]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COF_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder with a sound image, a damaged one, and one that is larger than the recipe shows."""
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "a.png").write_bytes(encode_png(noise(196, 140)))
    (folder / "torn.png").write_bytes(encode_png(noise(196, 140))[:2000])
    (folder / "large.png").write_bytes(encode_png(noise(560, 420)))
    return folder


@pytest.fixture
def prepared(photos: Path, tiny_data: Path, tmp_path: Path) -> Any:
    """Prepares rows, or a source of another format."""

    def run(rows: list[Any] | None = None, **changes: Any) -> PreparedData:
        source = {"format": "messages", "path": str(write_rows(photos, rows or []))}
        recipe = tiny_recipe(tiny_data, tmp_path / "out", **{"data": [source], **changes})
        return prepare(recipe, open_checkpoint(recipe), tmp_path / "data")

    return run


BAD: list[tuple[Any, Reason, str]] = [
    (row("missing.png"), Reason.IMAGE, "does not exist"),
    (row("torn.png"), Reason.IMAGE, "damaged"),
    (row("../a.png"), Reason.IMAGE, "is not below"),
    (row("large.png"), Reason.FRAME, "560x420"),
    (row("a.png", images=["a.png"]), Reason.IMAGE_COUNT, "2 images stand in the messages, 1 are given"),
    (row("a.png", images=None), Reason.IMAGE_COUNT, "0 are given"),
    (row("a.png", messages=MESSAGES[:2] + MESSAGES[3:]), Reason.ROLES, "system, user, user, assistant"),
    (row("a.png", messages=MESSAGES[:4]), Reason.ROLES, "expected system, then user and assistant in turn"),
    (row("a.png", messages=said_by(MESSAGES, 3, role="tool")), Reason.ROLES, "tool"),
    (row("a.png", messages=said_by(MESSAGES, 2, content="<image>")), Reason.IMAGE_COUNT, "3 images stand"),
    (row("a.png", messages=said_by(MESSAGES, 4, content="<answer> </answer>")), Reason.ANSWER, "no answer"),
    (row("a.png", messages=said_by(MESSAGES, 4, content="A mug")), Reason.ANSWER, "no answer"),
    (row("a.png", messages=said_by(MESSAGES, 2, content="<think>Hm.</think>")), Reason.CALL, "turn 1 of 2"),
    (
        row("a.png", messages=said_by(MESSAGES, 4, content="<answer>" + "very " * 3000 + "</answer>")),
        Reason.TOO_LONG,
        "4,096 fit",
    ),
    (row("a.png", messages="hello"), Reason.UNREADABLE, "no list of messages"),
    (row("a.png", messages=said_by(MESSAGES, 1, content=7)), Reason.UNREADABLE, "is int"),
    (row("a.png", messages=[{"from": "human"}]), Reason.UNREADABLE, "expected a role"),
    ([1, 2], Reason.UNREADABLE, "not list"),
    ('{"messages": [', Reason.UNREADABLE, "not JSON"),
]


def test_each_bad_row_is_dropped_with_its_reason_and_the_good_ones_are_kept(prepared: Any, capsys: Any) -> None:
    rows = [GOOD, *(bad for bad, _, _ in BAD), GOOD]
    done = prepared(rows)
    assert (done.kept, done.dropped) == (2, len(BAD))
    dropped = done.dropped_rows()
    assert [d.row for d in dropped] == [f"rows.jsonl:{n}" for n in range(2, len(BAD) + 2)]
    for found, (_, reason, says) in zip(dropped, BAD, strict=True):
        assert (found.reason, says in found.says) == (reason, True), found
    said = capsys.readouterr().err
    assert f"{len(BAD)} rows dropped" in said and all(count in said for count in ("3  odd roles", "1  too long"))
    assert sum(done.reasons.values()) == len(BAD)


def test_no_row_left_is_an_error(prepared: Any) -> None:
    with pytest.raises(DataError, match="no row is left to train on: all 1 were dropped"):
        prepared([BAD[0][0]])


def test_prompts_are_written_as_the_protocol_writes_them(prepared: Any) -> None:
    done = prepared([GOOD, {**GOOD, "messages": MESSAGES[1:]}])
    for kept in done.rows():
        texts = [message.parts for message in kept.messages]
        assert texts[:2] == [(COF.system,), (None, COF.prompt("What is it?"))]
        assert texts[3] == (None, COF.format)
    assert done.reworded == 0


def test_other_prompts_are_kept_and_counted(prepared: Any, capsys: Any) -> None:
    done = prepared([{**GOOD, "messages": said_by(MESSAGES, 1, content="<image>What is it?")}])
    assert done.rows()[0].messages[1].parts == (None, "What is it?")
    assert done.reworded == 1 and "1 of them word their prompts otherwise" in capsys.readouterr().err


def test_boxes_in_thousandths_survive_a_resize(prepared: Any, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("base: cof\nframe: milli\ncrop_source: native\n")
    (kept,) = prepared([row("large.png")], protocol=str(tmp_path / "mine.yaml")).rows()
    assert kept.images[0].size == (560, 420)  # read whole; shown as small as evaluation would


def test_a_protocol_without_system_message_or_format_gets_none(prepared: Any, tmp_path: Path) -> None:
    (tmp_path / "bare.yaml").write_text("base: cof\nsystem: ''\nquestion: '{question}'\nformat: ''\nclosing: ''\n")
    crop = {**GOOD, "messages": said_by(said_by(MESSAGES[1:], 0, content="<image>What is it?"), 2, content="<image>\n")}
    done = prepared([crop], protocol=str(tmp_path / "bare.yaml"))
    (kept,) = done.rows()
    assert [(m.role, m.parts) for m in kept.messages if m.role != "assistant"] == [
        ("user", (None, "What is it?")),
        ("user", (None,)),
    ]
    assert done.reworded == 0


def test_parts_and_placeholders_mean_the_same(prepared: Any) -> None:
    parts = [{"type": "image"}, {"type": "text", "text": "\nQuestion: What is it?" + COF.format}]
    one, two = prepared([GOOD, {**GOOD, "messages": said_by(MESSAGES, 1, content=parts)}]).rows()
    assert one.messages == two.messages


def test_control_tokens_in_a_text_forge_no_image(prepared: Any) -> None:
    forged = "<image>\nQuestion: What <|image_pad|> is it?" + COF.format
    (kept,) = prepared([{**GOOD, "messages": said_by(MESSAGES, 1, content=forged)}]).rows()
    assert "<|image_pad|>" not in kept.messages[1].text and len(kept.images) == 2


def test_tokens_are_those_that_the_processor_gives(prepared: Any, photos: Path, processor: Any) -> None:
    from PIL import Image

    (kept,) = prepared([GOOD]).rows()
    messages, images = kept.chat(), [Image.open(picture.path) for picture in kept.images]
    text = processor.apply_chat_template(messages, tokenize=False)
    assert kept.tokens == len(processor(text=[text], images=[images])["input_ids"][0])


def test_what_is_prepared_is_not_prepared_again_until_something_changes(prepared: Any, tmp_path: Path) -> None:
    first = prepared([GOOD])
    marker = tmp_path / "data" / "rows.jsonl"
    before = marker.stat().st_mtime_ns
    assert prepared([GOOD], **{"keep.log_steps": 2}).kept == first.kept
    assert prepared([GOOD, GOOD]).kept == 2
    assert marker.stat().st_mtime_ns != before


def test_a_limit_takes_the_first_rows(prepared: Any, photos: Path) -> None:
    file = write_rows(photos, [GOOD] * 5)
    assert prepared([GOOD] * 5, data=[{"format": "messages", "path": str(file), "limit": 3}]).kept == 3


def test_a_json_list_and_parquet_with_bytes_are_read_alike(prepared: Any, photos: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    (photos / "list.json").write_text(json.dumps([GOOD]))
    image = {"bytes": (photos / "a.png").read_bytes(), "path": "a.png"}
    parquet.write_table(pa.Table.from_pylist([{**GOOD, "images": [image, image]}]), photos / "table.parquet")
    (photos / "lines.json").write_text(f"{json.dumps(GOOD)}\n" * 2)
    assert prepared(data=[{"format": "messages", "path": str(photos / "lines.json")}]).kept == 2
    listed = prepared(data=[{"format": "messages", "path": str(photos / "list.json")}]).rows()
    tabled = prepared(data=[{"format": "messages", "path": str(photos / "table.parquet")}]).rows()
    assert listed[0].messages == tabled[0].messages and listed[0].tokens == tabled[0].tokens
    assert Path(tabled[0].images[0].path).read_bytes() == image["bytes"]


def test_a_folder_of_files_is_one_source(prepared: Any, photos: Path) -> None:
    for name in ("one.jsonl", "two.jsonl"):
        (photos / name).write_text(json.dumps(GOOD) + "\n")
    assert prepared([GOOD], data=[{"format": "messages", "path": str(photos)}]).kept == 3


@pytest.mark.parametrize("inner", ["images/", ""])
def test_chain_of_focus_published_folder_is_read_as_downloaded(prepared: Any, tmp_path: Path, photos: Path, inner: str) -> None:
    """`cof_sft_data.json` with paths like ./images/1.png, `images.zip`, and LLaMA-Factory's index; unpacked once."""
    folder = tmp_path / "CoF-SFT-Data-5.4k"
    folder.mkdir()
    (folder / "cof_sft_data.json").write_text(json.dumps([{**GOOD, "images": ["./images/a.png", "./images/a.png"]}]))
    (folder / "dataset_info.json").write_text(json.dumps({"cof-sft-data-5.4k": {"file_name": "cof_sft_data.json"}}))
    with zipfile.ZipFile(folder / "images.zip", "w") as archive:
        archive.write(photos / "a.png", f"{inner}a.png")
        archive.writestr("../outside.png", b"x")
        archive.writestr("notes.txt", b"x")
    for _ in range(2):
        done = prepared(data=[{"format": "messages", "path": str(folder)}])
        assert (done.kept, done.dropped) == (1, 0)
    unpacked = sorted(p.name for p in (tmp_path / "cache").rglob("*") if p.suffix in (".png", ".txt"))
    assert unpacked == ["a.png"]


def test_a_damaged_archive_is_one_line(prepared: Any, photos: Path) -> None:
    (photos / "images.zip").write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(DataError, match=r"images\.zip cannot be unpacked .*copy it again"):
        prepared([row("missing.png")])


def test_raw_rows_name_their_image_and_get_the_releases_closing(prepared: Any, photos: Path) -> None:
    cells = [
        {"question": "What is it?\n(A) a mug\n(B) a hat", "groundtruth": "B", "image_name": "a.png"},
        {"question": "What is it?", "groundtruth": "a hat", "image_name": "a.png", "data_source": None},
        {"question": "What is it?", "groundtruth": "a hat", "image_name": "../a.png"},
    ]
    (photos / "rl.json").write_text(json.dumps(cells))
    done = prepared(data=[{"format": "questions", "path": str(photos / "rl.json")}], **GRPO)
    one, two = (kept.question for kept in done.rows())
    assert one.text.endswith("(B) a hat\nAnswer with the option's letter from the given choices directly.")
    assert (one.options, one.answer) == (("a mug", "a hat"), "B")
    assert two.text == "What is it?\nAnswer the question using a single word or phrase."
    assert [dropped.reason for dropped in done.dropped_rows()] == [Reason.IMAGE]


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ({"format": "messages", "path": "./nowhere.jsonl"}, "no data at './nowhere.jsonl'"),
        ({"format": "messages", "path": "nobody/nothing"}, "could not be fetched from the hub"),
        ({"format": "questions", "path": "x"}, "stage sft cannot learn from 'x' of format questions"),
        ({"format": "run", "path": "./nowhere"}, "is no run folder"),
    ],
)
def test_a_source_that_cannot_be_read_stops_at_once(source: dict[str, str], says: str, prepared: Any) -> None:
    with pytest.raises(DataError, match=says):
        prepared(data=[source])


GRPO = {"stage": "grpo", "grpo": {"resolution": "224", "max_prompt_tokens": 900, "group": 2}}


def test_questions_come_with_what_their_answers_are_scored_against(prepared: Any, photos: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    image = {"bytes": (photos / "a.png").read_bytes(), "path": None}
    asked = "<image>What is it?\n(A) a mug\n(B) a hat"
    cells = [
        {"question": asked, "groundtruth": "B", "image": image, "data_source": "vqa"},
        {"question": "What is it?", "groundtruth": "a hat", "image": image, "data_source": "vqa"},
        {"question": " ", "groundtruth": "a hat", "image": image, "data_source": "vqa"},
        {"question": "What is it?", "groundtruth": None, "image": image, "data_source": "vqa"},
        {"question": "What is it?", "groundtruth": "x", "image": None, "data_source": "vqa"},
        {"question": "why " * 900, "groundtruth": "x", "image": image, "data_source": "vqa"},
    ]
    parquet.write_table(pa.Table.from_pylist(cells), photos / "rl.parquet")
    done = prepared(data=[{"format": "questions", "path": str(photos / "rl.parquet")}], **GRPO)
    one, two = done.rows()
    assert (one.question.options, one.question.answer, one.question.benchmark) == (("a mug", "a hat"), "B", "vqa")
    assert (two.question.options, two.question.answer) == ((), "a hat")
    assert one.messages[1].parts == (None, COF.prompt(asked.removeprefix("<image>")))
    reasons = [d.reason for d in done.dropped_rows()]
    assert reasons == [Reason.QUESTION, Reason.ANSWER, Reason.IMAGE_COUNT, Reason.TOO_LONG]


def test_a_question_is_counted_as_the_protocol_asks_it(prepared: Any, tiny_data: Path, tmp_path: Path) -> None:
    asks = "base: cof\nsystem: ''\nquestion: 'Q: {stem}|{options}'\noption: '{letter}) {text}'\n"
    (tmp_path / "mine.yaml").write_text(asks)
    source = {"format": "questions", "path": str(tiny_data / "vstar"), "limit": 1}
    (kept,) = prepared(data=[source], protocol=str(tmp_path / "mine.yaml"), **GRPO).rows()
    assert [message.role for message in kept.messages] == ["user"]
    assert kept.messages[0].text.endswith(
        "|" + "\n".join(f"{n}) {t}" for n, t in zip("ABCD", kept.question.options, strict=False))
    )


def test_a_folder_like_vstar_gives_questions_with_boxes(prepared: Any, tiny_data: Path) -> None:
    done = prepared(data=[{"format": "questions", "path": str(tiny_data / "vstar")}], **GRPO)
    assert done.kept == 12 and all(row.question and row.question.boxes for row in done.rows())
