"""What a model's text says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cof_eval.agent.reply import (
    MAX_CALL_CHARS,
    SYNTAXES,
    AnswerForm,
    AnswerPlace,
    AnswerSyntax,
    AnswerTag,
    CallPlace,
    CallSyntax,
    Dialect,
    RawCall,
    Reading,
    Unclosed,
    parse_reply,
    quoted,
)
from cof_eval.agent.reply.calls import MAX_CALLS, CallForm
from cof_eval.core.errors import UsageError

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


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("maybe <answer>A</answer></think> <answer>B</answer>", "B"),
        ("maybe <answer>A</answer></think>", None),
        ("<think>x</think> still <answer>A</answer></think> <answer>B</answer>", "B"),
        ("maybe</think> <think>so <answer>B</answer></think>", "B"),
    ],
)
def test_an_answer_before_a_lone_closing_tag_is_a_thought(text: str, expected: str | None) -> None:
    assert parse_reply(text, CallSyntax.TOOL_CALL, AnswerSyntax.TAG).answer == expected


TWO = "<think>a <answer>A</answer></think> <answer>B</answer> <answer>C</answer>"


@pytest.mark.parametrize(
    ("place", "tag", "expected"),
    [
        (AnswerPlace.OUTSIDE_FIRST, AnswerTag.ALL, "B\nC"),
        (AnswerPlace.OUTSIDE, AnswerTag.FIRST, "B"),
        (AnswerPlace.OUTSIDE, AnswerTag.LAST, "C"),
        (AnswerPlace.ANYWHERE, AnswerTag.FIRST, "A"),
        (AnswerPlace.ANYWHERE, AnswerTag.LAST, "C"),
    ],
)
def test_where_an_answer_stands_and_which_tag_counts(place: AnswerPlace, tag: AnswerTag, expected: str) -> None:
    assert Reading(answer_place=place, answer_tag=tag).read(TWO).answer == expected
    alone = Reading(answer_place=place, answer_tag=tag).read("<think><answer>A</answer></think>").answer
    assert alone == (None if place is AnswerPlace.OUTSIDE else "A")


@pytest.mark.parametrize(
    ("text", "loose", "closed", "line", "same_line"),
    [
        ("<answer>B</answer>", "B", "B", "B", "B"),
        ("<answer>B", "B", None, None, None),
        ("<ANSWER>B</ANSWER>", "B", None, None, "B"),
        ("<answer>\nB\n</answer>", "B", "B", "B", None),
        ("<answer>B\nblue</answer>", "B\nblue", "B\nblue", None, None),
    ],
)
def test_what_an_answer_tag_must_look_like(text: str, loose: str, closed: str, line: str, same_line: str) -> None:
    found = [Reading(answer_form=form).read(text).answer for form in AnswerForm]
    assert found == [loose, closed, line, same_line]


def test_a_box_hides_what_stands_outside_it_where_the_protocol_says_so() -> None:
    for text in (r"<answer>B</answer> \boxed{A}", r"\boxed{A} <answer>B</answer>"):
        assert Reading(first_box=True).read(text).answer is None
    assert Reading(first_box=True).read(r"\boxed{<answer>B</answer>}").answer == "B"


NAMED = '{"name": "zoom", "arguments": {"bbox_2d": [1, 2, 3, 4]}}'


@pytest.mark.parametrize(
    ("inside", "reads"),
    [
        (NAMED, "json python json5"),
        (f"\n{NAMED}\n", "json python json5"),
        (NAMED.replace('"', "'"), "python json5"),
        (NAMED.replace("4]", "4,]"), "python json5"),
        (NAMED.replace("}}", ', "a": None}}'), "python"),
        (NAMED.replace("}}", ', "a": null}}'), "json json5"),
        (NAMED.replace('"name"', "name"), "json5"),
        ("{/* so */" + NAMED[1:], "json5"),
        (f"I zoom: {NAMED}", "json5"),
        (f"```json\n{NAMED}\n```", ""),
        (NAMED + "}", ""),
        (NAMED + NAMED, ""),
        ("", ""),
    ],
)
def test_a_call_is_read_in_the_dialect_of_its_protocol(inside: str, reads: str) -> None:
    for dialect in (Dialect.JSON, Dialect.PYTHON, Dialect.JSON5):
        (found,) = Reading(call_dialect=dialect).read(f"<tool_call>{inside}</tool_call>").calls
        assert (found.error is None) == (dialect.value in reads.split()), dialect


def test_an_unclosed_call_is_read_refused_or_none() -> None:
    text = f"<tool_call>{NAMED}"
    found = {how: Reading(call_unclosed=how, call_dialect=Dialect.JSON).read(text).calls for how in Unclosed}
    assert [call.error for call in found[Unclosed.READ]] == [None]
    assert "does not end with </tool_call>" in str(found[Unclosed.REFUSE][0].error)
    assert found[Unclosed.IGNORE] == ()


def test_calls_count_anywhere_outside_thoughts_or_at_the_end() -> None:
    call = f"<tool_call>{NAMED}</tool_call>"
    texts = [f"<think>{call}</think> so", f"<think>hm</think> {call} so", f"<think>hm</think> {call}"]
    counts = {place: [len(Reading(call_place=place).read(text).calls) for text in texts] for place in CallPlace}
    assert counts == {CallPlace.ANYWHERE: [1, 1, 1], CallPlace.OUTSIDE: [0, 1, 1], CallPlace.END: [0, 0, 1]}
    (unopened,) = Reading(call_place=CallPlace.END).read(f"{NAMED}</tool_call>").calls
    assert "closes no call" in str(unopened.error)


class TestTaggedCalls:
    """Calls written in tags: XML functions and argument tags."""

    ARGUMENTS: dict[str, object] = {"bbox_2d": [1, 2.5, 3, 4], "label": 'the man\'s "hat"', "img_idx": 0, "note": "two\nlines"}  # noqa: RUF012

    @pytest.mark.parametrize("syntax", [CallSyntax.FUNCTION, CallSyntax.ARG_TAGS])
    def test_a_call_that_is_written_is_read_back(self, syntax: CallSyntax) -> None:
        text = SYNTAXES[syntax].write("zoom", self.ARGUMENTS)
        found = list(SYNTAXES[syntax].read(f"I look.</think>\n\n{text}\n{text}"))
        assert [(call.name, call.arguments, call.error) for call in found] == [("zoom", self.ARGUMENTS, None)] * 2

    def test_an_xml_function_is_written_as_qwens_template_writes_it(self) -> None:
        text = SYNTAXES[CallSyntax.FUNCTION].write("zoom", {"bbox_2d": [1, 2, 3, 4]})
        assert (
            text == "<tool_call>\n<function=zoom>\n<parameter=bbox_2d>\n[1, 2, 3, 4]\n</parameter>\n</function>\n</tool_call>"
        )

    @pytest.mark.parametrize(
        ("syntax", "inside", "reason"),
        [
            (CallSyntax.FUNCTION, "", "no <function=…>"),
            (CallSyntax.FUNCTION, NAMED, "no <function=…>"),
            (CallSyntax.FUNCTION, "<function=zoom>\n<parameter=bbox_2d>\n[1, 2", "does not end with </parameter>"),
            (CallSyntax.ARG_TAGS, "", "does not begin with a tool's name"),
            (CallSyntax.ARG_TAGS, "zoom<arg_key>a</arg_key><arg_value>1", "does not end with </arg_value>"),
        ],
    )
    def test_a_call_that_cannot_be_read_says_why(self, syntax: CallSyntax, inside: str, reason: str) -> None:
        (found,) = SYNTAXES[syntax].read(f"<tool_call>{inside}</tool_call>")
        assert found.arguments is None
        assert reason in str(found.error)


class TestPatterns:
    """A call syntax that a protocol file describes."""

    @pytest.mark.parametrize(
        ("pattern", "text"),
        [
            ("<zoom>{tool}({x1}, {y1}, {x2}, {y2})</zoom>", "<zoom>crop(1, 2.5, 3, 4)</zoom>"),
            ("<box>{box}</box>", "<box>[1, 2.5, 3, 4]</box>"),
            ("<call>{call}</call>", '<call>{"name": "crop", "arguments": {"bbox_2d": [1, 2.5, 3, 4]}}</call>'),
            ("crop({x1}, {y1}, {x2}, {y2})", "crop(1, 2.5, 3, 4)"),
        ],
    )
    def test_a_call_is_found_by_its_pattern_and_written_as_it(self, pattern: str, text: str) -> None:
        reading = Reading(call_syntax=CallSyntax.PATTERN, call_pattern=pattern)
        found = reading.read(f"<think>so</think> {text} then {text}").calls
        assert [(call.error, call.raw, (call.arguments or {})["bbox_2d"]) for call in found] == [
            (None, text, [1, 2.5, 3, 4])
        ] * 2
        form = CallForm(pattern=pattern, tool="crop")
        assert SYNTAXES[CallSyntax.PATTERN].write("crop", {"bbox_2d": [1, 2.5, 3, 4]}, form) == text

    @pytest.mark.parametrize(
        ("inside", "reason"),
        [
            ("crop(1, 2, 3)", "expected"),
            ("crop(a, b, c, d)", "x1 cannot be read"),
            ("", "tool cannot be read"),
            ("crop(1, 2, 3, 4) and", "</zoom>"),
        ],
    )
    def test_a_call_that_does_not_fit_says_why(self, inside: str, reason: str) -> None:
        reading = Reading(call_syntax=CallSyntax.PATTERN, call_pattern="<zoom>{tool}({x1}, {y1}, {x2}, {y2})</zoom>")
        (found,) = reading.read(f"<zoom>{inside}</zoom>").calls
        assert found.arguments is None
        assert reason in str(found.error)

    @pytest.mark.parametrize(
        ("pattern", "reason"),
        [
            ("{box}", "must begin with the text"),
            ("<z>{label}", "need text after them"),
            ("<z>{label}</z>", "must hold the box"),
            ("<z>{box}{box}</z>", "stand once"),
        ],
    )
    def test_a_pattern_that_reads_no_calls_is_refused(self, pattern: str, reason: str) -> None:
        with pytest.raises(UsageError, match=reason):
            Reading(call_syntax=CallSyntax.PATTERN, call_pattern=pattern)


@pytest.mark.parametrize(
    "piece",
    [
        "<think>",
        "</think>",
        "<answer>",
        "<answer",
        "\\boxed{",
        "{",
        "<tool_call>",
        "<tool_call>{",
        "<function=a>",
        "<z>[",
        "'",
        "[1,",
    ],
)
@pytest.mark.parametrize("syntax", [CallSyntax.TOOL_CALL, CallSyntax.FUNCTION, CallSyntax.ARG_TAGS, CallSyntax.PATTERN])
def test_tens_of_thousands_of_tags_are_read_in_one_pass(piece: str, syntax: CallSyntax) -> None:
    """Reading that looked at the rest of the text again at every tag would take hours here."""
    pattern = "<z>{box}</z>" if syntax is CallSyntax.PATTERN else ""
    for dialect in (Dialect.LOOSE, Dialect.JSON5):
        for answer in (AnswerSyntax.TAG_OR_TEXT, AnswerSyntax.BOXED_OR_TAG):
            reading = Reading(call_syntax=syntax, answer_syntax=answer, call_pattern=pattern, call_dialect=dialect)
            assert len(reading.read(piece * 30_000).calls) <= MAX_CALLS + 1


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**9), 10**9)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize("syntax", [CallSyntax.TOOL_CALL, CallSyntax.GROUNDING])
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
            pattern = "<tool_call>{box} {label}</tool_call>" if syntax is CallSyntax.PATTERN else ""
            reply = Reading(call_syntax=syntax, answer_syntax=answer, call_pattern=pattern).read(text)
            assert all((c.error is None) == (c.arguments is not None) for c in reply.calls)
            assert all(len(c.raw) <= MAX_CALL_CHARS for c in reply.calls)


@given(st.one_of(st.text(), st.integers(), st.lists(st.text())))
def test_a_models_words_in_our_messages_are_short_plain_and_one_line(value: object) -> None:
    shown = quoted(value)
    assert len(shown) <= 80
    assert "\n" not in shown
    assert shown.replace("…", "").isascii()
