"""Turns that end with a stop string, and thoughts that come beside the text, whoever cuts them."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from cof_eval.agent.engine import Request, cut_at_stop
from cof_eval.engines.chat_response import _with_stop
from cof_eval.servers.reply import ReplyMessage


def asked(*stop: str, kept: bool = True) -> Request:
    return Request(conversation="c", messages=(), max_tokens=1, stop=stop, stop_kept=kept)


@pytest.mark.parametrize(
    ("text", "stop", "kept", "left"),
    [
        ("a</g>b", ("</g>",), "a</g>", "a"),
        ("a</g>b</g>", ("</g>",), "a</g>", "a"),
        ("a END b</g>", ("</g>", "END"), "a END", "a "),
        ("nothing", ("</g>",), "nothing", "nothing"),
        ("a</g>b", (), "a</g>b", "a</g>b"),
    ],
)
def test_a_turn_ends_at_the_first_stop_string(text: str, stop: tuple[str, ...], kept: str, left: str) -> None:
    assert cut_at_stop(text, asked(*stop)) == kept
    assert cut_at_stop(text, asked(*stop, kept=False)) == left


@pytest.mark.parametrize(
    ("text", "vllm", "whole"),
    [
        ("so <g>{1}", False, "so <g>{1}</g>"),
        ("so <g>{1}</g>", False, "so <g>{1}</g>"),
        ("<g>a</g> <g>b", False, "<g>a</g> <g>b</g>"),
        ("no call", False, "no call"),
        ("so <g>{1}", True, "so <g>{1}"),
    ],
)
def test_the_closing_tag_that_a_server_cut_off_is_put_back(text: str, vllm: bool, whole: str) -> None:
    server = SimpleNamespace(is_vllm=vllm)
    assert _with_stop(text, asked("</g>"), server) == whole  # type: ignore[arg-type]
    assert _with_stop(text, asked("</g>", kept=False), server) == text  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (ReplyMessage(content="B"), "B"),
        (ReplyMessage(content="<answer>B</answer>", reasoning="hm"), "hm\n</think>\n\n<answer>B</answer>"),
        (ReplyMessage(content="B", reasoning_content="hm"), "hm\n</think>\n\nB"),
        (ReplyMessage(content=None, reasoning="<answer>A</answer>"), "<answer>A</answer>"),
        (ReplyMessage(), ""),
    ],
)
def test_thoughts_that_a_server_parsed_are_part_of_the_turn(message: ReplyMessage, text: str) -> None:
    assert message.text == text
