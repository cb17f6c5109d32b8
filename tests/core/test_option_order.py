"""Options in a question's text: found, moved, and left alone where they do not stand as they should."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fakes import question
from hypothesis import given
from hypothesis import strategies as st

from cof_eval.core.errors import UsageError
from cof_eval.core.option_order import OptionOrder, OrderKind, apply_order, find_layout, parse_order
from cof_eval.core.records import Question

OPTIONS = ("rubber", "cotton", "kevlar", "leather")


@pytest.mark.parametrize(
    "text",
    [
        "Made of?\n(A) rubber\n(B) cotton\n(C) kevlar\n(D) leather\nAnswer with the letter.",
        "Made of?\nA. rubber\nB. cotton\nC. kevlar\nD. leather",
        "Made of?\nOptions: A: rubber, B: cotton, C: kevlar, D: leather",
        "Made of?\n[A] rubber [B] cotton [C] kevlar [D] leather",
        "Made of?\nA rubber\nB cotton\nC kevlar\nD leather",
        "Made of?\n(A)rubber\n(B)cotton\n(C)kevlar\n(D)leather",
    ],
)
def test_options_are_found_after_their_letters(text: str) -> None:
    layout = find_layout(text, OPTIONS)
    assert layout is not None
    assert [text[start:end] for start, end in layout.spans] == list(OPTIONS)
    assert layout.stem.startswith("Made of?")


@pytest.mark.parametrize(
    "text",
    [
        "Is it rubber, cotton, kevlar or leather?",
        "(A) rubber (B) cotton (C) kevlar",
        "(B) rubber (A) cotton (C) kevlar (D) leather",
        "Arubber Bcotton Ckevlar Dleather",
        "",
    ],
)
def test_options_that_do_not_stand_after_their_letters_are_not_found(text: str) -> None:
    assert find_layout(text, OPTIONS) is None


def test_an_option_that_begins_like_another_is_told_from_it() -> None:
    text = "Which?\n(A) red\n(B) reddish\n(C) red (dark)"
    layout = find_layout(text, ("red", "reddish", "red (dark)"))
    assert layout is not None
    assert [text[a:b] for a, b in layout.spans] == ["red", "reddish", "red (dark)"]


def one(order: str, about: Question | None = None) -> Question:
    (found,) = apply_order(about or question(), parse_order(order))
    return found


def test_the_dataset_order_changes_nothing() -> None:
    assert one("dataset") == question()


def test_the_right_option_comes_first() -> None:
    first = one("correct_first")
    assert (first.answer, first.options, first.answer_text) == ("A", ("blue", "red", "green", "white"), "blue")
    assert first.text == "What is the color of the mug?\n(A) blue\n(B) red\n(C) green\n(D) white"


def test_every_rotation_is_a_question_of_its_own() -> None:
    rotations = list(apply_order(question(), OptionOrder(OrderKind.ROTATED)))
    assert [q.answer for q in rotations] == ["B", "A", "D", "C"]
    assert [q.id for q in rotations] == ["7", "7~1", "7~2", "7~3"]
    assert {q.cluster for q in rotations} == {"a.jpg"}


def test_a_shuffle_depends_on_its_seed_and_the_question_alone() -> None:
    orders = {seed: [one(f"shuffled:{seed}", question(id=str(i))).options for i in range(20)] for seed in (0, 0, 1)}
    assert orders[0] != orders[1]
    assert len(set(orders[0])) > 5
    assert one("shuffled") == one("shuffled:0")


def test_a_question_without_options_is_left_as_it_is() -> None:
    open_question = replace(question(), options=(), answer="blue")
    assert all(one(order, open_question) == open_question for order in ("shuffled:3", "rotated", "correct_first"))


def test_options_that_are_not_in_the_text_cannot_be_moved() -> None:
    about = question(text="Red, blue, green or white?")
    assert one("dataset", about) == about
    with pytest.raises(UsageError, match="question '7' of vstar does not show its options after their letters"):
        one("shuffled", about)


@pytest.mark.parametrize("text", ["random", "shuffled:x", "shuffled:-1", "rotated:0", "rotated:x", "", "dataset:0"])
def test_an_unknown_order_lists_the_known_ones(text: str) -> None:
    with pytest.raises(UsageError, match="known: dataset, shuffled"):
        parse_order(text)


def test_an_order_is_written_as_it_is_read() -> None:
    assert [str(parse_order(text)) for text in ("dataset", "shuffled:12", "shuffled", "rotated", "rotated:2")] == [
        "dataset",
        "shuffled:12",
        "shuffled:0",
        "rotated",
        "rotated:2",
    ]


@pytest.mark.parametrize(
    ("order", "says"),
    [("dataset", []), ("shuffled:7", ["shuffled:7"]), ("rotated", ["rotated"]), ("correct_first", ["measures no model"])],
)
def test_another_order_than_the_benchmarks_is_a_note(order: str, says: list[str]) -> None:
    notes = parse_order(order).notes
    assert len(notes) == len(says)
    assert all(part in note for part, note in zip(says, notes, strict=True))


WORDS = st.text(st.characters(categories=["L", "N", "P", "S", "Zs"]), min_size=1, max_size=12).map(str.strip).filter(bool)


@given(st.lists(WORDS, min_size=2, max_size=6), st.integers(0, 5), st.integers(0, 9))
def test_moving_options_keeps_the_right_one_right_and_every_text(options: list[str], right: int, seed: int) -> None:
    lines = "\n".join(f"({chr(65 + i)}) {text}" for i, text in enumerate(options))
    about = question(text=f"Which?\n{lines}\nSay the letter.", options=tuple(options), answer=chr(65 + right % len(options)))
    if find_layout(about.text, about.options) is None:
        return  # options that hold others, or letters of their own: refused above
    for order in (OptionOrder(OrderKind.SHUFFLED, seed), OptionOrder(OrderKind.ROTATED), OptionOrder(OrderKind.CORRECT_FIRST)):
        for moved in apply_order(about, order):
            assert moved.answer_text == about.answer_text
            assert sorted(moved.options) == sorted(options)
            assert sorted(moved.text) == sorted(about.text)
            for i, text in enumerate(moved.options):
                assert f"({chr(65 + i)}) {text}" in moved.text
