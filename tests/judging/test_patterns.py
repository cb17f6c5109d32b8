"""The patterns that read a reply with a reason: what they decide, and what takes the decision away."""

from __future__ import annotations

import pytest
from dissent import OTHER, TAKEN_BACK
from hypothesis import example, given
from hypothesis import strategies as st

from cof_eval.core.records import Outcome, Question
from cof_eval.judging.rules import MAX_CHARS, MAX_QUESTION_CHARS, Ruling, score

CLOTH = ("linen", "wool", "silk", "velvet")
BOATS = ("1", "2", "3", "7")
SCARF = tuple(f"The scarf of the rider is {colour}." for colour in ("red", "orange", "dark green", "white and blue"))
NEAR = ("A is nearer", "B is nearer")
YES_NO = ("yes", "no")
SOLUTIONS = ("neither; they are the same", "Solution A", "Solution B")


def ask(options: tuple[str, ...], answer: str, text: str = "What is it made of?") -> Question:
    return Question(id="1", benchmark="b", category="", cluster="1", text=text, options=options, answer=answer)


def read(reply: str, options: tuple[str, ...], text: str = "What is it made of?") -> tuple[str, str] | None:
    """(rule, chosen letter); None if undecided. Right and wrong follow from the letter alone."""
    rulings = [score(reply, ask(options, chr(65 + i), text)) for i in range(len(options))]
    assert len({(ruling.rule, ruling.chosen, ruling.outcome is None) for ruling in rulings}) == 1
    for i, ruling in enumerate(rulings):
        assert ruling.outcome in (None, Outcome.CORRECT if ruling.chosen == chr(65 + i) else Outcome.WRONG)
    return (rulings[0].rule, rulings[0].chosen) if rulings[0].outcome else None


def read_open(reply: str, text: str) -> tuple[str, str] | None:
    rulings = [score(reply, ask((), standard, text)) for standard in ("yes", "no")]
    assert {ruling.outcome for ruling in rulings} in ({None}, {Outcome.CORRECT, Outcome.WRONG})
    return (rulings[0].rule, rulings[0].chosen) if rulings[0].outcome else None


CAT = "Is there a black cat in the image?"
DECIDED = [
    ("B. wool\n\nThe fibres are thick, near the collar.", CLOTH, "", "letter_text_reason", "B"),
    ("(B) wool. It has thick fibres and a soft sheen.", CLOTH, "", "letter_text_reason", "B"),
    ("The correct answer is (B) wool.\n\nThe fibres are thick.", CLOTH, "", "letter_text_reason", "B"),
    ("A. 1\n\nThere is one boat near the pier.", BOATS, "", "letter_text_reason", "A"),
    ("The fabric of the coat is most likely (C) silk, as its shine shows.", CLOTH, "", "letter_text_inside", "C"),
    ("The picture shows silk (C).", CLOTH, "", "letter_text_inside", "C"),
    ("The coat shines. It is thin and light.\nFinal answer: C", CLOTH, "", "conclusion", "C"),
    ("The shine is strong, not that of wool.\nFinal answer: C", CLOTH, "", "final_statement", "C"),
    ("Thick fibres are seen. They are curled.\n\nSo, the correct choice is:\n(B) wool", CLOTH, "", "final_statement", "B"),
    ("A web of fibres is seen. It is thick. The answer is B.", CLOTH, "", "final_statement", "B"),
    ("图中的衣服是羊毛。\n因此,答案是B.羊毛", ("丝", "羊毛"), "", "final_statement", "B"),
    ("B</s>", CLOTH, "", "special_tokens", "B"),
    ("<s> (B) wool<|im_end|>", CLOTH, "", "special_tokens", "B"),
    ("['B.']", CLOTH, "", "list_repr", "B"),
    ('["wool"]', CLOTH, "", "list_repr", "B"),
    ("B. Solution A", SOLUTIONS, "", "letter_text", "B"),
    ("A 1", BOATS, "", "letter_text", "A"),
    ("Orange", SCARF, "What is the colour of the scarf of the rider?", "differing_words", "B"),
    ("The scarf in the image is red.", SCARF, "What is the colour of the scarf of the rider?", "differing_words", "A"),
    ("The rider's scarf is dark green.", SCARF, "What is the colour of the scarf of the rider?", None, ""),
    ("B is nearer to the window.", NEAR, "Which lamp is nearer to the window?", "option_restated", "B"),
    ("B is nearer to the window. It is large, while lamp A is small.", NEAR, "Which lamp is nearer to the window?", "option_restated", "B"),
    ("the rider on the left of wall has a hat", ("the rider on the left of the wall has a hat", "no rider"), "", "option_text", "A"),
    ("(B) no. The cat is not on the sofa.", YES_NO, "Is the cat on the sofa?", "yes_no_sentences", "B"),
    ("(A) yes\n\nThe lamp is lit and stands upright.", YES_NO, "Is the cat on the sofa?", "letter_text_reason", "A"),
]  # fmt: skip


@pytest.mark.parametrize(("reply", "options", "text", "rule", "letter"), DECIDED)
def test_a_pattern_is_a_rule_with_a_name(
    reply: str, options: tuple[str, ...], text: str, rule: str | None, letter: str
) -> None:
    assert read(reply, options, text or "What is it made of?") == (rule and (rule, letter))


@pytest.mark.parametrize(
    ("reply", "text", "rule", "said"),
    [
        ("No, there is no black cat in the image. It shows a bus.", CAT, "yes_no_sentences", "no"),
        ("Yes, there is a black cat. It sleeps on a chair or sofa.", CAT, "yes_no_sentences", "yes"),
        ("Yes, there is a black cat on the wall, next to a lamp.", CAT, "yes_no_other_words", "yes"),
        ("No, there are three towers in the picture.", "Are there two towers in the picture?", "no_instead", "no"),
        ("No, there is a black dog in the image.", CAT, "no_instead", "no"),
        ("Yes", CAT, "yes_no", "yes"),
    ],
)
def test_yes_or_no_with_sentences_that_agree(reply: str, text: str, rule: str, said: str) -> None:
    assert read_open(reply, text) == (rule, said)


@pytest.mark.parametrize(
    "reply",
    [
        "Yes, there is a black dog in the image.", "Yes, there is a cat, not a black one.", "No, there is a black cat in the image.",
        "No, there is no black cat. There is a black cat behind it.", "Yes, there is a black cat. No.", "Yes, the black cat is missing.",
        "Yes, there is a black cat. However, it may be a dog.", "No, there is no lack of a black cat.", "Yes, another black cat is there.",
        "No, not only a black cat is there.", "Yes, there is a black cat. I cannot be sure.", "No, 7.", "No, this is a bus.",
    ],
)  # fmt: skip
def test_yes_or_no_with_sentences_that_may_say_otherwise_is_undecided(reply: str) -> None:
    assert read_open(reply, CAT) is None


@pytest.mark.parametrize(
    "reply",
    [
        "B or C or A. It is soft.\nFinal answer: B", "The coat is silk.\nFinal answer: B", "It is (C).\nFinal answer: B",
        "The answer is silk. It shines.\nFinal answer: B", "It is not wool. It shines. The answer is B.", "C fits best. It shines.\nFinal answer: B",
        "It cannot be told.\nFinal answer: B", "B</s>C", "<s> B </s> A", "['B', 'C']", "['B'", "B. wool and silk", "B. wool\nSilk shines.",
        "B. wool\nC", "B. wool. It might be silk.", "The picture shows silk (B).", "It is (B) wool or (C) silk.",
        "B. wool\n\nThe third option fits.", "B. wool. On second thought, it is too thin.", "B. wool\nThe other one fits as well.",
    ],
)  # fmt: skip
def test_what_speaks_for_another_option_or_against_this_one_is_undecided(reply: str) -> None:
    assert read(reply, CLOTH) is None


@pytest.mark.parametrize(
    ("reply", "options"),
    [
        ("A. 1\n\nThere are 4 boats.", BOATS), ("A. 1, 2", BOATS), ("A. 2", BOATS), ("Blue", SCARF), ("The scarf of the rider is black.", SCARF),
        ("The rider of the scarf is red.", SCARF), ("The scarf of the horse is red.", SCARF), ("red orange", SCARF), ("B", SOLUTIONS),
        ("Solution A and Solution B", SOLUTIONS), ("Lamp A is nearer than B is nearer", NEAR), ("B is nearer. So lamp A is nearer.", NEAR),
    ],
)  # fmt: skip
def test_another_number_thing_or_order_of_words_is_undecided(reply: str, options: tuple[str, ...]) -> None:
    assert read(reply, options, "Which lamp is nearer to the scarf of the rider?") is None


@pytest.mark.parametrize(
    ("reply", "reference", "text", "correct"),
    [
        ('The sign says "STOP".', "stop", "What does the sign say?", True),
        ('the word "Selma" is written in the image', "Selma", "what is written in the image?", True),
        ('the word "Selma" is written in the image', "Thelma", "what is written in the image?", False),
        ('The word next to "STOP" is red.', "stop", "What does the sign say?", False),
        ('The sign says "STOP", not "GO".', "stop", "What does the sign say?", False),
        ('The sign does not say "STOP".', "stop", "What does the sign say?", False),
        ('The sign says "STOP". Or "GO"?', "stop", "What does the sign say?", False),
    ],
)
def test_quotes_in_a_sentence_are_read_where_they_equal_the_reference(
    reply: str, reference: str, text: str, correct: bool
) -> None:
    assert score(reply, ask((), reference, text)).outcome == (Outcome.CORRECT if correct else None)


@pytest.mark.parametrize(
    "text",
    [
        "How many were sold, in M?", "How many cars were sold, in mn?", "How many percent of people smoke?", "How many % smoke?",
        "How many people live there, in millions?", "How many kg does it weigh?", "How many dollars does it cost?", "How many $ is it?",
        "How many units were sold (in thousands)?", "How many hours does it last?", "How many people per cent of all?", "How many points did they win by?",
    ],
)  # fmt: skip
def test_a_bare_number_is_no_wrong_answer_where_a_unit_or_a_scale_is_asked_for(text: str) -> None:
    assert score("2000000", ask((), "2", text)).outcome is None
    assert score("2", ask((), "2", text)).outcome is Outcome.CORRECT


@pytest.mark.parametrize(
    "text", ["How many dogs are there?", "How many people are in the picture?", "How many women are in red?"]
)
def test_another_count_is_wrong_where_things_are_counted(text: str) -> None:
    assert score("4", ask((), "2", text)).outcome is Outcome.WRONG


LETTERED = st.sampled_from(
    [(reply, options, text or "What is it made of?") for reply, options, text, rule, _ in DECIDED if rule]
)


@given(LETTERED, st.sampled_from(OTHER), st.integers(0, 5), st.sampled_from([" ", "\n", "\n\n", ". "]))
def test_a_sentence_that_names_another_option_or_denies_this_one_takes_the_decision_away(
    decided: tuple[str, tuple[str, ...], str], added: str, place: int, between: str
) -> None:
    reply, options, text = decided
    before = read(reply, options, text)
    assert before is not None
    own = before[1]
    letters = [chr(65 + i) for i in range(len(options)) if chr(65 + i) != own]
    other = letters[place % len(letters)]
    sentence = added.format(letter=other, text=options[ord(other) - 65], own=options[ord(own) - 65], own_letter=own)
    after = read(f"{reply}{between}{sentence}", options, text)
    assert after is None or after[1] != own


@given(LETTERED, st.sampled_from(TAKEN_BACK), st.sampled_from([" ", "\n", "\n\n"]))
@example(("B. wool\n\nThe fibres are thick, near the collar.", CLOTH, "What is it made of?"), "Wait.", " ")
def test_a_sentence_that_takes_the_answer_back_takes_the_decision_away(
    decided: tuple[str, tuple[str, ...], str], added: str, between: str
) -> None:
    reply, options, text = decided
    before = read(reply, options, text)
    after = read(f"{reply}{between}{added}", options, text)
    assert before is not None
    assert after is None or after[1] != before[1]


SENTENCES = st.sampled_from(
    [
        ("No, there is no black cat in the image. It shows a bus.", "No, wait, yes."),
        ("Yes, there is a black cat in the image. It sleeps.", "No."),
    ]
)
AGAINST = [
    "yes and no",
    "It is hard to say, maybe.",
    "That is wrong.",
    "I cannot tell.",
    "On second thought, I am unsure.",
    "Or is there?",
]


@given(SENTENCES, st.sampled_from(AGAINST))
def test_yes_or_no_is_taken_back_by_a_further_sentence(decided: tuple[str, str], added: str) -> None:
    reply, opposite = decided
    said = read_open(reply, CAT)
    assert said is not None
    for sentence in (
        opposite,
        added,
        "There is a black cat in the image." if said[1] == "no" else "There is no black cat in the image.",
    ):
        after = read_open(f"{reply} {sentence}", CAT)
        assert after is None or after[1] != said[1]


@pytest.mark.parametrize(
    "reply", ["B " * 5_000_000, "(" * 10_000_000, "<s>" * 3_000_000, "no, " * 2_500_000, "\n" * 10_000_000 + "B" * 3000]
)
def test_a_reply_of_megabytes_reaches_no_rule(reply: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    monkeypatch.setattr("cof_eval.judging.rules.cleaned", lambda text: seen.append(len(text)) or "")
    for options in ((), CLOTH):
        assert score(reply, ask(options, "B")) == Ruling(None, "too_long")
    assert seen == []


@pytest.mark.parametrize(
    "question",
    [
        ask(("x" * MAX_QUESTION_CHARS, "y"), "A"),
        ask(CLOTH, "A", "Q" * MAX_QUESTION_CHARS),
        Question("1", "b", "", "1", "What?", (), "a", also=tuple(str(i) for i in range(MAX_QUESTION_CHARS))),
    ],
)
def test_a_question_of_any_size_is_left_before_it_is_read(question: Question, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cof_eval.judging.rules.cleaned", lambda text: pytest.fail("read"))
    assert score("A", question) == Ruling(None, "too_long")


@pytest.mark.parametrize(
    "piece",
    [
        "(",
        "[",
        "(A) ",
        "A. ",
        "option A ",
        "the answer is A. ",
        "A is ",
        "a or b ",
        "A, while B ",
        "is (A) wool ",
        '"',
        "答案是",
        "。",
    ],
)
def test_nested_and_repeated_pieces_are_ruled_on(piece: str) -> None:
    text = (piece * MAX_CHARS)[:MAX_CHARS]
    for options in ((), CLOTH, NEAR, YES_NO, SCARF):
        assert score(text, ask(options, "A", CAT)).rule
