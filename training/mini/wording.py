"""What the model is taught to say: where it looks and what it sees, then a call or the answer.

What is looked up (the dot, the place across, the place down) follows directly on the plate's colour: one step of attention finds it, where
words or even a blank between them would make it two, which takes much longer to learn. Places are 0-1000 of the image's width and height, rounded to the middle of a cell,
and the numbers of a call repeat their digits.
"""

from __future__ import annotations

from cof_eval.agent.protocols import COF_MINI
from cof_eval.benchmarks.synthetic import questions
from cof_eval.benchmarks.synthetic.world import Plate

from .pixels import COLUMNS, READABLE, cell

CELL = 1000 // COLUMNS
"""Side of a cell, 0-1000."""
TOO_SMALL = "tiny"
"""Said of a dot whose colour cannot be told."""
REACH = 49
"""Half the side of a call's box, 0-1000: widened by the protocol, it holds its cell and a quarter of its neighbours."""


def middle(index: int) -> int:
    """The middle of a column or row, in 0-1000."""
    return index * CELL + CELL // 2


def dot_thought(plate: Plate) -> str:
    """What is thought where a dot's colour can be seen."""
    return f"Plate and dot: {plate.colour} {plate.dot}."


def visible_dot_thought(plate: Plate, pixels: float) -> str:
    """What is thought of a dot that is shown with a side of so many pixels."""
    return dot_thought(plate) if pixels >= READABLE else f"Plate and dot: {plate.colour} {TOO_SMALL}."


def across_thought(plate: Plate) -> str:
    """What is thought of how far from the left a plate is."""
    return f"Across: {plate.colour}{middle(cell(plate)[0]):03}."


def down_thought(plate: Plate) -> str:
    """What is thought of how far from the top a plate is."""
    return f"Down: {plate.colour}{middle(cell(plate)[1]):03}."


def place_thought(plate: Plate) -> str:
    """What is thought of where a plate is."""
    return f"{across_thought(plate)} {down_thought(plate)}"


def comparison_thought(one: Plate, two: Plate) -> str:
    """What is thought of which plate is on the left of the other."""
    return f"{across_thought(one)} {across_thought(two)}"


def answer_turn(thought: str, option: str) -> str:
    """A turn that answers with an option's text, which scoring takes as it takes the letter."""
    return f"<think>{thought}</think> <answer> {option}</answer>"


def zoom_turn(plate: Plate, thought: str = "") -> str:
    """A turn that zooms to the cell where a plate is, after a thought if there is one."""
    column, row = (middle(index) for index in cell(plate))
    call = COF_MINI.call_text((column - REACH, row - REACH, column + REACH, row + REACH))
    return f"<think>{f'{thought} ' if thought else ''}{place_thought(plate)}</think> {call}"


def direct_turn(asked: questions.SceneQuestion) -> str:
    """A right turn that answers without a zoom."""
    if asked.category == questions.DIRECT:
        return answer_turn(dot_thought(asked.targets[0]), asked.options[asked.right])
    return answer_turn(comparison_thought(*asked.targets), asked.options[asked.right])
