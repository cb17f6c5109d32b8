"""Protocols: prompts to the letter, limits, and names."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from fakes import LIMITS, noise

from cof_eval.errors import UsageError
from cof_eval.protocols import (
    COF,
    COF_FORCED,
    COF_RELEASED,
    DIRECT,
    DIRECT_FORCED,
    PROTOCOLS,
    BoxFrame,
    Protocol,
    parse_protocol,
)
from cof_eval.reply import CallSyntax, parse_reply
from cof_eval.zoom import View


def test_the_cof_prompts_are_those_that_the_checkpoints_were_trained_with(contracts: Path) -> None:
    contract = json.loads(contracts.read_text())["cof"]
    assert (COF.system, COF.question, COF.format) == (contract["system"], contract["question"], contract["format"])


def test_a_question_enters_the_prompt_verbatim() -> None:
    text = "What is {this}? {format} {question} 100% \\n"
    assert COF.prompt(text).startswith(f"Question: {text}\nThink in the mind first")
    assert DIRECT.prompt(text) == text


def test_the_tool_in_the_prompt_is_the_tool_that_is_executed() -> None:
    from cof_eval.zoom import TOOL_NAME

    (schema,) = re.findall(r"<tools>\n(.*)\n</tools>", COF.system)
    assert json.loads(schema)["function"]["name"] == TOOL_NAME


def test_the_released_protocol_differs_from_cof_only_in_its_quirks() -> None:
    changed = {f for f in msgspec.to_builtins(COF) if msgspec.to_builtins(COF)[f] != msgspec.to_builtins(COF_RELEASED)[f]}
    assert changed == {"name", "answer_syntax", "precedence", "calls_per_turn", "bad_call"}


def test_the_baseline_sees_the_same_pixels() -> None:
    assert COF.limits(LIMITS) == DIRECT.limits(LIMITS)


def test_a_forced_reply_is_one_the_parser_reads() -> None:
    text = '<think>look at this</think> <tool_call>{"name": "image_zoom_in_tool", "arguments": {"bbox_2d": [10, 20, 110, 120]}}</tool_call>'
    assert re.fullmatch(COF_FORCED.turn_pattern(0) or "", text)
    assert parse_reply(text, COF.call_syntax, COF.answer_syntax).calls[0].arguments == {"bbox_2d": [10, 20, 110, 120]}
    done = "<think>look at this</think> <answer>B</answer>"
    for pattern in (COF_FORCED.turn_pattern(2), COF_FORCED.turn_pattern(9), DIRECT_FORCED.turn_pattern(0)):
        assert re.fullmatch(pattern or "", done)
    assert COF.turn_pattern(0) is None


@pytest.mark.parametrize("frame", list(BoxFrame))
def test_every_frame_spans_the_whole_image(frame: BoxFrame) -> None:
    view = View(noise(56, 28), (112, 56))
    box_frame = replace(COF, frame=frame).box_frame(view)
    assert box_frame.name == ("unit" if frame is BoxFrame.UNIT_OR_PIXELS else frame.value)
    assert box_frame.covers == (0, 0, 1, 1)


def test_an_unknown_protocol_lists_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"known: cof, cof_released, cof_forced, deepeyes, .*, or the path of a .yaml file"):
        parse_protocol("deepeye")
    assert parse_protocol("cof") is COF


def test_one_setting_changes_and_the_name_says_so() -> None:
    changed = parse_protocol("cof", {"bad_call": "whole_image"})
    assert changed == replace(COF, bad_call=COF_RELEASED.bad_call, name="cof+bad_call=whole_image")
    assert parse_protocol("cof", {}) is COF


@pytest.mark.parametrize(
    ("changes", "says"),
    [({"max_turn": 3}, "unknown max_turn; known: system, "), ({"max_turns": "many"}, "max_turns"), ({"bad_call": "x"}, "bad_call"),
     ({"name": "mine"}, "unknown name"), ({"max_turns": 0}, "must be positive")],
)  # fmt: skip
def test_changes_that_cannot_be_made_are_refused(changes: dict[str, object], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        parse_protocol("cof", changes)


@pytest.mark.parametrize("change", [{"max_turns": 0}, {"max_new_tokens": -1}, {"widen": 0}, {"temperature": -0.1}])
def test_impossible_settings_are_refused(change: dict[str, float]) -> None:
    with pytest.raises(UsageError, match=next(iter(change))):
        replace(COF, **change)  # type: ignore[arg-type]


@pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=lambda p: p.name)
def test_a_protocol_survives_the_way_through_json(protocol: Protocol) -> None:
    assert msgspec.json.decode(msgspec.json.encode(protocol), type=Protocol) == protocol
    assert protocol.call_syntax in CallSyntax
