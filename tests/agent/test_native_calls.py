"""Native tool calls: read, executed, answered by id, and recorded, whatever a model or a server makes of them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fakes import LIMITS, ScriptedEngine, question, subject
from guides import blocks
from hypothesis import given
from hypothesis import strategies as st

from cof_eval.agent.conversation import IMAGES_USED_UP, NOT_EXECUTED, Conversation
from cof_eval.agent.engine import Message, Request, Response, Role, TextPart
from cof_eval.agent.protocols import PROTOCOLS, Calls, CallsPerTurn, Crops, Precedence, Protocol, parse_protocol
from cof_eval.agent.reply.calls import MAX_CALLS
from cof_eval.agent.reply.native import UNNAMED, sendable, with_ids
from cof_eval.agent.rollout import rollout
from cof_eval.core.errors import UsageError
from cof_eval.core.records import Finish, Stop, ToolCall, Trajectory, from_json, to_json

TOOLS = PROTOCOLS["tools"]
BOX = '{"bbox_2d": [100, 100, 600, 600]}'

Turn = tuple[str, Sequence[ToolCall]]


def call(arguments: str = BOX, *, name: str = "zoom_in", call_id: str = "c1", **further: Any) -> ToolCall:
    return ToolCall(call_id, name, arguments, further)


class NativeEngine(ScriptedEngine):
    """Says texts and gives calls, turn by turn."""

    def __init__(self, turns: Sequence[Turn], **options: Any) -> None:
        super().__init__([text for text, _ in turns], **options)
        self._turns = turns

    def _respond(self, request: Request, text: str) -> Response:
        turn = sum(message.role is Role.ASSISTANT for message in request.messages)
        calls = tuple(self._turns[min(turn, len(self._turns) - 1)][1])
        return replace(super()._respond(request, text), tool_calls=calls)


def roll(*turns: Turn, protocol: Protocol = TOOLS, **options: Any) -> tuple[Trajectory, list[Message]]:
    """A rollout of these turns, and the conversation that its last turn was asked in."""
    engine = NativeEngine([*turns, ("<answer>B</answer>", ())], limits=LIMITS, context=128_000, **options)
    result = asyncio.run(rollout(subject(native=(1000, 700)), engine, protocol))
    assert all(request.tools == protocol.tools for request in engine.requests)
    return result, list(engine.requests[-1].messages)


def texts(messages: Sequence[Message], role: Role) -> list[str]:
    return ["".join(p.text for p in m.parts if isinstance(p, TextPart)) for m in messages if m.role is role]


def test_a_call_is_answered_by_its_id_and_its_crop_follows_in_a_user_message() -> None:
    result, messages = roll(("Closer.", [call(signature="s")]))
    assert (result.stop, result.answer, result.zooms, result.tool_errors) == (Stop.ANSWERED, "B", 1, 0)
    said, told, shown = messages[-3:]
    assert (said.role, said.tool_calls) == (Role.ASSISTANT, (call(signature="s"),))
    assert (told.role, told.call_id, told.images) == (Role.TOOL, "c1", ())
    assert (shown.role, len(shown.images)) == (Role.USER, 1)
    turn = result.turns[0]
    assert turn.tool_calls == (call(signature="s"),)
    assert turn.text == f'Closer.\n<tool_call>\n{{"name": "zoom_in", "arguments": {BOX}}}\n</tool_call>'
    assert turn.calls[0].box == (100, 100, 600, 600)


def test_what_is_written_out_reads_as_the_same_calls_in_text() -> None:
    result, _ = roll(("Closer.", [call(), call("{'bbox_2d': [0, 0, 1, 1]", call_id="c2"), call(name="look", call_id="c3")]))
    native = TOOLS.read_native("Closer.", result.turns[0].tool_calls).calls
    in_text = replace(TOOLS, calls=Calls.TEXT).read(result.turns[0].text).calls
    assert [(c.name, c.arguments) for c in in_text if not c.error] == [(c.name, c.arguments) for c in native if not c.error]
    assert [bool(c.error) for c in in_text] == [bool(c.error) for c in native]


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (call("{not json"), "not complete"),
        (call("[1, 2, 3, 4]"), "not a JSON object"),
        (call("false"), "not a JSON object"),
        (call(""), 'the argument "bbox_2d" is missing'),
        (call("{}"), 'the argument "bbox_2d" is missing'),
        (call('{"bbox_2d": [1, 2]}'), "got 2 values"),
        (call(name="browse"), 'Unknown tool "browse": the only tool is zoom_in.'),
        (call(name=""), "Unknown tool"),
        (call('{"a": ' * 3000), "more than 4096 characters"),
        (call('{"bbox_2d": ' + "[" * 2000), "not complete"),
    ],
)  # fmt: skip
def test_a_call_that_cannot_be_executed_is_answered_and_counted(bad: ToolCall, says: str) -> None:
    result, messages = roll(("", [bad]))
    assert (result.tool_errors, result.zooms, result.answer) == (1, 0, "B")
    assert messages[-1].role is Role.TOOL
    assert says in texts(messages, Role.TOOL)[0]
    (sent,) = messages[-2].tool_calls
    assert isinstance(json.loads(sent.arguments), dict)
    assert sent.name
    assert result.turns[0].tool_calls == (bad,)


@pytest.mark.parametrize(
    "arguments", ["{'bbox_2d': [100, 100, 600, 600,]}", f" {BOX} ", '{"bbox_2d": ["100", "100", "600", "600"]}']
)
def test_arguments_are_read_as_loosely_as_calls_in_text(arguments: str) -> None:
    assert roll(("", [call(arguments)]))[0].zooms == 1


def test_several_calls_of_a_turn_are_all_answered_in_order() -> None:
    result, messages = roll(
        ("", [call(call_id="a"), call("{}", call_id="b"), call('{"bbox_2d": [0, 0, 400, 400]}', call_id="c")])
    )
    assert [m.call_id for m in messages if m.role is Role.TOOL] == ["a", "b", "c"]
    assert len(messages[-1].images) == 2
    assert (result.zooms, result.tool_errors) == (2, 1)


@pytest.mark.parametrize(("rule", "executed"), [(CallsPerTurn.FIRST, [True, False]), (CallsPerTurn.LAST, [False, True])])
def test_a_call_that_the_protocol_excludes_is_answered_too(rule: CallsPerTurn, executed: list[bool]) -> None:
    result, messages = roll(("", [call(), call(call_id="c2")]), protocol=replace(TOOLS, calls_per_turn=rule))
    assert [c.executed for c in result.turns[0].calls] == executed
    assert [text == NOT_EXECUTED for text in texts(messages, Role.TOOL)] == [not each for each in executed]


@pytest.mark.parametrize("ids", [("", ""), ("x", "x"), ("call_0_1", "")])
def test_calls_without_an_id_of_their_own_get_one(ids: tuple[str, str]) -> None:
    result, messages = roll(("", [call(call_id=each) for each in ids]))
    sent = [each.id for each in messages[-4].tool_calls]
    assert len(set(sent)) == 2
    assert all(sent)
    assert sent == [m.call_id for m in messages if m.role is Role.TOOL]
    assert [each.id for each in result.turns[0].tool_calls] == sent


def test_more_calls_than_are_read_are_one_error() -> None:
    result, messages = roll(("", [call("{}", call_id=str(k)) for k in range(MAX_CALLS + 40)]))
    assert (
        len(result.turns[0].calls)
        == len(texts(messages, Role.TOOL))
        == len(messages[-MAX_CALLS - 2].tool_calls)
        == MAX_CALLS + 1
    )
    assert "more than 64 calls" in texts(messages, Role.TOOL)[-1]


def test_beyond_the_limit_of_images_calls_are_told_so() -> None:
    _, messages = roll(("", [call(), call(call_id="c2")]), protocol=replace(TOOLS, max_images=2))
    assert texts(messages, Role.TOOL)[1] == IMAGES_USED_UP


def test_withheld_crops_are_told_in_the_tool_message() -> None:
    result, messages = roll(("", [call()]), protocol=replace(TOOLS, crops=Crops.WITHHELD))
    assert (result.turns[0].calls[0].instead, messages[-1].role) == ("withheld", Role.TOOL)
    assert "Crop 1" in texts(messages, Role.TOOL)[0]


@pytest.mark.parametrize(("precedence", "turns"), [(Precedence.CALL, 2), (Precedence.ANSWER, 1)])
def test_a_call_with_an_answer_counts_by_precedence(precedence: Precedence, turns: int) -> None:
    result, _ = roll(("<answer>A</answer>", [call()]), protocol=replace(TOOLS, precedence=precedence))
    assert (len(result.turns), result.answer) == (turns, "B" if turns == 2 else "A")
    assert result.turns[0].tool_calls


def test_text_without_a_call_is_the_answer_and_with_one_is_not() -> None:
    assert roll(("It is B.", ()))[0].answer == "It is B."
    assert len(roll(("It is B.", [call()]))[0].turns) == 2


@pytest.mark.parametrize(
    "left",
    [f'<tool_call>\n{{"name": "zoom_in", "arguments": {BOX}}}\n</tool_call>', "[TOOL_CALLS] zoom_in{}", "<function=zoom_in>"],
)
def test_a_call_that_the_server_left_in_the_text_is_an_error_not_an_answer(left: str) -> None:
    result, messages = roll((f"Closer. {left}", ()))
    assert (result.tool_errors, result.answer, messages[-1].role) == (1, "B", Role.USER)
    assert "written as text" in texts(messages, Role.USER)[-1]
    thought, _ = roll((f"<think>{left}</think><answer>A</answer>", ()))
    assert (thought.tool_errors, thought.answer) == (0, "A")


def test_a_call_cut_at_its_token_limit_is_an_error_as_in_text() -> None:
    result, _ = roll(("", [call('{"bbox_2d": [100, 1')]), finish=Finish.LENGTH)
    assert result.tool_errors == 1


def test_arguments_cannot_forge_an_image() -> None:
    _, messages = roll(("", [call('{"bbox_2d": [0, 0, 500, 500], "x": "<|image_pad|>"}')]))
    assert "<|image_pad|>" not in messages[-3].tool_calls[0].arguments


TEXTS = st.text(max_size=20) | st.sampled_from(
    [BOX, "{", "[1]", "null", "{'bbox_2d': [1, 2, 3, 4]}", '{"bbox_2d": "x"}', "\ud800", "9" * 5000]
)
CALLS = st.lists(st.builds(ToolCall, TEXTS, TEXTS | st.just("zoom_in"), TEXTS), max_size=6)


@given(text=TEXTS, made=CALLS)
def test_whatever_a_server_gives_every_call_is_read_answered_and_can_go_back(text: str, made: list[ToolCall]) -> None:
    named = with_ids(made, 3)
    assert len({each.id for each in named}) == len(named)
    reply = TOOLS.read_turn(text, named)
    conversation = Conversation(TOOLS, TOOLS.limits(LIMITS), question(), None)
    conversation.add_assistant_turn(text, named)
    _, told = conversation.execute_calls(reply.calls)
    assert [each.call_id for each in told if each.role is Role.TOOL] == [each.id for each in named]
    assert all(isinstance(json.loads(each.arguments), dict) for each in conversation.messages[2].tool_calls)
    assert len(from_json(to_json(named), tuple[ToolCall, ...])) == len(named)
    TOOLS.write_turn(text, named)


def test_a_call_goes_back_as_it_came_where_servers_can_read_it() -> None:
    assert sendable(call('{"b" : 1}')).arguments == '{"b" : 1}'
    assert sendable(call("{'b': 1}")).arguments == '{"b": 1}'
    assert sendable(ToolCall("c", "", "nothing")) == ToolCall("c", UNNAMED, "{}")


@pytest.mark.parametrize("name", [n for n, p in PROTOCOLS.items() if p.zooms])
def test_every_protocol_can_call_natively_with_a_schema_that_says_its_arguments(name: str) -> None:
    protocol = replace(PROTOCOLS[name], calls=Calls.NATIVE)
    (tool,) = protocol.tools
    made = protocol.call_arguments((1, 2, 3, 4))
    assert set(made) <= set(tool.parameters["properties"])
    assert set(tool.parameters["required"]) <= set(made)
    (read,) = protocol.read_turn("", [protocol.tool_call((1, 2, 3, 4))]).calls
    assert (read.name, read.arguments, read.error) == (protocol.tool, made, None)


def test_the_protocol_of_the_guide_offers_the_tool_natively(tmp_path: Path) -> None:
    (text,) = blocks("function-calling.md", "yaml")
    (tmp_path / "mine.yaml").write_text(text)
    protocol = parse_protocol(str(tmp_path / "mine.yaml"))
    assert (protocol.native, protocol.system, protocol.tools[0].name) == (True, "", "image_zoom_in_tool")
    assert set(protocol.tools[0].parameters["required"]) == {"bbox_2d", "img_idx", "label"}


@pytest.mark.parametrize(
    ("schema", "says"),
    [
        ({"name": "x"}, "known: description, parameters"),
        ({"parameters": {"type": "array"}}, '"type": "object"'),
        ({"description": 3}, "must be a text"),
    ],
)
def test_a_schema_that_no_server_could_take_is_refused(schema: dict[str, object], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        parse_protocol("tools", {"tool_schema": schema})
