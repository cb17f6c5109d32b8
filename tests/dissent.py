"""Sentences that, added to an answer, speak for another option, deny the one chosen, or take the answer back."""

from __future__ import annotations

OTHER = [
    "It could also be {letter}.", "({letter})", "{letter}.", "Option {letter} is right.", "The answer is {letter}.", "Final answer: {letter}",
    "It is {text}.", "{text}", "{text} is possible too.", "Perhaps {text}.", "Or {letter}.", "No, {letter}.", "Actually, {letter}.",
    "{letter}) {text}", "It is not {own}.", "Not {own_letter}.", "{own_letter} is wrong.", "{own_letter}?",
]  # fmt: skip
TAKEN_BACK = [
    "That is not certain.", "I am not sure.", "This is wrong.", "It cannot be determined.", "On second thought, something else.", "Wait.",
    "However, I may be mistaken.", "Maybe the other one.", "Or perhaps another one.", "Neither.", "All of them.", "It depends.",
    "I take that back.", "The last option fits too.", "The opposite is true.", "Alternatively, none.", "I'm not convinced.", "Scratch that.",
    "The first choice or the second option.", "Sorry, I do not know.", "Is it?", "That isn't so.",
]  # fmt: skip
