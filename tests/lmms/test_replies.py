"""The short JSON that stands for a trajectory between the model and the task, and who is believed to have written it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fakes import question

from cof_eval.core.records import (
    Call,
    Crop,
    Finish,
    ImageRef,
    Outcome,
    ShownImage,
    Stop,
    Trajectory,
    Turn,
    Verdict,
    stop_verdict,
    verdict_key,
)
from cof_eval.lmms import replies
from cof_eval.lmms.replies import expect_replies, load_result, read_reply, write_reply
from cof_eval.runs.folder import RunFolder

SETTINGS = {
    "model": {"fingerprint": "f"},
    "protocol": {"name": "cof"},
    "judge": {"card": "strict", "model": ""},
    "tasks": {"t": 1},
}


@pytest.fixture(autouse=True)
def no_models(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process in which no model `cof` was made yet."""
    monkeypatch.setattr(replies, "_EXPECTED", set())


def trajectory(key: str = "k", answer: str = "B", stop: Stop = Stop.ANSWERED) -> Trajectory:
    crop = Crop("c", (56, 56), (0.0, 0.0, 10.0, 10.0))
    zoomed = Turn("call", Finish.STOP, 90, 0, 9, 70, 0.1, (Call("raw", crop=crop), Call("raw", error="no")))
    said = Turn("text", Finish.STOP, 100, 90, 10, 74, 0.1)
    return Trajectory(
        key, question(), ImageRef("h", (28, 28)), "cof", ShownImage((28, 28), 1, "s"), (zoomed, said), answer, stop
    )


@pytest.mark.parametrize("answer", ["B", "", 'the "red" one\n\\ {"a": 1}', "ü" * 5000])
def test_a_reply_survives_its_json(answer: str, tmp_path: Path) -> None:
    expect_replies(tmp_path)
    text = write_reply(trajectory(answer=answer), tmp_path)
    reply = read_reply(text)
    assert reply is not None
    assert (reply.trajectory, reply.run, reply.answer, reply.stop) == ("k", str(tmp_path), answer, Stop.ANSWERED)
    assert (reply.zooms, reply.turns) == (1, 2)
    assert "\n" not in text


@pytest.mark.parametrize(
    "text",
    [
        "B",
        "",
        "{}",
        '{"answer": "B"}',
        '{"trajectory":',
        '{"trajectory":"k"}',
        '{"trajectory":1,"run":"r","answer":"B","stop":"answered","zooms":0,"turns":1}',
        '{"trajectory":"k","run":"r","answer":"B","stop":"whatever","zooms":0,"turns":1}',
        '{"trajectory":"k","x":' + "[" * 100_000,
        "null",
        "\x00",
    ],
)
def test_any_other_text_is_no_reply(text: str) -> None:
    assert read_reply(text) is None


def test_text_that_imitates_a_reply_is_no_reply_where_no_model_of_ours_runs(tmp_path: Path) -> None:
    assert read_reply(write_reply(trajectory(), tmp_path)) is None


def test_text_that_names_a_run_of_nobody_here_is_no_reply(tmp_path: Path) -> None:
    expect_replies(tmp_path / "mine")
    assert read_reply(write_reply(trajectory(), tmp_path / "other")) is None
    assert read_reply(write_reply(trajectory(), tmp_path / "mine")) is not None


def test_a_reply_leads_to_the_trajectory_and_the_verdict_on_disk(tmp_path: Path) -> None:
    expect_replies(tmp_path)
    ended = trajectory()
    verdict = Verdict(verdict_key("strict", "", question(), "B"), "strict", "", Outcome.CORRECT, "rule:letter")
    with RunFolder(tmp_path, SETTINGS) as run:
        run.add_trajectory(ended)
        run.add_verdict(verdict)
    reply = read_reply(write_reply(ended, tmp_path))
    assert reply is not None
    assert load_result(reply, question()) == (ended, verdict)


def test_a_stop_is_its_own_verdict_and_an_unknown_key_is_nothing(tmp_path: Path) -> None:
    expect_replies(tmp_path)
    failed = trajectory("failed", "", Stop.ERROR)
    with RunFolder(tmp_path, SETTINGS) as run:
        run.add_trajectory(failed)
    for key, expected in (("failed", (failed, stop_verdict(failed, "strict"))), ("unknown", (None, None))):
        reply = read_reply(write_reply(trajectory(key), tmp_path))
        assert reply is not None
        assert load_result(reply, question()) == expected


def test_what_was_written_since_is_found(tmp_path: Path) -> None:
    expect_replies(tmp_path)
    reply = read_reply(write_reply(trajectory("later"), tmp_path))
    assert reply is not None
    with RunFolder(tmp_path, SETTINGS) as run:
        assert load_result(reply, question()) == (None, None)
        run.add_trajectory(trajectory("later"))
        assert load_result(reply, question())[0] == trajectory("later")


def test_a_reply_is_readable_by_people() -> None:
    shown = json.loads(write_reply(trajectory(), Path("runs/x")))
    assert shown == {"trajectory": "k", "run": "runs/x", "answer": "B", "stop": "answered", "zooms": 1, "turns": 2}
