"""What the model is taught to say: where it looks and what it sees, then the answer.

What is looked up (the dot, the place) follows directly on the plate's colour: one step of attention finds it, where words between them
would make it two, which takes much longer to learn. Places are thousandths of the image's width and height, rounded to a grid, so that few numbers have to be learned.
"""

from __future__ import annotations

from cof_eval.mini import questions
from cof_eval.mini.world import ASPECT, Plate

COLUMNS, ROWS = 16, 12
"""Cells of the grid that places are rounded to; about 80 px of the native image each."""


def cell(plate: Plate) -> tuple[int, int]:
    """(column, row) of the cell that holds a plate's centre."""
    return min(COLUMNS - 1, int(plate.x * COLUMNS)), min(ROWS - 1, int(plate.y / ASPECT * ROWS))


def across(column: int) -> int:
    """The middle of a column, in thousandths of the width."""
    return round((column + 0.5) * 1000 / COLUMNS)


def down(row: int) -> int:
    """The middle of a row, in thousandths of the height."""
    return round((row + 0.5) * 1000 / ROWS)


def seen(plate: Plate) -> str:
    """What is thought where a dot's colour can be seen."""
    return f"Plate and dot: {plate.colour} {plate.dot}."


def located(plate: Plate) -> str:
    """What is thought of where a plate is."""
    column, row = cell(plate)
    return f"Plate at: {plate.colour} {across(column):03} {down(row):03}."


def turn(thought: str, option: str) -> str:
    """A turn that answers with an option's text, which scoring takes as it takes the letter."""
    return f"<think>{thought}</think> <answer> {option}</answer>"


def saying(asked: questions.Asked) -> str:
    """A right turn that answers without a zoom."""
    if asked.category == questions.DIRECT:
        return turn(seen(asked.targets[0]), asked.options[asked.right])
    return turn(" ".join(located(target) for target in asked.targets), asked.options[asked.right])
