"""What is taught about a scene, from bare look-ups to the benchmark's questions; and what can be taught without an image."""

from __future__ import annotations

from random import Random

from cof_eval.agent.protocols import COF_MINI
from cof_eval.benchmarks.options import ANSWER_LETTER, choice_text
from cof_eval.benchmarks.synthetic import questions
from cof_eval.benchmarks.synthetic.world import ASPECT, COLOURS, Plate, Scene, draw_size, place

from . import wording
from .chat_tokens import Piece, exchange, opening
from .pixels import cell

Turn = tuple[str, str]
"""A question and what is answered."""


def scene_with_one_of_each(rng: Random, *, smallest: float = 0.0) -> Scene:
    """A scene whose plates have eight different colours.

    Args:
        rng: draws it.
        smallest: the fraction of the range of sizes that is excluded, from the smallest on.
    """
    plates: list[Plate] = []
    for colour in rng.sample(list(COLOURS), len(COLOURS)):
        dot = rng.choice([c for c in COLOURS if c != colour])
        place(plates, rng, colour=colour, dot=dot, side=draw_size(rng, low=smallest))
    return Scene(tuple(plates), rng.getrandbits(32))


LISTS = {"List the dots.": wording.dot_thought, "List across.": wording.across_thought, "List down.": wording.down_thought}
"""What is asked for, and what tells it of a plate."""


def look_up_turns(scene: Scene, image_tokens: int, rng: Random) -> list[Piece]:
    """A conversation that lists one thing about every plate: as many look-ups in as few words as can be."""
    question = rng.choice(list(LISTS))
    asked, _ = exchange(question, "", first=True)
    pieces = [Piece(opening(image_tokens) + asked.text)]
    for plate in rng.sample(scene.plates, len(scene.plates)):
        colour = f" {plate.colour}"
        _, answer = LISTS[question](plate).removesuffix(".").split(colour, 1)
        pieces += [Piece(colour), Piece(answer, taught=True)]
    return pieces


def short_turns(scene: Scene, count: int, rng: Random) -> list[Turn]:
    """Short questions about a scene's plates: the dot's colour, or the place."""
    made = []
    for _ in range(count):
        plate = rng.choice(scene.plates)
        if rng.random() < 0.6:
            made.append((f"What is the color of the dot on the {plate.colour} plate?", wording.dot_thought(plate)))
        else:
            made.append((f"Where is the {plate.colour} plate?", wording.place_thought(plate)))
    return made


def full_turn(scene: Scene, rng: Random) -> Turn:
    """A question as the benchmark asks it, and the right turn."""
    one, two = rng.sample(scene.plates, 2)
    question, thought, option = _asked(one, two, rng, comparable=abs(one.x - two.x) >= questions.LEAST_GAP)
    return question, wording.answer_turn(thought, option)


def _asked(one: Plate, two: Plate, rng: Random, *, comparable: bool) -> tuple[str, str, str]:
    """A question about one plate, or about both if they can be compared: as the benchmark asks it, with the thought and the right option."""
    if rng.random() < 0.6 or not comparable:
        right = rng.randrange(4)
        question, options = questions.about_colour(one, right, rng)
        thought = wording.dot_thought(one)
    else:
        right = rng.randrange(2)
        question, options = questions.about_sides(one, two, right)
        thought = wording.comparison_thought(one, two)
    return choice_text(question, options, ANSWER_LETTER), thought, options[right]


def _anywhere(rng: Random) -> tuple[Plate, Plate]:
    """Two plates of different colours, in no scene."""
    one, two = (
        Plate(colour, rng.choice([c for c in COLOURS if c != colour]), rng.random(), ASPECT * rng.random(), 0.05, True)
        for colour in rng.sample(list(COLOURS), 2)
    )
    return one, two


def answer_turn(rng: Random) -> tuple[str, str, str]:
    """A question with options, the thought that was had, and the answer: what can be learned without an image."""
    one, two = _anywhere(rng)
    question, thought, option = _asked(one, two, rng, comparable=cell(one)[0] != cell(two)[0])
    head, tail = wording.answer_turn(thought, option).split("<answer>")
    return question, f"{head}<answer>", tail


def answer_from_thought(rng: Random) -> list[Piece]:
    """The same as a conversation whose answer is taught."""
    question, thought, answer = answer_turn(rng)
    asked, _ = exchange(question, "", first=True)
    return [Piece(opening(0) + asked.text + thought), Piece(f"{answer}<|im_end|>", taught=True)]


def call_from_thought(rng: Random) -> list[Piece]:
    """A conversation under `cof_mini` whose thought says where a plate is, and whose call, which is taught, repeats it in its numbers."""
    plate, _ = _anywhere(rng)
    question, options = questions.about_colour(plate, rng.randrange(4), rng)
    asked, _ = exchange(choice_text(question, options, ANSWER_LETTER), "", first=True)
    thought, call = wording.zoom_turn(plate).split("<tool_call>")
    return [
        Piece(opening(0, COF_MINI.system) + asked.text + thought),
        Piece(f"<tool_call>{call}<|im_end|>", taught=True),
    ]


def conversation(turns: list[Turn], image_tokens: int) -> list[Piece]:
    """Questions and answers about one image, one after the other."""
    pieces = [Piece(opening(image_tokens))]
    for number, (question, answer) in enumerate(turns):
        pieces += exchange(question, answer, first=number == 0)
    return pieces
