"""Every answer below is ruled on rightly, or left to the judge."""

from __future__ import annotations

import time
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cof_eval.core.records import Outcome, Question
from cof_eval.judging.rules import MAX_CHARS, Ruling, score

MATERIALS = ("rubber", "cotton", "kevlar", "leather")
BLUES = ("blue", "dark blue", "red", "green")
COUNTS = ("2", "8", "23", "1")
SIDES = (
    "The vending machine is on the left side of the blue car.",
    "The vending machine is on the right side of the blue car.",
)
THINGS = ("a mug", "a cup", "a plate", "a man")
LETTERS = ("B", "A", "D", "C")
GATES = ("Gate B", "Gate C", "Gate D", "Gate A")
UNSEEN = ("red", "blue", "green", "white", "The image does not feature the object.")
YES_NO = ("Yes", "No")


def ask(options: tuple[str, ...], answer: str, text: str = "What is the material of the glove?") -> Question:
    return Question(id="1", benchmark="vstar", category="", cluster="1", text=text, options=options, answer=answer)


def decided(answer: str, options: tuple[str, ...], text: str = "What is the material of the glove?") -> str | None:
    """The option letter that was read; None if undecided. Right and wrong rulings must both follow from it."""
    readings = set()
    for letter in (chr(ord("A") + i) for i in range(len(options))):
        ruling = score(answer, ask(options, letter, text))
        assert ruling.outcome in (None, Outcome.CORRECT if ruling.chosen == letter else Outcome.WRONG)
        readings.add(ruling.chosen if ruling.outcome else None)
    assert len(readings) == 1
    return readings.pop()


def why(answer: str, options: tuple[str, ...] = MATERIALS) -> str:
    ruling = score(answer, ask(options, "B"))
    assert ruling.outcome is None and ruling.chosen == ""
    return ruling.rule


def rule_open(answer: str, standard: str, text: str = "What does the sign say?") -> Outcome | None:
    return score(answer, ask((), standard, text)).outcome


@pytest.mark.parametrize(
    "answer",
    [
        "B", "b", "(b)", "(B)", "(B).", "B.", "B)", "b) cotton", "B: cotton", "B. Cotton", "(B) cotton", "(B) Cotton.", "B cotton",
        "B - cotton", "B – cotton", "B, cotton", "B (cotton)", "[B]", "{B}", "( B )", '"B"', "'B'", '"B."', "“B”", "B\n", "\n B \n",
        "Option B", "option b", "Option (B)", "Choice B", "Letter B", "Answer B", "**B**", "__B__", "*B*", "`B`", "**`B`**",
        "**B.** cotton", "**B**: cotton", "**(B)** cotton", "### B", r"\boxed{B}", r"\boxed{\text{B}}", r"$\boxed{\text{B}}$",
        r"\[\boxed{B}\]", r"\(B\)", "$B$", r"\mathbf{B}", r"**\boxed{B}**", "Ｂ", "（Ｂ）", "Ⓑ", "\u200bB\ufeff", "B\u00a0",
        "The answer is B", "the answer is b.", "The answer is B.", "The answer is: B", "The answer is (B) cotton.",
        "The answer is B, because the stitching shows it.", "The answer is B because the weave is visible.",
        "The answer is **B**.", r"The answer is \boxed{B}.", r"The answer is $\boxed{B}$.", "Answer: (B)", "Answer: B", "ANSWER: b",
        "Answer:\nB", "**Answer:** B", "**Answer: B**", "## Answer: B", "Answer is B", "Answer = B", "Final answer: B", "Ans: B",
        "My answer is B", "The final answer is B", "The correct answer is B", "The correct answer is option B.",
        "The best answer is: (B)", "The most likely answer is B", "The answer to this question is B", "The answer should be B.",
        "the correct option is B: cotton", "The correct choice is B", "Based on the image, the answer is (B).",
        "Based on the image provided, the correct answer is B.", "According to the crop, the answer is B", "So, the answer is B.",
        "Therefore, the answer is (B) cotton.", "I think the answer is B.", "I choose B", "It is B.", "It's B", "B is correct.",
        "B is the answer.", "B is the correct answer", "Option B is correct.", "B. The glove is made of cotton.",
        "B\ncotton", "B\nThe glove is made of cotton.", "B\nExplanation: the weave is visible.", "B\n(B)", "(B)\ncotton",
        "The glove is white. The answer is B.", "Looking closely, the weave is visible.\nSo the answer is B.",
        "I do not see any other glove in the image. Therefore, the correct answer is (B) cotton.",
        "The answer is B. The glove is made of cotton.", "B. It is cotton in the picture.", "The answer is B. It is cotton, as seen here.", "The answer is B.\nReason: the weave is visible.",
    ],
)  # fmt: skip
def test_a_letter_is_read_in_every_usual_dress(answer: str) -> None:
    assert decided(answer, MATERIALS) == "B"


@pytest.mark.parametrize(
    "answer",
    [
        "Cotton", "cotton", "COTTON.", "cotton!", " cotton ", '"cotton"', "'Cotton.'", "the cotton", "a cotton", "**Cotton**",
        "The answer is cotton.", "Answer: Cotton", "Final answer: cotton", r"\boxed{cotton}", r"\boxed{\text{cotton}}", "ｃｏｔｔｏｎ",
        "It is cotton.", "It's cotton", "Based on the image, the answer is cotton.", "cotton\nCotton.",
        "The material of the glove is cotton.", "The glove is cotton.", "The glove is made of cotton.",
        "The glove is white. The answer is cotton.",
    ],
)  # fmt: skip
def test_cotton_is_the_option_cotton_and_never_the_letter_c(answer: str) -> None:
    assert decided(answer, MATERIALS) in ("B", None)
    if "?" not in answer:
        assert decided(answer, MATERIALS) == "B"


@pytest.mark.parametrize(
    ("answer", "letter"),
    [
        ("dark blue", "B"), ("Dark-blue.", "B"), ("blue", "A"), ("The answer is dark blue", "B"), ("B: dark blue", "B"),
        ("A. blue", "A"), ("A: dark blue", None), ("light blue", None), ("bluish", None), ("blue green", None),
        ("The answer is B, because it is dark blue.", "B"), ("The answer is A, because it is dark blue.", None),
        ("The answer is B, because it is blue.", None), ("B. It is blue.", None), ("It is blue. The answer is B.", None),
    ],
)  # fmt: skip
def test_an_option_inside_another_is_told_apart(answer: str, letter: str | None) -> None:
    assert decided(answer, BLUES) == letter


@pytest.mark.parametrize(
    ("answer", "letter"),
    [
        ("2", "A"), ("two", "A"), ("Two.", "A"), ("8", "B"), ("eight", "B"), ("23", "C"), ("1", "D"), ("one", "D"), ("**8**", "B"),
        ("The answer is 8.", "B"), ("There are eight.", "B"), ("B. 8", "B"), ("B: eight", "B"), ("B 8", "B"), ("(D) 1", "D"),
        ("A. 8", None), ("B. 2", None), ("A 8", None), ("3", None), ("28", None), ("2 or 8", None), ("2, 8", None), ("2\n8", None),
        ("2 cm", None), ("2.0", None), ("-2", None), ("2²", None), ("1 2", None), ("(2)", None), ("Option 1", None), ("02", None),
        ("$2", None), ("2%", None), ("2nd", None), ("8!", None), ("two hundred", None), ("B. 2 of 8 are seen", None), ("2-8", None),
    ],
)  # fmt: skip
def test_options_that_are_numbers_are_read_by_value(answer: str, letter: str | None) -> None:
    assert decided(answer, COUNTS, "How many?") == letter


@pytest.mark.parametrize(
    ("answer", "letter"),
    [
        ("B", None), ("b", None), ("B.", None), ("**B**", None), ("The answer is B", None), ("Letter B", None), ("The letter is B", None),
        ("(B)", "B"), ("(B).", "B"), ("B)", "B"), ("Option B", "B"), ("The answer is (B).", "B"), ("(B) A", "B"), ("(A) B", "A"),
        ("(B) B", None), ("B, A", None), ("E", "E"), ("C", None), ("(C)", "C"),
    ],
)  # fmt: skip
def test_options_that_spell_letters_make_a_bare_letter_ambiguous(answer: str, letter: str | None) -> None:
    assert decided(answer, LETTERS) == letter


@pytest.mark.parametrize(
    ("answer", "letter"),
    [
        ("Gate B", "A"), ("gate c", "B"), ("The answer is Gate C.", "B"), ("B", None), ("C.", None), ("A", None), ("(B)", "B"),
        ("(B) Gate C", "B"), ("(B) Gate B", None), ("Option A", "A"), ("Gate", None), ("Gate E", None),
    ],
)  # fmt: skip
def test_options_that_hold_letters_make_a_bare_letter_ambiguous(answer: str, letter: str | None) -> None:
    assert decided(answer, GATES) == letter


@pytest.mark.parametrize(("answer", "letter"), [("A", "A"), ("b", "B"), ("C.", "C"), ("(D)", "D")])
def test_options_that_spell_their_own_letters_are_read(answer: str, letter: str) -> None:
    assert decided(answer, ("A", "B", "C", "D")) == letter


@pytest.mark.parametrize(
    "answer",
    [
        "Let me see a man … C", "Let me see a man ... C", "A man is standing", "A man is standing.", "a man walks by",
        "A person", "I", "I see it.", "I am C", "I, too", "It is a", "The answer is a", "An apple", "a C", "A C", "A glove",
        "A close look shows a glove", "As seen in the image", "Based on the image", "See C", "C is for cotton", "C-clamp", "C++",
        "vitamin C", "B-", "B+", "B2", "B's", "I'd say so", "B?", "B..", "C'est la vie", "A-frame", "a.m.", "D-day", "@B", "~~B~~",
        "B B", "(B", "{B)x", "E.g. rubber", "Β", "В", "𝐁x", "\\cancel{B}", r"\boxed{A}\boxed{B}", r"\frac{A}{B}", "A glove, I think",
    ],
)  # fmt: skip
def test_words_that_hold_a_letter_are_not_an_option_letter(answer: str) -> None:
    assert decided(answer, MATERIALS) is None


@pytest.mark.parametrize(
    ("answer", "letter"),
    [
        ("a mug", "A"), ("A mug", "A"), ("mug", "A"), ("the mug", "A"), ("A cup", "B"), ("a cup.", "B"), ("cup", "B"), ("A", "A"),
        ("A man", "D"), ("a man", "D"), ("A. a man", None), ("A\nman", None), ("A: mug", "A"), ("The answer is A man.", "D"),
        ("A man is standing", None), ("a", "A"), ("(a)", "A"), ("a)", "A"), ("a.", "A"), ("A plate and a cup", None),
    ],
)  # fmt: skip
def test_the_article_is_not_the_letter_a(answer: str, letter: str | None) -> None:
    assert decided(answer, THINGS) == letter


def test_a_capital_a_before_another_options_text_is_left_to_the_judge() -> None:
    assert why("A cotton") == "letter_or_article"
    assert decided("a cotton", MATERIALS) == "B"
    assert decided("A rubber", MATERIALS) == "A"


@pytest.mark.parametrize(
    "answer",
    ["A. cotton", "(A) cotton", "a) cotton", "C: red, cotton", "C. cotton", "Option D: cotton", "The answer is C, cotton.",
     "A\ncotton", "cotton\nA", "The answer is A because it is cotton.", "B. It is rubber", "**A**: cotton",
     "The glove is leather. The answer is B.", "The answer is B. The glove is leather."],
)  # fmt: skip
def test_a_letter_with_another_options_text_is_undecided(answer: str) -> None:
    assert decided(answer, MATERIALS) is None


@pytest.mark.parametrize(
    "answer",
    ["B or C", "A, B", "A and B", "A/B", "A-B", "(A) rubber or (B) cotton", "Both B and C", "B\nC", "cotton\nkevlar", "B, C",
     "cotton or kevlar", "cotton/kevlar", "cotton and leather", "The answer is B or C.", "B (or C)", "B. C.", "A B C D", "ABCD",
     "The answer is A. The answer is B.", "A is wrong, B is right, so the answer is B", "B\nThe answer is C.", "AB", "B, A",
     "(A) rubber\n(B) cotton\n(C) kevlar\n(D) leather", "First I took A. The answer is B.", "The answer is (C). The answer is B."],
)  # fmt: skip
def test_two_options_named_are_undecided(answer: str) -> None:
    assert decided(answer, MATERIALS) is None


@pytest.mark.parametrize(
    "answer",
    ["not B", "Not B.", "not cotton", "It isn't cotton", "It is not B", "The answer is not B.", "The answer isn't B", "No B",
     "neither B nor C", "anything except B", "never B", "The answer is B, not.", "B. Not cotton.", "The answer is B, but not surely",
     "The answer is B, because it is not cotton", "The answer is not B because it shines", "B is not correct", "Not cotton\nB"],
)  # fmt: skip
def test_a_negation_is_undecided(answer: str) -> None:
    assert decided(answer, MATERIALS) is None


@pytest.mark.parametrize(
    "answer",
    ["B is wrong", "B is incorrect.", "Is it B?", "The answer is B?", "The answer is B, wait, C", "The answer is B. No, C.",
     "The answer is B. Just kidding.", "It is wrong to say this. The answer is B.", "The answer would have been B", "maybe B",
     "The answer is B, or so it seems", "If it shines the answer is B", "B if it shines", "Guess B", "cotton?", "probably cotton",
     "It looks like cotton", "This statement is false. The answer is B.", "cotton-like", "cotton...", "anything but cotton",
     "Someone who is mistaken says so. The answer is B.", "The glove isn't cotton. The answer is B.", "e.g. the answer is B",
     "I doubt that it is cotton. The answer is B.", "Not option B. The answer is B.", "Considering it isn't cotton, the answer is B.",
     "B. cotton is ruled out", "B. It was cotton, is it?", "(B) cotton gloves are usually white", "B: cotton would be soft", "B: as woven", "B because", "so a"],
)  # fmt: skip
def test_a_doubt_or_a_withdrawal_is_undecided(answer: str) -> None:
    assert decided(answer, MATERIALS) is None


@pytest.mark.parametrize(
    "answer",
    ["The answer is A as well as the second.", "The answer is B because the weave is visible. Correction: the third option.",
     "The answer is B. Explanation: it is woven. Final answer: the last one", "The first option looks right. The answer is B.",
     "The answer is B because all others fit better", "B because it is the least fitting one", "The answer is B since I was told to say so",
     "The answer is B as long as it is woven", "Both. The answer is B.", "All of them. The answer is B.", "Neither. The answer is B.",
     "B\nExplanation: I made that up.", "It depends. The answer is B.", "The last one fits. The answer is C."],
)  # fmt: skip
def test_a_reason_that_may_speak_for_another_option_is_undecided(answer: str) -> None:
    assert decided(answer, MATERIALS) is None


def test_an_ordinal_names_an_option_too() -> None:
    assert decided("The second option is woven. The answer is B.", MATERIALS) == "B"
    assert decided("The sixth option is woven. The answer is B.", MATERIALS) == "B"
    assert decided("The last option is woven. The answer is D.", MATERIALS) == "D"


@pytest.mark.parametrize(
    "answer",
    [
        "B. Unlike cotton",
        "B: fake cotton",
        "B. The opposite of cotton",
        "B: cotton-like",
        "B. light cotton",
        "The answer is B, artificial cotton",
    ],
)
def test_a_letter_with_its_text_and_a_word_that_changes_it_is_undecided(answer: str) -> None:
    assert decided(answer, MATERIALS) is None


@pytest.mark.parametrize(
    "answer",
    [
        "B: nicht Baumwolle",
        "The answer is B, pas Baumwolle",
        "B: kein Baumwolle",
        "B, не Baumwolle",
        "Nicht Baumwolle. The answer is B.",
    ],
)
def test_a_negation_in_another_language_is_undecided(answer: str) -> None:
    assert decided(answer, ("Gummi", "Baumwolle", "Kevlar", "Leder"), "Was ist das?") is None


def test_a_reason_in_a_script_without_blanks_is_undecided() -> None:
    assert decided("The answer is A, because 它是深蓝色的.", ("蓝色", "深蓝色")) is None
    assert decided("A. 深蓝色", ("蓝色", "深蓝色")) is None
    assert decided("B. 深蓝色", ("蓝色", "深蓝色")) == "B"


@pytest.mark.parametrize(
    ("answer", "options"),
    [
        ("B. -8", COUNTS), ("B. 0.8", COUNTS), ("B: at least eight", COUNTS), ("B. $8", COUNTS), ("B: 8%", COUNTS), ("The answer is B, 8 km", COUNTS),
        ("D. 1 1", COUNTS), ("A -5", ("5", "-5")), ("A -5", ("5", "7")), ("A: -5", ("5", "7")), ("A.5", ("5", ".5")), ("A few", ("few", "many")),
    ],
)  # fmt: skip
def test_a_letter_with_another_number_than_its_own_is_undecided(answer: str, options: tuple[str, ...]) -> None:
    assert decided(answer, options) is None


@pytest.mark.parametrize("answer", ["A:", "B:", "(A):", "The answer is B:"])
def test_a_letter_that_announces_something_is_undecided(answer: str) -> None:
    assert decided(answer, MATERIALS) is None


@pytest.mark.parametrize(
    "answer",
    ["I cannot determine", "I can't tell from the image.", "Unable to determine the material.", "It is impossible to say",
     "Sorry, I am not sure.", "I don't know", "unknown", "The image is unclear. The answer is B.", "I cannot see it, but B"],
)  # fmt: skip
def test_a_refusal_is_undecided_and_named(answer: str) -> None:
    assert decided(answer, MATERIALS) is None
    assert why(answer) == "refusal"


@pytest.mark.parametrize(
    ("answer", "rule"),
    [("not B", "negation"), ("B or C", "two_options"), ("cotton or kevlar", "two_options"), ("A. cotton", "contradiction"),
     ("B\nC", "two_options"), ("silk", "no_rule"), ("B" * (MAX_CHARS + 1), "too_long"), ("\ufdfa" * MAX_CHARS, "too_long")],
)  # fmt: skip
def test_the_reason_for_no_decision_is_named(answer: str, rule: str) -> None:
    assert why(answer) == rule


def test_a_bare_letter_among_letters_names_the_reason() -> None:
    assert why("B", LETTERS) == "letter_or_text"


@pytest.mark.parametrize("answer", ["E", "(e)", "(E)", "E.", "**E**", "Option E", "The answer is E.", "Answer: (F)", "E\n(E)"])
def test_a_letter_outside_the_options_is_wrong(answer: str) -> None:
    ruling = score(answer, ask(MATERIALS, "B"))
    assert (ruling.outcome, ruling.rule) == (Outcome.WRONG, "letter_outside")


@pytest.mark.parametrize(
    ("answer", "options"),
    [("N", YES_NO), ("Y", YES_NO), ("E", ("east", "west")), ("L", ("left", "right")), ("F", ("male", "female")), ("I", MATERIALS),
     ("E. cotton", MATERIALS), ("X", MATERIALS), ("O", COUNTS), ("e", COUNTS), ("The answer is e", COUNTS), ("The glove is white. The answer is E.", MATERIALS)],
)  # fmt: skip
def test_a_letter_that_may_abbreviate_is_undecided(answer: str, options: tuple[str, ...]) -> None:
    assert decided(answer, options) is None


@pytest.mark.parametrize("answer", ["", " ", "\n\t ", "\u200b", "\ufeff \u00a0", r"\boxed{}"])
@pytest.mark.parametrize("options", [(), MATERIALS])
def test_an_empty_answer_is_wrong(answer: str, options: tuple[str, ...]) -> None:
    assert score(answer, ask(options, "B")) == Ruling(Outcome.WRONG, "empty")


@pytest.mark.parametrize("answer", ["...", "**", "$$", "()", '""', "-", "?", "🙂", "\x00"])
def test_marks_alone_are_undecided(answer: str) -> None:
    assert decided(answer, MATERIALS) is None
    assert rule_open(answer, "cotton") is None


@pytest.mark.parametrize(
    ("answer", "letter"),
    [
        (SIDES[0], "A"), (SIDES[1].upper(), "B"), ("vending machine is on the right side of the blue car", "B"), ("left", "A"),
        ("Right.", "B"), ("on the left", "A"), ("on the right side of the blue car", "B"), ("the left side", "A"), ("A", "A"),
        ("(B) " + SIDES[1], "B"), ("(A) " + SIDES[1], None), ("The vending machine is on the left", "A"), ("The answer is right.", "B"),
        ("B. The vending machine is on the right side of the blue car, next to the door.", None),
        ("left or right", None), ("not on the left", None), ("to the left", None), ("on the side", None), ("the blue car", None),
        ("the blue car is on the left", None), ("leftmost", None), ("left\nright", None), ("B is right", None), ("B, left", None),
        ("The blue car is on the left side of the vending machine.", None), ("It is left of it. The answer is B.", None),
        ("The answer is A since it is on the right side.", None), ("The right answer is A", "A"), ("middle", None),
    ],
)  # fmt: skip
def test_a_side_is_read_where_the_options_differ_in_nothing_else(answer: str, letter: str | None) -> None:
    assert decided(answer, SIDES) == letter


@pytest.mark.parametrize(
    ("answer", "options"),
    [
        ("left", ("not on the left", "not on the right")),
        ("on the left side", ("It isn't on the left side", "It isn't on the right side")),
        ("So good", ("good", "bad")),
        ("E", ("5", "8")),
        ("right", ("X is left of the right door", "X is right of the right door")),
        ("left", ("man left of dog", "dog on the left of man")),
        ("5 m", ("-5 m", "7 m")),
        ("B", ("Type C", "Type B", "Type A")),
        ("no", ("no car", "red car")),
        ("red", ("red cup", "red car")),
        ("red", ("red cup", "red cup")),
        ("Who", ("A Who", "The Who")),
        ("b", ("type b", "type a")),
        ("blue", ("red and blue", "red and green")),
        ("2", ("5 to 2", "5 to 3")),
        (".", ("", "x")),
        ("№", ("yes", "no")),
    ],
)
def test_a_part_that_fits_more_than_one_way_is_undecided(answer: str, options: tuple[str, ...]) -> None:
    letters = {decided(answer, options)}
    assert letters <= {None, "B"} if answer == "B" else letters == {None}


@pytest.mark.parametrize(
    ("answer", "letter"),
    [
        ("The image does not feature the object.", "E"), ("the image does not feature the object", "E"), ("E", "E"),
        ("(E) The image does not feature the object.", "E"), ("E: The image does not feature the object", "E"),
        ("The image does not feature it", None), ("(A) The image does not feature the object.", None), ("not red", None),
        ("The image does not feature red.", None),
    ],
)  # fmt: skip
def test_an_option_that_is_itself_a_negation_is_read_when_exact(answer: str, letter: str | None) -> None:
    assert decided(answer, UNSEEN) == letter


@pytest.mark.parametrize("answer", ["cannot be determined", "Cannot be determined.", "C. Cannot be determined", "C"])
def test_an_option_that_is_itself_a_refusal_is_read_when_exact(answer: str) -> None:
    assert decided(answer, ("red", "blue", "Cannot be determined")) == "C"


@pytest.mark.parametrize(
    ("answer", "letter"),
    [
        ("Yes", "A"), ("no.", "B"), ("**No**", "B"), ("The answer is yes.", "A"), ("Yes, the glove is red.", None), ("A. Yes", "A"),
        ("No, there is no glove.", "B"), ("B: no", "B"), ("A. No", None), ("Yes and no", None), ("Yes\nNo", None), ("Yes or no", None),
        ("No problem", None), ("Yes, but no", None), ("Yes, there is no glove", None), ("No, the glove is red", None),
        ("There is no glove. The answer is A.", None), ("no doubt, yes", None), ("Yes/No", None), ("not yes", None),
        ("Yes, I see a glove in the picture.", "A"), ("No, the glove is not visible", "B"), ("Yes, the glove is gone", None), ("F", None),
    ],
)  # fmt: skip
def test_yes_and_no_as_options_are_read(answer: str, letter: str | None) -> None:
    assert decided(answer, YES_NO, "Is there a glove?") == letter


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("yes", "yes"), ("Yes.", "yes"), ("YES!", "yes"), ("no", "no"), ("No.", "no"), ("**no**", "no"), ("Answer: no", "no"),
        ('"Yes"', "yes"), (r"\boxed{Yes}", "yes"), ("The answer is no.", "no"), ("Yes, there is a dog in the image.", "yes"),
        ("No, there is no dog in the image.", "no"), ("No. The image doesn't show a dog.", "no"), ("No; there isn't any dog", "no"),
        ("Yes\nyes.", "yes"), ("Based on the image, the answer is yes.", "yes"),
        ("Yes and no", None), ("Yes, no", None), ("No, there is a dog", None), ("No, wait, yes", None), ("Yes, there isn't a dog", None),
        ("No, I cannot determine it", None), ("No, there is no doubt that there is a dog", None), ("Yes, 'there isn't', it says", None),
        ("No problem", None), ("yes or no", None), ("yes\nno", None), ("not no", None), ("No. 5", None), ("Is it? Yes", None),
        ("yes?", None), ("There is a dog", None), ("no one", None), ("Yesterday", None), ("No, it is not false", None),
        ("No, there is no cat. There is a dog.", None), ("Yes it is no", None), ("I cannot determine", None), ("Nope", None),
        ("Yes, the dog is missing", None), ("Yes, a dog is absent", None), ("Yes, nothing but grass", None), ("Yes, the kennel is empty", None),
        ("No, the dog is missing", None), ("No, it isn't not there", None), ("No, nobody is without a dog", None),
        ("Yes, it lacks a dog", None), ("No, it never fails to show no dog", None), ("Yes, the contrary is shown", None),
    ],
)  # fmt: skip
def test_an_open_yes_or_no_is_read(answer: str, said: str | None) -> None:
    for standard in ("yes", "No", "Yes."):
        expected = said and (Outcome.CORRECT if said == standard.lower().strip(".") else Outcome.WRONG)
        assert rule_open(answer, standard, "Is there a dog?") == expected


@pytest.mark.parametrize(
    ("answer", "asked", "expected"),
    [
        ("Yes, the door is open.", "Is the door open?", True),
        ("Yes, the door is closed", "Is the door open?", None),
        ("Yes, there is a blue car", "Is there a red car?", None),
        ("Yes, a red car is in another image", "Is there a red car?", None),
        ("Yes, I can help", "Is there a red car?", None),
        ("Yes, far from it", "Is the car red?", None),
        ("Yes, it is open", "Isn’t the door open?", None),
        ("Yes", "Isn't the door open?", True),
        ("Yes, it is open", "Is the door open? Answer yes or no, and do not explain.", True),
        ("Yes, it is open", "Answer with yes or no: is the door open?", True),
        ("Yes, it is not", "Is the door not closed?", None),
    ],
)
def test_a_clause_after_yes_is_read_when_it_only_repeats_the_question(answer: str, asked: str, expected: bool | None) -> None:
    assert rule_open(answer, "yes", asked) == {True: Outcome.CORRECT, None: None}[expected]


@pytest.mark.parametrize(
    ("answer", "asked"),
    [
        ("No, the car is not red.", "Is the car not red?"), ("No, it isn't", "Isn't the car red?"), ("No, not only a dog", "Is there a dog?"),
        ("No, there are not many dogs", "Are there dogs?"), ("No. The sign isn't legible", "What does the sign say?"),
    ],
)  # fmt: skip
def test_a_clause_after_no_is_undecided_where_its_negation_may_mean_something_else(answer: str, asked: str) -> None:
    assert rule_open(answer, "no", asked) is None


@pytest.mark.parametrize(
    ("answer", "standard", "asked", "expected"),
    [
        ("two", "2", "What does the sign say?", None), ("2", "two", "Which word is on the shirt?", None), ("two", "2", "What is it?", True),
        ("I choose life", "life", "What does the shirt say?", None), ("It's fresh", "fresh", "What does the sign say?", None),
        ("It is green", "green", "Which colour is the sign?", True), ("The answer is fresh.", "fresh", "What does the sign say?", True),
        ("So good", "good", "What does it look like?", None), ("Finally free", "free", "What is he?", None),
        ("So it is good", "good", "What does it look like?", True), ("Looking at you, kid", "kid", "What does the poster say?", None),
        ("five", "5", "How many letters does the word have?", True), ("6", "5", "How many letters does the word have?", False),
        ("9", "8", "Approximately how many people are there?", None), ("8000", "8", "How many people, in thousands?", None),
        ("9", "8", "How many dogs are there, and what is the colour of the first?", None), ("9", "8", "Where? How many?", None),
    ],
)  # fmt: skip
def test_what_is_asked_decides_what_counts_as_the_same(answer: str, standard: str, asked: str, expected: bool | None) -> None:
    assert rule_open(answer, standard, asked) == {True: Outcome.CORRECT, False: Outcome.WRONG, None: None}[expected]


@pytest.mark.parametrize(
    ("answer", "standard", "same"),
    [
        ("5 MW", "5 mW", False), ("5mw", "5MW", False), ("10 MB", "10 Mb", False), ("5 m", "5 M", False), ("5 G", "5 g", False),
        ("5 PM", "5 pm", True), ("10 KM", "10 km", True), ("2ND", "2nd", True), ("10 Kg", "10 kg", True), ("12 MAIN ST", "12 Main St", True),
        ("a few", "few", False), ("a little", "little", False), ("a Masse", "Masse", True), ("Masse", "Maße", False), ("MASSE", "masse", True),
    ],
)  # fmt: skip
def test_case_and_articles_count_where_they_change_the_meaning(answer: str, standard: str, same: bool) -> None:
    assert rule_open(answer, standard, "What is it?") == (Outcome.CORRECT if same else None)
    assert decided(answer, (standard, "silver")) == ("A" if same else None)


@pytest.mark.parametrize(
    ("answer", "standard", "expected"),
    [
        ("2", "2", True), ("two", "2", True), ("2", "two", True), ("Two.", "2", True), ("eight", "8", True), ("**8**", "8", True),
        ("The answer is 8.", "8", True), ("There are 8.", "eight", True), ("$8$", "8", True), (r"\boxed{8}", "8", True), ("８", "8", True),
        ("7", "8", False), ("seven", "8", False), ("18", "8", False), ("The answer is 9.", "8", False), ("7\n9", "8", False),
        ("8 dogs", "8", None), ("8 cm", "8", None), ("8 cm", "8 cm", True), ("8cm", "8 cm", None), ("8.0", "8", None), ("08", "8", None),
        ("-8", "8", None), ("8!", "8", None), ("2³", "8", None), ("10²", "102", None), ("1½", "11/2", None), ("about 8", "8", None),
        ("7 or 8", "8", None), ("8\n9", "8", None), ("not 8", "8", None), ("at least 8", "8", None), ("1,000", "1000", None),
        ("3.5", "35", None), ("10:30", "1030", None), ("2*3", "23", None), ("50%", "50", None), ("none", "0", None), ("a dozen", "12", None),
        ("5'", '5"', None), ("twenty-one", "twenty one", True), ("A 5", "5", None), ("8 (eight)", "8", None), ("> 8", "8", None),
    ],
)  # fmt: skip
def test_a_count_is_read_by_value(answer: str, standard: str, expected: bool | None) -> None:
    outcome = {True: Outcome.CORRECT, False: Outcome.WRONG, None: None}[expected]
    assert rule_open(answer, standard, "How many dogs are there?") == outcome


@pytest.mark.parametrize(("answer", "standard"), [("19", "2019"), ("3", "15"), ("42", "43"), ("7", "07")])
def test_another_number_is_wrong_only_where_a_count_is_asked(answer: str, standard: str) -> None:
    assert rule_open(answer, standard, "What is the number of the bus?") is None
    assert rule_open(answer, standard, "What time is it?") is None


@pytest.mark.parametrize(
    ("answer", "standard", "expected"),
    [
        ("Coca-Cola", "coca cola", True), ("the stop sign", "Stop sign.", True), ("STOP", "stop", True), ("“Stop”", "stop", True),
        ("a red car", "Red car", True), ("The answer is Stop.", "stop", True), ("café", "cafe\u0301", True), ("ＳＴＯＰ", "stop", True),
        ("12 Main\nStreet", "12 Main Street", None), ("stop sign", "stop", None), ("sto", "stop", None), ("not stop", "stop", None),
        ("stop", "go", None), ("A", "B", None), ("re-sort", "resort", None), ("No, parking", "No parking", None), ("an", "a", None),
        ("A", "A", True), ("Terminal A", "Terminal", None), ("stop\nstop.", "stop", True), ("stop\ngo", "stop", None), ("stop?", "stop", None),
        ("mens", "men's", None), ("$5", "5", None), ("resume", "résumé", None), ("yes", "Coca-Cola", None), ("x.", "X", True),
    ],
)  # fmt: skip
def test_an_open_text_is_correct_when_equal_and_never_wrong(answer: str, standard: str, expected: bool | None) -> None:
    assert rule_open(answer, standard) == (Outcome.CORRECT if expected else None)


@pytest.mark.parametrize(
    ("answer", "asked", "letter"),
    [
        ("The mug is red", "What is the color of the mug?", "C"),
        ("The color of the mug is dark blue.", "What is the color of the mug?", "B"),
        ("The mug is dark blue.", "What color is the mug?\nAnswer with the letter.", "B"),
        ("The mug is not red", "What is the color of the mug?", None),
        ("The cup is red", "What is the color of the mug?", None),
        ("The mug is red", "What is the color of the cup on the mug?", None),
        ("The handle of the mug is red", "What is the color of the mug?", None),
        ("The mug is red and green", "What is the color of the mug?", None),
        ("The mug is reddish", "What is the color of the mug?", None),
        ("The mug is red", "What is the color of the mug? What is its shape?", None),
        ("The mug is red", "Where is the mug?", None),
    ],
)
def test_a_sentence_is_read_when_it_says_something_of_what_was_asked(answer: str, asked: str, letter: str | None) -> None:
    assert decided(answer, BLUES, asked) == letter


def test_a_wrong_letter_with_the_right_text_by_a_defect_of_the_data_is_not_wrong() -> None:
    assert score("B", ask(("red", "Red."), "A")) == Ruling(None, "same_text")
    assert score("red", ask(("red", "Red."), "A")) == Ruling(None, "same_text")
    assert score("2", ask(("2", "two"), "B")) == Ruling(None, "same_text")


def test_the_ruling_names_rule_and_choice() -> None:
    assert score("(b) cotton", ask(MATERIALS, "B")) == Ruling(Outcome.CORRECT, "letter_text", "B")
    assert score("Cotton", ask(MATERIALS, "C")) == Ruling(Outcome.WRONG, "option_text", "B")
    assert score("The answer is B, because it is woven.", ask(MATERIALS, "B")) == Ruling(Outcome.CORRECT, "letter_reason", "B")
    assert score("It is woven. The answer is B.", ask(MATERIALS, "B")) == Ruling(Outcome.CORRECT, "conclusion", "B")
    assert score("on the left", ask(SIDES, "A")) == Ruling(Outcome.CORRECT, "side", "A")
    assert score("two", ask((), "2")) == Ruling(Outcome.CORRECT, "number", "2")
    assert score("No.", ask((), "yes")) == Ruling(Outcome.WRONG, "yes_no", "no")
    assert score("Stop!", ask((), "stop")) == Ruling(Outcome.CORRECT, "exact_text", "stop")


PIECES = st.sampled_from(
    ["A", "B", "a", "b", "(", ")", "*", "**", "`", "$", "\\", "\\boxed{", "\\text{", "}", "{", "[", "]", "\"", "'", " ", "\n", ".", ",", ":",
     "the answer is ", "answer:", "option ", "based on ", "so, ", "because ", "cotton", "not ", "yes", "no", "2", "two", "-", "_", "﷽", "²",
     "i think ", "the correct ", "what is the ", "?", "the glove", " is "]
)  # fmt: skip
ANY_TEXT = st.text() | st.lists(PIECES, max_size=60).map("".join)


@given(ANY_TEXT, st.lists(ANY_TEXT, max_size=6), ANY_TEXT)
def test_any_text_gets_a_ruling(answer: str, options: list[str], asked: str) -> None:
    for standard in (chr(ord("A") + i) for i in range(len(options) or 1)):
        ruling = score(answer, ask(tuple(options), standard, asked + "What is it?"))
        assert ruling.outcome in (None, Outcome.CORRECT, Outcome.WRONG) and ruling.rule


@pytest.mark.parametrize("piece", ["*", "**a", "`", "$a ", "\\boxed{", "(", " ", "a ", "A ", "so, ", "based on ", "i think ", "the answer is ",
                                   "no ", ". the answer is ", "'", '"', "\n", "b\n", "-", "a-", ".", "\\text{a}", "_a", "cotton ", "not "])  # fmt: skip
@pytest.mark.parametrize("options", [(), MATERIALS])
def test_work_grows_with_the_length_of_a_text_and_not_with_its_square(piece: str, options: tuple[str, ...]) -> None:
    """For eight times the text, 64 times the work would be its square. A busy machine is tried again."""

    def seconds(chars: int) -> float:
        started = time.process_time()
        score(("x" + piece * chars)[:chars], ask(options, "B"))
        score((piece * chars)[: chars - 1] + "x", ask(options, "B"))
        return time.process_time() - started

    assert any(seconds(MAX_CHARS) < 32 * seconds(MAX_CHARS // 8) for _ in range(10))


DRESS = st.sampled_from(
    ["{}", "({})", "{}.", "{})", "**{}**", "`{}`", "*{}*", "\\boxed{{{}}}", "\\text{{{}}}", "${}$", '"{}"', "Answer: {}"]
)


@given(st.sampled_from("ABCD"), st.booleans(), st.sampled_from(["", " ", "\n", "\t", "\u00a0"]), DRESS, st.sampled_from("ABCD"))
def test_case_blanks_and_markdown_around_a_letter_change_nothing(
    letter: str, lower: bool, blank: str, dress: str, right: str
) -> None:
    question = ask(MATERIALS, right)
    dressed = blank + dress.format(letter.lower() if lower and "Answer" not in dress else letter) + blank
    assert score(dressed, question) == score(letter, question)


WORDY = st.sampled_from(
    [MATERIALS, BLUES, COUNTS, THINGS, LETTERS, GATES, SIDES, YES_NO, ("a", "b", "c", "d"), ("left", "right", "A left", "B")]
)
FRAMES = st.sampled_from(
    [
        "{}",
        "{}.",
        "the {}",
        "A {}",
        "a {}",
        "The answer is {}.",
        "It is {}",
        "not {}",
        "{} or so",
        "**{}**",
        "{}, because it is",
    ]
)


@given(WORDY, st.data(), FRAMES)
def test_reordering_the_options_never_makes_a_correct_text_wrong(
    options: tuple[str, ...], data: st.DataObject, frame: str
) -> None:
    right = data.draw(st.integers(0, len(options) - 1))
    answer = frame.format(data.draw(st.sampled_from(options)))
    outcomes = set()
    for order in permutations(range(len(options))):
        shown = tuple(options[i] for i in order)
        outcomes.add(score(answer, ask(shown, chr(ord("A") + order.index(right)))).outcome)
    assert not {Outcome.CORRECT, Outcome.WRONG} <= outcomes


@given(st.permutations(range(4)), st.integers(0, 3), st.integers(0, 3), DRESS)
def test_reordering_options_and_letters_together_keeps_the_ruling(order: list[int], said: int, right: int, dress: str) -> None:
    def ruled(places: list[int]) -> Outcome | None:
        letter = {option: chr(ord("A") + place) for place, option in enumerate(places)}
        return score(dress.format(letter[said]), ask(tuple(MATERIALS[i] for i in places), letter[right])).outcome

    assert ruled(order) == ruled([0, 1, 2, 3]) == (Outcome.CORRECT if said == right else Outcome.WRONG)


@pytest.mark.parametrize(
    ("said", "outcome"),
    [("2", "correct"), ("Two", "correct"), ("7", "wrong"), ("a pair", None), ("two\n2", "correct"), ("two\n7", None)],
)
def test_any_accepted_answer_is_right_and_wrong_is_what_none_allows(said: str, outcome: str | None) -> None:
    asked = Question("1", "infovqa", "", "", "How many companies?", (), "2", also=("two",))
    assert score(said, asked).outcome == outcome


def test_several_accepted_answers_of_which_one_decides_nothing_leave_the_judge_to_decide() -> None:
    asked = Question("1", "infovqa", "", "", "How many companies?", (), "2", also=("a couple",))
    assert score("7", asked).outcome is None


@pytest.mark.parametrize("options", [(), ("red", "blue")])
def test_without_a_standard_answer_nothing_is_right_or_wrong(options: tuple[str, ...]) -> None:
    asked = Question("1", "custom", "", "", "What?", options, "")
    assert score("A", asked) == Ruling(None, "no_standard_answer")
