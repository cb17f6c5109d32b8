"""One pair whose label is known, asked before a run relies on a judge."""

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
_ANSWER = "I would say that the door has been painted red."


async def check_known_pair(judge: Judge) -> str:
    """What is wrong with what a served judge says of a right answer that no rule reads; empty if nothing is."""
    if judge.client is None:
        return "no judge is served"
    image = _red_door() if judge.card.sees_image else None
    try:
        said = await judge.client.ask(judge.card.render(_QUESTION, _ANSWER), judge.card, image)
    except JudgeError as error:
        return str(error)
    label = judge.label_of(said)
    if label is None:
        return f"it replied {said[:60]!r}; expected one of {', '.join(judge.card.labels)}"
    if judge.card.labels[label] is not Outcome.CORRECT:
        return f"it replied {label!r} to a right answer; see `cof-eval judge --calibrate {judge.card.name}`"
    return ""


def _red_door() -> bytes:
    from PIL import Image

    image = Image.new("RGB", (112, 112), "white")
    image.paste((200, 20, 20), (36, 20, 76, 112))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()
