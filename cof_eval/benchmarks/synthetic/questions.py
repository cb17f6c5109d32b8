"""Questions about scenes, as in V*: the colour of a small detail (four options), the relative position of two objects (two).

Letter, colours, size and place of a target are drawn independently of each other and, over any `count` questions, spread evenly, so
that none of them tells another. The right option is not told by its letter or text, nor by where or how large the target is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from random import Random
from typing import TypeVar

from ...core.records import Corners
from .world import ASPECT, COLOURS, Plate, Scene, draw_size, place

DIRECT, RELATIVE = "direct_attributes", "relative_position"
SIDES = ("left", "right")
_DIRECT_SHARE = 0.6
"""Of the questions, as in V* (115 of 191)."""
_OTHERS = 5
"""Plates that a scene holds besides its targets, where there is room."""
LEAST_GAP = 0.15
"""Least horizontal distance of two targets that are compared, as a fraction of the width."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class SceneQuestion:
    """One question with its scene."""

    category: str
    question: str
    options: tuple[str, ...]
    right: int
    """Index of the right option."""
    scene: Scene
    targets: tuple[Plate, ...]
    """The plates that are asked about, in the question's order."""


def make_questions(count: int, *, seed: int | str) -> list[SceneQuestion]:
    """`count` questions with a fresh scene each; equal arguments give equal questions.

    Seeds share nothing: those of other names give other scenes.
    """
    direct = round(count * _DIRECT_SHARE)
    rng = Random(f"vstar_mini/{seed}")
    sizes = {DIRECT: _strata(direct, rng), RELATIVE: _strata(count - direct, rng)}
    answers = {
        DIRECT: _even(list(product(range(4), COLOURS)), direct, rng),
        RELATIVE: _even(list(product(range(2), SIDES)), count - direct, rng),
    }
    order = [DIRECT] * direct + [RELATIVE] * (count - direct)
    rng.shuffle(order)
    return [_asked(category, sizes[category].pop(), *answers[category].pop(), rng) for category in order]


def _asked(category: str, size: tuple[float, float], right: int, fact: str, rng: Random) -> SceneQuestion:
    """One question; a scene in which its targets find no place is drawn again."""
    while True:
        made = _colour(size, right, fact, rng) if category == DIRECT else _position(size, right, fact, rng)
        if made is not None:
            return made


def about_colour(plate: Plate, right: int, rng: Random) -> tuple[str, tuple[str, ...]]:
    """A question about the dot of a plate, and its options; `right` is the index of the right one."""
    options = rng.sample([c for c in COLOURS if c not in (plate.dot, plate.colour)], 3)
    options.insert(right, plate.dot)
    return f"What is the color of the dot on the {plate.colour} plate?", tuple(options)


def about_sides(first: Plate, second: Plate, right: int) -> tuple[str, tuple[str, ...]]:
    """A question about which of two plates is on the left, and its options; `right` is the index of the right one."""
    side = SIDES[first.x > second.x]
    options = [s for s in SIDES if s != side]
    options.insert(right, side)
    return f"Is the {first.colour} plate on the left or right side of the {second.colour} plate?", tuple(options)


def _colour(size: tuple[float, float], right: int, dot: str, rng: Random) -> SceneQuestion | None:
    colour = rng.choice([c for c in COLOURS if c != dot])
    plates: list[Plate] = []
    if not place(plates, rng, colour=colour, dot=dot, side=draw_size(rng, *size)):
        return None
    return _with_others(DIRECT, *about_colour(plates[0], right, rng), right, plates, rng)


def _position(size: tuple[float, float], right: int, side: str, rng: Random) -> SceneQuestion | None:
    divide = rng.uniform(0.3, 0.7)
    spots: list[Corners] = [(0, 0, divide - LEAST_GAP / 2, ASPECT), (divide + LEAST_GAP / 2, 0, 1, ASPECT)]
    if side == "right":
        spots.reverse()
    plates: list[Plate] = []
    for colour, spot in zip(rng.sample(list(COLOURS), 2), spots, strict=True):
        dot = rng.choice([c for c in COLOURS if c != colour])
        if not place(plates, rng, colour=colour, dot=dot, side=draw_size(rng, *size), spot=spot):
            return None
    return _with_others(RELATIVE, *about_sides(plates[0], plates[1], right), right, plates, rng)


def _with_others(
    category: str, question: str, options: tuple[str, ...], right: int, plates: list[Plate], rng: Random
) -> SceneQuestion:
    targets = tuple(plates)
    free = [c for c in COLOURS if c not in {t.colour for t in targets}]
    for colour in rng.sample(free, min(_OTHERS, len(free))):
        place(plates, rng, colour=colour, dot=rng.choice([c for c in COLOURS if c != colour]), side=draw_size(rng))
    rng.shuffle(plates)
    return SceneQuestion(category, question, options, right, Scene(tuple(plates), rng.getrandbits(32)), targets)


def _strata(count: int, rng: Random) -> list[tuple[float, float]]:
    """As many narrow ranges of size as questions, in random order: every set of questions spans all sizes evenly."""
    ranges = [(i / count, (i + 1) / count) for i in range(count)]
    rng.shuffle(ranges)
    return ranges


def _even(values: Sequence[T], count: int, rng: Random) -> list[T]:
    """`count` values, each as often as any other, give or take one, in random order."""
    known = rng.sample(values, len(values))
    spread = [known[i % len(known)] for i in range(count)]
    rng.shuffle(spread)
    return spread
