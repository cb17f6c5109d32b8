"""`cof-eval ask`: the turns that a person reads, and the page."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from commands import forked
from fake_server import ChatRequest, serve
from fakes import call, noise, trajectory

from cof_eval.benchmarks.options import ANSWER_LETTER
from cof_eval.core.errors import UsageError
from cof_eval.core.images import pixel_hash
from cof_eval.core.records import Call, Crop, Finish, ShownImage, Turn
from cof_eval.report.ask_page import render_page
from cof_eval.runs.ask import AskResult, make_question, reply_pieces

pytestmark = pytest.mark.slow

EVIL = "<script>alert(1)</script><img src=x onerror=alert(1)>\x1b[2J"


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    noise(300, 200).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def says(*texts: str) -> object:
    def reply(asked: ChatRequest) -> str:
        return texts[min(asked.turn, len(texts) - 1)]

    return reply


def ask(photo: Path, server: object, *options: str):  # type: ignore[no-untyped-def]
    url = server.url  # type: ignore[attr-defined]
    return forked(
        *("ask", photo, "What color is it?", "--model", "by-name", "--engine", "openai", "--base-url", url, *options),
        folder=photo.parent,
    )


def test_turns_are_printed_and_written_as_a_page(photo: Path) -> None:
    script = says(f"<think>I look closer. {EVIL}</think>{call(10, 10, 90, 90)}", call(0, 0, 9999, 1), "<answer>B</answer>")
    with serve(reply=script) as server:
        done = ask(photo, server, "--options", "red|blue")
        asked = server.log[0].text
    assert done.status == 0, done.err
    assert f"What color is it?\n(A) red\n(B) blue\n{ANSWER_LETTER}" in asked
    for line in (
        "shown at 308 × 196",
        "turn 1",
        "thought  I look closer. ",
        "crop 1",
        "turn 2",
        "error    Invalid bounding box",
        "answer   B",
    ):
        assert line in done.out, line
    assert "\x1b" not in done.out
    page = (photo.parent / "ask-photo.html").read_text()
    assert "<script" not in page.replace("&lt;script", "")
    assert len(re.findall(r'src="data:image/jpeg;base64,', page)) == 2
    assert not re.findall(r'(?:src|href)="(?!data:)', page)
    assert re.findall(r"<text [^>]*>(\d)</text>", page) == re.findall(r"<figcaption>Crop (\d): ", page) == ["1"]
    assert "3 turns, 1 zoom, 1 tool error, " in page


def test_a_question_that_is_not_answered_ends_with_one(photo: Path) -> None:
    with serve(reply=says("I wonder.")) as server:
        done = ask(photo, server, "--page", "deep.html")
    assert done.status == 1
    assert "stop     no_answer" in done.out
    assert (photo.parent / "deep.html").exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nowhere.png", "What?"], "image file nowhere.png does not exist"),
        (["photo.png", " "], "the question is empty"),
        (["photo.png", "What?", "--options", "red"], "expected 2 to 26 options"),
        (["photo.png", "What?", "--resolution", "5"], "unknown resolution '5'"),
        (["photo.png", "What?", "--protocol", "mine.yaml"], "protocol file mine.yaml cannot be read"),
        (["photo.png", "What?", "--page", "no/such/page.html"], "the page no/such/page.html cannot be written"),
    ],
)
def test_what_a_user_can_mend_is_one_line(photo: Path, arguments: list[str], says: str) -> None:
    with serve(reply=lambda asked: "<answer>B</answer>") as server:
        done = forked(
            "ask", *arguments, "--model", "by-name", "--engine", "openai", "--base-url", server.url, folder=photo.parent
        )
    assert done.status == 2
    assert says in done.last
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<think>a</think> b <answer>c</answer>", [("thought", "a"), ("text", "b"), ("answer", "c")]),
        ("<tool_call>{}</tool_call><grounding>{1}</grounding>", [("call", "{}"), ("call", "{1}")]),
        ("<think>never closed", [("thought", "never closed")]),
        ("plain", [("text", "plain")]),
        ("  ", []),
    ],
)
def test_a_text_in_pieces(text: str, expected: list[tuple[str, str]]) -> None:
    assert [(piece.kind, piece.text) for piece in reply_pieces(text)] == expected


@pytest.mark.parametrize("options", [["a"], ["a", " "], [str(i) for i in range(27)]])
def test_options_that_are_none_are_refused(options: list[str]) -> None:
    with pytest.raises(UsageError, match="expected 2 to 26 options"):
        make_question("What?", options)


class _Page(HTMLParser):
    """What of a page is markup."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attributes}


def test_nothing_that_a_model_or_a_name_says_is_markup() -> None:
    shown = noise(56, 56)
    crop = Crop("gone", (28, 28), (0, 0, 28, 28), 1)
    turn = Turn(
        EVIL, Finish.STOP, 1, 0, 1, None, 0.0, (Call(EVIL, error=EVIL), Call(EVIL, crop=crop, instead="blank"), Call(EVIL))
    )
    about = trajectory(
        turns=(turn,), answer=EVIL, protocol=EVIL, error=EVIL, shown=ShownImage((56, 56), 4, pixel_hash(shown)),
        question=make_question(f"What? {EVIL}"),
    )  # fmt: skip
    page = _Page()
    page.feed(render_page(AskResult(about, {pixel_hash(shown): shown}), model=EVIL, resolution=EVIL))
    assert not page.tags & {"script", "iframe", "link", "object"}
    assert not [name for name in page.attributes if name.startswith("on")]
