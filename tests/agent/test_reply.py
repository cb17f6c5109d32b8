"""What a model's text says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cof_eval.agent.reply import MAX_CALL_CHARS, SYNTAXES, AnswerSyntax, CallSyntax, RawCall, parse_reply, quoted

GOOD = '{"name": "image_zoom_in_tool", "arguments": {"bbox_2d": [1, 2, 3, 4]}}'


def calls(text: str) -> tuple[RawCall, ...]:
    return parse_reply(text, CallSyntax.TOOL_CALL, AnswerSyntax.TAG).calls


def boxes(text: str) -> list[object]:
    return [c.arguments["bbox_2d"] if c.arguments else c.error for c in calls(text)]


@pytest.mark.parametrize(
    "text",
    [
        f"<tool_call>{GOOD}</tool_call>",
        f"<think>x</think>\n<tool_call>\n{GOOD}\n</tool_call>\n",
        f"<tool_call>{GOOD} and that is what I want</tool_call>",
        f"<tool_call>{GOOD}",
        f"<tool_call>here: {GOOD}</tool_call>",
        f"<think>hmm <tool_call>{GOOD}</tool_call> hmm</think>",
        f"<think>unclosed <tool_call>{GOOD}</tool_call>",
        f"<TOOL_CALL>{GOOD}</TOOL_CALL>",
        f"<tool_call>```json\n{GOOD}\n```</tool_call>",
        f"<tool_call>[{GOOD}]</tool_call>",
        "<tool_call>{'name': 'image_zoom_in_tool', 'arguments': {'bbox_2d': [1, 2, 3, 4]}}</tool_call>",
        "<tool_call>{'name': 'image_zoom_in_tool', 'arguments': {'bbox_2d': [1, 2, 3, 4], 'label': \"the man's hat\"}}</tool_call>",
        "<tool_call>{'name': 'image_zoom_in_tool', 'arguments': {'bbox_2d': [1, 2, 3, 4], 'label': 'the man\\'s \"hat\"'}}</tool_call>",
        "<tool_call>{'name': 'image_zoom_in_tool', 'arguments': {'bbox_2d': [1, 2, 3, 4,], 'label': None,},}</tool_call>",
        '<tool_call>{"name": "image_zoom_in_tool", "arguments": {"bbox_2d": [1, 2, 3, 4], "more": {"deep": {"er": "}"}}}}</tool_call>',
        '<tool_call>{"name": "image_zoom_in_tool", "arguments": "{\\"bbox_2d\\": [1, 2, 3, 4]}"}</tool_call>',
        '<tool_call>{"arguments": {"bbox_2d": [1, 2, 3, 4]}, "name": "image_zoom_in_tool"}</tool_call>',
        f"<tool_call>{GOOD}<answer>B</answer>",
        '<tool_call>{"name": "image_zoom_in_tool", "arguments": {"bbox_2d": [1, 2, 3, 4], "label": "</tool_call>"}}</tool_call>',
        '<tool_call>{"name": "image_zoom_in_tool", "arguments": {"bbox_2d": [1, 2, 3, 4], "label": "a\nb"}}</tool_call>',
    ],
)
def test_one_call_is_found_in_every_dress(text: str) -> None:
    assert boxes(text) == [[1, 2, 3, 4]]


def test_all_calls_of_a_turn_are_found_in_order() -> None:
    other = GOOD.replace("[1, 2, 3, 4]", '["5", 6.5, "7.0", 8]')
    text = f"<think><tool_call>{GOOD}</tool_call></think><tool_call>{other}\n{GOOD}</tool_call> and <tool_call>no</tool_call>"
    assert boxes(text)[:3] == [[1, 2, 3, 4], ["5", 6.5, "7.0", 8], [1, 2, 3, 4]]
    assert "not a JSON object" in str(boxes(text)[3])


@pytest.mark.parametrize(
    ("inside", "reason"),
    [
        ("", "not a JSON object"),
        ("zoom in please", "not a JSON object"),
        ("[1, 2, 3, 4]", "not a JSON object"),
        ('{"name": "image_zoom_in_tool", "arguments": {"bbox_2d": [1, 2', "not complete"),
        ('{"name": "image_zoom_in_tool" "arguments": {}}', "not valid JSON"),
        ("{__import__('os').system('true')}", "not valid JSON"),
        ('{"arguments": {"bbox_2d": [1, 2, 3, 4]}}', 'no "name"'),
        ('{"name": 7, "arguments": {}}', 'no "name"'),
        ('{"name": "image_zoom_in_tool"}', 'no "arguments"'),
        ('{"name": "image_zoom_in_tool", "arguments": [1, 2, 3, 4]}', 'no "arguments"'),
        ('{"name": "image_zoom_in_tool", "arguments": "[1, 2]"}', 'no "arguments"'),
        ("{" * 3000, "not complete"),
        ('{"name": ' + "[" * 3000 + "}", "not valid JSON"),
        ('{"a": ' + "9" * 3000 + "." + "}", "not valid JSON"),
    ],
)
def test_a_call_that_cannot_be_read_says_why(inside: str, reason: str) -> None:
    (found,) = calls(f"<tool_call>{inside}</tool_call>")
    assert found.arguments is None
    assert reason in str(found.error)
    assert len(str(found.error)) < 200


def test_a_damaged_call_does_not_hide_the_next() -> None:
    found = calls(f'<tool_call>{{"name": "x", "arguments": {{</tool_call><tool_call>{GOOD}</tool_call>')
    assert [c.error is None for c in found] == [False, True]


def test_the_raw_call_is_kept_as_written() -> None:
    assert calls(f"<tool_call> {GOOD} </tool_call>")[0].raw == GOOD


def test_a_model_without_a_tool_makes_no_calls() -> None:
    assert parse_reply(f"<tool_call>{GOOD}</tool_call>", CallSyntax.NONE, AnswerSyntax.TAG).calls == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<answer>B</answer>", "B"),
        ("<think>maybe <answer>A</answer></think> <answer> B\n</answer>", "B"),
        ("<think>so <answer>A</answer></think>", "A"),
        ("<think>open <answer>A</answer>", "A"),
        ("<answer>B</answer> <answer>B</answer>", "B"),
        ("<answer>A</answer> no: <answer>B</answer>", "A\nB"),
        ("<answer>line one\nline two</answer>", "line one\nline two"),
        ("<answer>B", "B"),
        ("<ANSWER>B</ANSWER>", "B"),
        ("<answer></answer>", None),
        ("<answer>  </answer>", None),
        ("The answer is B", None),
        ("", None),
    ],
)
def test_answers_by_tag(text: str, expected: str | None) -> None:
    assert parse_reply(text, CallSyntax.TOOL_CALL, AnswerSyntax.TAG).answer == expected


@pytest.mark.parametrize(
    ("text", "complete"), [("<answer>B</answer>", True), ("<answer>B", False), ("<answer>A</answer><answer>B", False)]
)
def test_an_unclosed_answer_is_marked(text: str, complete: bool) -> None:
    assert parse_reply(text, CallSyntax.NONE, AnswerSyntax.TAG).answer_complete is complete


def test_untagged_text_is_an_answer_only_where_the_protocol_says_so() -> None:
    text = "<think>hm</think> The answer is (B)."
    assert parse_reply(text, CallSyntax.NONE, AnswerSyntax.TAG_OR_TEXT).answer == "The answer is (B)."
    assert not parse_reply(text, CallSyntax.NONE, AnswerSyntax.TAG_OR_TEXT).answer_complete
    assert parse_reply(text, CallSyntax.NONE, AnswerSyntax.ANY_TEXT).answer_complete
    assert parse_reply(f"<tool_call>{GOOD}</tool_call>", CallSyntax.TOOL_CALL, AnswerSyntax.ANY_TEXT).answer is None


@pytest.mark.parametrize(
    "text",
    [
        '<grounding>{"bbox_2d": [0.1, 0.2, 0.3, 0.4], "source": "original_image"}</grounding>',
        '<think>x</think><grounding>{"bbox_2d": [0.1, 0.2, 0.3, 0.4], "source": "original_image"}',
        "<GROUNDING> {'bbox_2d': [0.1, 0.2, 0.3, 0.4], 'source': 'original_image'} </GROUNDING>",
    ],
)
def test_a_grounding_is_its_arguments(text: str) -> None:
    (found,) = parse_reply(text, CallSyntax.GROUNDING, AnswerSyntax.TAG).calls
    assert found.arguments == {"bbox_2d": [0.1, 0.2, 0.3, 0.4], "source": "original_image"}


@pytest.mark.parametrize("inside", ["", "the sign", "[0.1, 0.2]", '{"bbox_2d": [0.1', '{"bbox_2d" [1]}'])
def test_a_grounding_that_cannot_be_read_says_why(inside: str) -> None:
    (found,) = parse_reply(f"<grounding>{inside}</grounding>", CallSyntax.GROUNDING, AnswerSyntax.TAG).calls
    assert found.arguments is None
    assert found.error


@pytest.mark.parametrize(
    ("text", "expected", "complete"),
    [
        (r"So \boxed{B}.", "B", True),
        (r"\boxed{A} no, \boxed{B}", "B", True),
        (r"\boxed{\text{red {mug}}}", r"\text{red {mug}}", True),
        (r"<think>\boxed{A}</think> \boxed{B}", "B", True),
        (r"<think>\boxed{A}</think>", "A", True),
        (r"\boxed{B", "B", False),
        (r"\boxed {B}", "B", True),
        (r"\boxed{}", None, True),
        ("The answer is B", None, True),
        ("<answer>B</answer>", None, True),
    ],
)
def test_boxed_answers(text: str, expected: str | None, complete: bool) -> None:
    reply = parse_reply(text, CallSyntax.TOOL_CALL, AnswerSyntax.BOXED)
    assert (reply.answer, reply.answer_complete) == (expected, complete)


def test_thoughts_whose_opening_tag_stood_in_the_prompt_are_no_answer() -> None:
    assert parse_reply("I look. It is blue.</think>\n\nB", CallSyntax.TOOL_CALL, AnswerSyntax.TAG_OR_TEXT).answer == "B"


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**9), 10**9)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize("syntax", sorted(set(CallSyntax) - {CallSyntax.NONE}))
@given(
    arguments=st.dictionaries(st.text(max_size=8), JSON_VALUES, max_size=4),
    before=st.sampled_from(["", '<think>{ "a</think>', "a }"]),
)
def test_a_call_that_is_written_is_read_back(syntax: CallSyntax, arguments: dict[str, object], before: str) -> None:
    name = "grounding" if syntax is CallSyntax.GROUNDING else "a tool"
    text = SYNTAXES[syntax].write(name, arguments)
    found = list(SYNTAXES[syntax].read(f"{before}{text} and {text}"))
    assert [(c.name, c.arguments, c.error) for c in found] == [(name, arguments, None)] * 2


PIECES = st.sampled_from(
    ["<tool_call>", "</tool_call>", "<grounding>", "</grounding>", "\\boxed{", "<answer>", "</answer>", "<think>", "</think>", GOOD, "{", "}", "[", "]", '"', "'", "\\", ",", ":", "NaN",
     "bbox_2d", "name", "arguments", "1e999", "None", "é", "\ud800", "\x00", "B"]
)  # fmt: skip


@given(st.one_of(st.text(), st.lists(PIECES, max_size=40).map("".join)))
def test_no_text_makes_the_parser_raise(text: str) -> None:
    for syntax in CallSyntax:
        for answer in AnswerSyntax:
            reply = parse_reply(text, syntax, answer)
            assert all((c.error is None) == (c.arguments is not None) for c in reply.calls)
            assert all(len(c.raw) <= MAX_CALL_CHARS for c in reply.calls)


@given(st.one_of(st.text(), st.integers(), st.lists(st.text())))
def test_a_models_words_in_our_messages_are_short_plain_and_one_line(value: object) -> None:
    shown = quoted(value)
    assert len(shown) <= 80
    assert "\n" not in shown
    assert shown.replace("…", "").isascii()
