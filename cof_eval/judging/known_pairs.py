"""Pairs whose labels are known, one right and one wrong, asked before a run relies on a judge."""

from __future__ import annotations

import io

from ..core.errors import JudgeError
from ..core.records import Outcome, Question
from .judge import Judge

_QUESTION = Question(
    id="known",
    benchmark="calibration",
    category="known pair",
    cluster="known",
    text="What is the colour of the door?\n(A) red\n(B) green\n(C) white",
    options=("red", "green", "white"),
    answer="A",
)
_ANSWERS = {
    Outcome.CORRECT: "I would say that the door has been painted red.",
    Outcome.WRONG: "I would say that the door has been painted green.",
}
"""What the pairs are worth, and their answers. No rule reads them."""


async def check_known_pairs(judge: Judge) -> str:
    """What is wrong with what a served judge says of a right and a wrong answer; empty if nothing is."""
    problems = [await _check(judge, label, answer) for label, answer in _ANSWERS.items()]
    return "; ".join(dict.fromkeys(filter(None, problems)))


async def _check(judge: Judge, label: Outcome, answer: str) -> str:
    if judge.client is None:
        return "no judge is served"
    image = _red_door() if judge.card.sees_image else None
    try:
        said, *_ = await judge.client.ask(judge.card.render(_QUESTION, answer), judge.card, image)
    except JudgeError as error:
        return str(error)
    found = judge.label_of(said)
    if found is None:
        return f"it replied {said[:60]!r}; expected one of {', '.join(judge.card.labels)}"
    if judge.card.labels[found] is not label:
        worth = "right" if label is Outcome.CORRECT else "wrong"
        return f"it replied {found!r} to a {worth} answer; see `cof-eval judge --calibrate {judge.card.name}`"
    return ""


def _red_door() -> bytes:
    from PIL import Image

    image = Image.new("RGB", (112, 112), "white")
    image.paste((200, 20, 20), (36, 20, 76, 112))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()
