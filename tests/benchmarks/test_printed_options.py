"""Options as datasets write them, and as they are asked here."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cof_eval.benchmarks.options import choice_text, column_options, inline_options, listed_options, listed_texts
from cof_eval.benchmarks.vstar import parse_options

LISTS: dict[str, tuple[str | list[str], tuple[str, ...]]] = {
    "letters in brackets": (["(A) red", "(B) blue"], ("red", "blue")),
    "five": (["(A) 1", "(B) 2", "(C) 3", "(D) 4", "(E) none of them"], ("1", "2", "3", "4", "none of them")),
    "full-width brackets": (["（A） 大阪", "（B） 東京"], ("大阪", "東京")),
    "points": ("A. red\nB. blue", ("red", "blue")),
    "colons": ("A: red\nB: blue", ("red", "blue")),
    "a list written as text": ("['(A) red', \"(B) it's blue\"]", ("red", "it's blue")),
    "no letters": (["red", "blue"], ("red", "blue")),
    "no letters, but words that look like them": (["A red mug", "B movie"], ("A red mug", "B movie")),
    "an option that is a letter": (["(A) B", "(B) A"], ("B", "A")),
    "an option that says nothing": (["(A) None", "(B) nan", "(C) N/A"], ("None", "nan", "N/A")),
    "brackets inside": (["(A) the (B) side", "(B) x"], ("the (B) side", "x")),
    "a text in brackets that is no list": ("[red, blue", ("[red, blue",)),
    "blank lines": ("(A) red\n\n(B) blue\n", ("red", "blue")),
    "none": ("", ()),
}


@pytest.mark.parametrize(("options", "texts"), LISTS.values(), ids=LISTS.keys())
def test_listed_options(options: str | list[str], texts: tuple[str, ...]) -> None:
    assert listed_options(options) == texts


@pytest.mark.parametrize("options", [["(A) x", "(C) y"], ["(B) x", "(A) y"], ["(A) x", "y"], ["(A) x", "(A) y"]])
def test_letters_out_of_order_are_refused(options: list[str]) -> None:
    with pytest.raises(ValueError, match="lettered"):
        listed_options(options)


def test_missing_options_at_the_end_are_none_and_their_words_are_kept() -> None:
    assert column_options({"A": "None", "B": "nan", "C": None, "D": ""}) == ("None", "nan")
    assert column_options({"A": None, "B": ""}) == ()


def test_a_gap_between_options_is_refused_since_letters_would_shift() -> None:
    with pytest.raises(ValueError, match="option B is empty"):
        column_options({"A": "x", "B": " ", "C": "y"})


INLINE: dict[str, tuple[str, tuple[str, ...]]] = {
    "MMStar's usual": ("Which?\nOptions: A: It is red., B: It is blue., C: no", ("It is red.", "It is blue.", "no")),
    "commas within": ("Which?\nOptions: A: red, green, B: blue", ("red, green", "blue")),
    "brackets": ("How long?\nChoices:\n(A) 10 m\n(B) 20 m\n(C) 2 m\n(D) 5 m", ("10 m", "20 m", "2 m", "5 m")),
    "letters in the question": ("Is line A: longer than B?\nOptions: A: yes, B: no", ("yes", "no")),
    "angles in the question": ("Is (A) or (B) larger?\nOptions: A: the first, B: the second", ("the first", "the second")),
    "none": ("Which of the four?", ()),
    "one": ("Options: A: only", ()),
    "an empty one": ("Options: A: , B: blue", ()),
    "out of order": ("Options: A: x, C: y", ()),
}


@pytest.mark.parametrize(("text", "options"), INLINE.values(), ids=INLINE.keys())
def test_inline_options(text: str, options: tuple[str, ...]) -> None:
    assert inline_options(text) == options


@pytest.mark.parametrize("value", ["['a', 'b']", ["a", "b"], '["a", "b"]', "a\nb"])
def test_lists_written_as_text(value: str | list[str]) -> None:
    assert listed_texts(value) == ["a", "b"]


@pytest.mark.parametrize("value", ["[__import__('os').getcwd()]", "[" * 5000, "[1, 2"])
def test_what_looks_like_a_list_and_is_none_is_text(value: str) -> None:
    assert listed_texts(value) == [value]


@given(st.lists(st.text(st.characters(categories=("L", "N")), min_size=1), min_size=2, max_size=8))
def test_options_written_here_are_read_back(options: list[str]) -> None:
    text = choice_text("Which one?", options, "Answer.")
    assert parse_options(text) == tuple(options)
