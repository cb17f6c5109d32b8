"""What the rules cost: mean and slowest reply, of replies like those that models give."""

from __future__ import annotations

import gc
import time

from bench.figures import Figure, below
from cof_eval.core.records import Question
from cof_eval.judging.rules import score

_OPTIONS = ("rubber", "cotton", "kevlar", "leather")
_ASKED = "What is the material of the glove?\n(A) rubber\n(B) cotton\n(C) kevlar\n(D) leather"
_REASON = (
    "The glove is seen at the left edge of the image, near the bucket. Its fibres are thick and curled, and the seam is white. "
)
_REPLIES = (
    "B",
    "(B) cotton",
    "The answer is B.</s>",
    "['B']",
    "Cotton",
    f"B. cotton\n\n{_REASON * 4}",
    f"{_REASON * 8}\nFinal answer: B",
    f"{_REASON * 14}Therefore, the answer is (B) cotton.",
    f"{_REASON * 6}It may be cotton or leather, so it cannot be told.",
)
_HOSTILE = ("\n".join(f"{i}. **Fibre {i}**: {_REASON}" for i in range(12)), "(" * 1900, "The answer is A. " * 110, "a-" * 950)
_YES_NO = (
    "Is there a glove in the image?",
    ("No, there is no glove in the image. It shows a bus.", "Yes, there is a glove, near the bucket. " + _REASON * 10, "yes"),
)
_REPEATS = 40


def rules() -> list[Figure]:
    """Milliseconds of an ordinary reply in the mean, and of the slowest of all, in CPU time; each is the fastest of its repeats."""
    chosen = Question("1", "b", "", "1", _ASKED, _OPTIONS, "B")
    open_ended = Question("1", "b", "", "1", _YES_NO[0], (), "yes")
    ordinary = [(reply, chosen) for reply in _REPLIES] + [(reply, open_ended) for reply in _YES_NO[1]]
    hostile = [(reply, chosen) for reply in _HOSTILE]
    gc.disable()  # a collection of this process's garbage is none of the rules' work
    try:
        usual, worst = ([_fastest_ms(*pair) for pair in pairs] for pairs in (ordinary, hostile))
    finally:
        gc.enable()
    longest = max(len(reply) for reply, _ in ordinary + hostile)
    return [
        below("rules: a reply, mean", sum(usual) / len(usual), 1, "ms CPU", f"{len(usual)} kinds of replies"),
        below(
            "rules: a reply, slowest",
            max(usual + worst),
            20,
            "ms CPU",
            f"with {len(worst)} hostile ones, up to {longest:,} characters",
        ),
    ]


def _fastest_ms(reply: str, question: Question) -> float:
    """CPU time of one ruling, the fastest of its repeats: the others waited for the machine."""
    return min(_cpu_ms(reply, question, turn) for turn in range(_REPEATS))


def _cpu_ms(reply: str, question: Question, turn: int) -> float:
    """CPU time of one ruling; each turn's reply differs, so that nothing is remembered."""
    said = f"{reply}{' ' * turn}"
    started = time.process_time()
    score(said, question)
    return 1000 * (time.process_time() - started)
