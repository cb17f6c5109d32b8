"""The file format: every record reads back as it was written, and nothing a model says can keep one from being written."""

from __future__ import annotations

import json
from dataclasses import fields, replace

import pytest
from fakes import question, trajectory
from hypothesis import given
from hypothesis import strategies as st

from cof_eval.core.records import (
    Call,
    Crop,
    Finish,
    ImageRef,
    Outcome,
    Question,
    Row,
    ShownImage,
    Stop,
    ToolCall,
    Trajectory,
    Turn,
    Verdict,
    digest,
    from_json,
    stop_verdict,
    to_json,
    trajectory_key,
    verdict_key,
)

NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
CORNERS = st.tuples(NUMBERS, NUMBERS, NUMBERS, NUMBERS)
SIZES = st.tuples(st.integers(0, 10**6), st.integers(0, 10**6))
COUNTS = st.integers(0, 2**62)
TEXT = st.text(max_size=40)
"""Any Unicode text but surrogates."""


def some(kind: type, **changes: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    """Records of a kind, field by field."""
    by_type: dict[str, st.SearchStrategy[object]] = {
        "str": TEXT,
        "str | None": st.none() | TEXT,
        "int": COUNTS,
        "int | None": st.none() | COUNTS,
        "float": NUMBERS,
        "Size": SIZES,
        "Corners": CORNERS,
        "Corners | None": st.none() | CORNERS,
        "Stop": st.sampled_from(Stop),
        "Finish": st.sampled_from(Finish),
        "Outcome": st.sampled_from(Outcome),
    }
    return st.builds(kind, **{f.name: changes[f.name] if f.name in changes else by_type[str(f.type)] for f in fields(kind)})


@st.composite
def questions(draw: st.DrawFn) -> Question:
    options = draw(st.lists(TEXT, max_size=6).map(tuple))
    answer = draw(st.sampled_from("ABCDEF"[: len(options)]) if options else TEXT)
    identity, category, text = draw(TEXT), draw(TEXT), draw(TEXT.filter(str.strip))
    return Question(
        identity, "vstar", category, identity, text, options, answer, draw(st.lists(CORNERS, max_size=3).map(tuple))
    )


QUESTIONS = questions()
CROPS = some(Crop)
CALLS = some(Call, crop=st.none() | CROPS)
TOOL_CALLS = some(ToolCall, further=st.dictionaries(TEXT, st.none() | TEXT | st.integers(-9, 9) | st.lists(TEXT), max_size=3))
TURNS = some(Turn, calls=st.lists(CALLS, max_size=3).map(tuple), tool_calls=st.lists(TOOL_CALLS, max_size=3).map(tuple))
IMAGES = some(ImageRef)
TRAJECTORIES = some(
    Trajectory, question=QUESTIONS, image=IMAGES, shown=some(ShownImage), turns=st.lists(TURNS, max_size=3).map(tuple)
)


@given(st.one_of(QUESTIONS, CROPS, CALLS, TURNS, IMAGES, TRAJECTORIES, some(Row), some(Verdict), some(ShownImage)))
def test_every_record_reads_back_as_it_was_written_and_takes_one_line(record: object) -> None:
    line = to_json(record)
    assert b"\n" not in line
    assert from_json(line, type(record)) == record


@pytest.mark.parametrize("kind", [Question, Trajectory, Turn, Row, Verdict])
def test_a_record_without_a_field_that_it_needs_is_refused_naming_the_field(kind: type) -> None:
    given_fields = json.loads(to_json(EXAMPLES[kind]))
    needed = fields(kind)[0].name
    del given_fields[needed]
    with pytest.raises(ValueError, match=f"missing required field `{needed}`"):
        from_json(json.dumps(given_fields), kind)


@pytest.mark.parametrize("kind", [Question, Trajectory, Turn, Row, Verdict])
def test_a_field_that_a_later_version_added_is_passed_over(kind: type) -> None:
    given_fields = json.loads(to_json(EXAMPLES[kind])) | {"added_later": 1}
    assert from_json(json.dumps(given_fields), kind) == EXAMPLES[kind]


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        (b"", Row),
        (b"null", Row),
        (b"[]", Row),
        (b'{"hash": "a", "size": [1]}', ImageRef),
        (b'{"hash": "a", "size": [1.5, 2]}', ImageRef),
        (b'{"hash": 1, "size": [1, 2]}', ImageRef),
        (b'{"hash": "a", "size": [1, 2]}{', ImageRef),
        (b'{"hash": "\xff", "size": [1, 2]}', ImageRef),
    ],
)
def test_what_is_no_such_record_is_a_value_error(line: bytes, kind: type) -> None:
    with pytest.raises(ValueError):
        from_json(line, kind)


@pytest.mark.parametrize("answer", ["E", "b", "AB", "red", "(B)"])
def test_a_label_outside_the_options_is_refused_with_the_labels_that_there_are(answer: str) -> None:
    with pytest.raises(ValueError, match=r"question '7' of vstar has the label .*; expected one of A, B, C, D \(4 options\)"):
        question(answer=answer)


def test_a_question_may_have_no_standard_answer() -> None:
    assert (question(answer="").answers, question(answer="").answer_text) == ((), "")


def test_an_open_question_has_every_accepted_answer_and_keeps_them_in_json() -> None:
    several = question(options=(), answer="2", also=("two", "II"))
    assert several.answers == ("2", "two", "II")
    assert from_json(to_json(several), Question) == several


@pytest.mark.parametrize("changes", [{"answer": "B"}, {"options": (), "answer": ""}])
def test_further_answers_need_an_open_question_and_a_first_one(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="further answers"):
        question(also=("two",), **changes)


def test_records_of_earlier_versions_load() -> None:
    old_question = to_json(question()).decode().replace(',"also":[]', "")
    assert from_json(old_question, Question) == question()
    old_row = (
        '{"task":"t","doc_id":0,"question_id":"7","benchmark":"vstar","resolution":"224","repeat":0,"trajectory":"k","cap":1}'
    )
    assert from_json(old_row, Row).question == ""


def test_a_verdicts_key_is_what_it_was_unless_there_are_further_answers() -> None:
    plain = question(options=(), answer="2")
    key = verdict_key("card", "judge", plain, "II")
    assert key == digest("verdict", "card", "judge", plain.text, plain.options, "2", "II")
    assert key != verdict_key("card", "judge", question(options=(), answer="2", also=("two",)), "II")


@pytest.mark.parametrize("text", ["", " ", "\n\t"])
def test_a_question_without_text_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="question '7' of vstar has no text"):
        question(text=text)


def test_an_impossible_question_is_refused_when_read_too() -> None:
    with pytest.raises(ValueError, match="label 'Q'"):
        from_json(to_json(question()).replace(b'"answer":"B"', b'"answer":"Q"'), Question)


def test_the_standard_answer_as_text_is_the_right_options() -> None:
    assert question().answer_text == "blue"
    assert question(options=(), answer="blue").answer_text == "blue"


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("\ud800", "\ufffd"),
        ("a\udfffb", "a\ufffdb"),
        ("\ud83d\ude00", "\U0001f600"),  # a pair that arrived in two halves is the character it stands for
        ("\x00\u2028\U0001f600\r\n", "\x00\u2028\U0001f600\r\n"),
    ],
)
def test_text_that_json_cannot_hold_is_kept_with_replacement_characters(said: str, kept: str) -> None:
    turn = Turn(said, Finish.STOP, 1, 0, 1, None, 0.0, (Call(said, error=said),))
    whole = trajectory(turns=(turn,), answer=said, error=said)
    read = from_json(to_json(whole), Trajectory)
    assert (read.answer, read.error, read.turns[0].text) == (kept, kept, kept)
    assert (read.calls[0].raw, read.calls[0].error) == (kept, kept)
    assert replace(read, turns=(), answer="", error=None) == replace(whole, turns=(), answer="", error=None)


@given(st.text(st.characters(categories=("L", "Cs")), max_size=12))
def test_an_answer_with_any_surrogates_has_the_same_verdict_key_before_and_after_writing(said: str) -> None:
    whole = trajectory(answer=said)
    read = from_json(to_json(whole), Trajectory)
    keys = {verdict_key("card", "judge", t.question, t.answer) for t in (whole, read)}
    assert len(keys) == 1


KEY = {"checkpoint": "c", "protocol": "p", "prompt": "q", "image": "i", "shown": (28, 28), "repeat": 0}


@pytest.mark.parametrize(
    "change", [{"checkpoint": "d"}, {"protocol": "q"}, {"prompt": "r"}, {"image": "j"}, {"shown": (28, 56)}, {"repeat": 1}]
)
def test_work_that_differs_in_anything_has_another_key(change: dict[str, object]) -> None:
    assert trajectory_key(**{**KEY, **change}) != trajectory_key(**KEY)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("card", "model", "changes", "answer"),
    [
        ("other", "judge", {}, "B"),
        ("card", "other", {}, "B"),
        ("card", "judge", {"text": "Which?"}, "B"),
        ("card", "judge", {"options": ("red", "blue", "green", "pink")}, "B"),
        ("card", "judge", {"answer": "A"}, "B"),
        ("card", "judge", {}, "B."),
    ],
)
def test_judgements_that_differ_in_anything_have_another_key(
    card: str, model: str, changes: dict[str, object], answer: str
) -> None:
    assert verdict_key(card, model, question(**changes), answer) != verdict_key("card", "judge", question(), "B")


def test_a_judgement_does_not_depend_on_where_the_question_stands() -> None:
    elsewhere = question(id="8", benchmark="other", category="x", cluster="b.jpg", boxes=((0, 0, 1, 1),))
    assert verdict_key("card", "judge", elsewhere, "B") == verdict_key("card", "judge", question(), "B")


@given(st.lists(TEXT, max_size=4), st.lists(TEXT, max_size=4))
def test_a_digest_tells_where_one_part_ends(a: list[str], b: list[str]) -> None:
    assert (digest(*a) == digest(*b)) == (a == b)


@pytest.mark.parametrize(
    ("stop", "outcome"),
    [
        (Stop.ANSWERED, None),
        (Stop.NO_ANSWER, Outcome.WRONG),
        (Stop.MAX_TURNS, Outcome.WRONG),
        (Stop.LENGTH, Outcome.WRONG),
        (Stop.CONTEXT_FULL, Outcome.WRONG),
        (Stop.ERROR, Outcome.UNSCORED),
    ],
)
def test_what_a_stop_alone_decides(stop: Stop, outcome: Outcome | None) -> None:
    verdict = stop_verdict(trajectory(stop=stop, error="why"), "card")
    assert (verdict.verdict if verdict else None) == outcome
    assert verdict is None or (verdict.by, verdict.reason) == (f"stop:{stop}", "why")


def test_a_trajectorys_counts_are_sums_over_its_turns() -> None:
    crop = Crop("h", (56, 56), (0.0, 0.0, 9.0, 9.0))
    first = Turn("", Finish.STOP, 90, 0, 7, 4, 0.1, (Call("", crop=crop), Call("", error="bad"), Call("")))
    second = replace(first, visual_tokens=8, output_tokens=5, calls=(Call("", error="shown whole", crop=crop),))
    whole = trajectory(turns=(first, second))
    assert (whole.zooms, whole.tool_errors, whole.output_tokens) == (2, 2, 12)
    assert (whole.visual_tokens, whole.verified) == (8, True)


def test_visual_tokens_that_no_engine_counted_are_the_predicted_ones_and_unverified() -> None:
    turn = Turn("", Finish.STOP, 90, 0, 7, None, 0.1)
    assert [(t.visual_tokens, t.verified) for t in (trajectory(turns=(turn,)), trajectory(turns=()))] == [(1, False)] * 2


EXAMPLES: dict[type, object] = {
    Question: question(),
    Trajectory: trajectory(),
    Turn: Turn("t", Finish.STOP, 1, 0, 1, 1, 0.1, (Call("raw", (0.0, 0.0, 1.0, 1.0), "shown"),)),
    Row: Row("cof_vstar_224", 0, "7", "vstar", "224", 0, "key", 50_176),
    Verdict: Verdict("key", "card", "", Outcome.CORRECT, "rule:letter"),
}
