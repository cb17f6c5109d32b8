"""Answers that are points: inside the annotated box or not. No judge is ever asked."""

from __future__ import annotations

from ...core.points import read_point
from ...core.records import Outcome, Question
from .ruling import Ruling

NO_POINT = "no_point"
"""The rule of an answer in which no point could be read, or several: wrong, and counted apart."""


def score_point(answer: str, question: Question) -> Ruling:
    """Rule on a recorded answer, in px of the native image; the edges of a box belong to it, as in ScreenSpot's evaluation."""
    point = read_point(answer)
    if point is None:
        return Ruling(Outcome.WRONG, NO_POINT)
    x, y = point
    inside = any(x1 <= x <= x2 and y1 <= y <= y2 for x1, y1, x2, y2 in question.boxes)
    return Ruling(Outcome.CORRECT, "point_inside", answer) if inside else Ruling(Outcome.WRONG, "point_outside", answer)
