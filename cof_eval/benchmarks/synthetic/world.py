"""Scenes of the synthetic world: what stands where, drawn from a seed, and the picture of it at any size.

Everything is measured as a fraction of the picture's width, so that one scene can be painted at its native size for evaluation
and at a smaller one for training. The ground is tinted more and more red to the right and green to the bottom, a soft cue of
the position; clutter is grey light and shadow upon it, which leaves the tint as it is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random

import numpy as np
from PIL import Image, ImageDraw

from ...core.records import Corners, Size

NATIVE: Size = (1260, 980)
"""Size of a scene's native image, px: shown at 224, 448 and 672 it keeps its aspect exactly, at 1/5, 2/5 and 3/5 of its sides."""
ASPECT = NATIVE[1] / NATIVE[0]

Rgb = tuple[int, int, int]
COLOURS: dict[str, Rgb] = {
    "red": (225, 25, 35),
    "green": (20, 165, 60),
    "blue": (35, 60, 225),
    "yellow": (250, 225, 35),
    "purple": (190, 35, 195),
    "cyan": (40, 215, 225),
    "white": (252, 252, 250),
    "black": (8, 8, 12),
}
"""Colours of plates and dots; apart from each other and from the ground."""

SMALLEST, LARGEST = 8 / NATIVE[0], 96 / NATIVE[0]
"""Sides of plates: 8 to 96 px of the native image. Shown at 224 they are 1.6 to 19 px."""
DOT = 0.3
"""Side of a dot, as a fraction of its plate's: a plate is found long before its dot can be read."""
_MARGIN = 0.012
"""Least distance of two plates, and of a plate and the edge, as a fraction of the width."""
_CLUTTER = 60
_TINT = 90
"""How much the ground's red and green change from edge to edge, of 255."""


@dataclass(frozen=True, slots=True)
class Plate:
    """An object: a round or square plate in one colour, its dot in another."""

    colour: str
    dot: str
    x: float
    """Centre, as a fraction of the width; from the left."""
    y: float
    """Centre, as a fraction of the width; from the top."""
    side: float
    """As a fraction of the width."""
    round: bool

    def corners(self, width: float) -> Corners:
        """(x1, y1, x2, y2) in a picture of this width, px; unrounded."""
        half = self.side / 2
        return (
            (self.x - half) * width,
            (self.y - half) * width,
            (self.x + half) * width,
            (self.y + half) * width,
        )


@dataclass(frozen=True, slots=True)
class Scene:
    """What is in a picture."""

    plates: tuple[Plate, ...]
    clutter: int
    """Seeds the clutter."""


def draw_size(rng: Random, low: float = 0.0, high: float = 1.0) -> float:
    """A plate's side, spread evenly over the logarithm; `low` and `high` narrow the range (shares of it)."""
    return float(SMALLEST * (LARGEST / SMALLEST) ** rng.uniform(low, high))


def place(plates: list[Plate], rng: Random, *, colour: str, dot: str, side: float, spot: Corners | None = None) -> bool:
    """Add a plate where it touches no other; returns whether a place was found.

    Args:
        plates: so far; the new one is appended.
        rng: draws the place.
        colour: of the plate.
        dot: colour of its dot.
        side: as a fraction of the width.
        spot: where its centre may be, as shares of the width; None for anywhere.
    """
    edge = side / 2 + _MARGIN
    x1, y1, x2, y2 = spot or (0.0, 0.0, 1.0, ASPECT)
    x1, y1, x2, y2 = max(x1, edge), max(y1, edge), min(x2, 1 - edge), min(y2, ASPECT - edge)
    for _ in range(200):
        plate = Plate(colour, dot, rng.uniform(x1, max(x1, x2)), rng.uniform(y1, max(y1, y2)), side, rng.random() < 0.5)
        if all(_apart(plate, other) for other in plates):
            plates.append(plate)
            return True
    return False


def _apart(one: Plate, other: Plate) -> bool:
    reach = (one.side + other.side) / 2 + _MARGIN
    return abs(one.x - other.x) >= reach or abs(one.y - other.y) >= reach


def paint(scene: Scene, size: Size = NATIVE, window: tuple[int, int, int, int] | None = None) -> Image.Image:
    """The picture of a scene, or a window of it.

    Args:
        scene: what is in it.
        size: of the whole picture, px; of the aspect of `NATIVE`, or nearly so.
        window: (x1, y1, x2, y2), px of the whole picture; None for all of it.
    """
    window = window or (0, 0, *size)
    image = Image.fromarray(_ground(scene.clutter, size, window))
    draw = ImageDraw.Draw(image)
    for plate in scene.plates:
        x1, y1, x2, y2 = pixel_box(plate, size)
        box = (x1 - window[0], y1 - window[1], x2 - window[0], y2 - window[1])
        _blot(draw, box, plate.round, COLOURS[plate.colour])
        dot = max(1, round(DOT * (x2 - x1)))
        inset = (x2 - x1 - dot) // 2
        corner = (box[0] + inset, box[1] + inset)
        _blot(draw, (*corner, corner[0] + dot, corner[1] + dot), plate.round, COLOURS[plate.dot])
    return image


def pixel_box(plate: Plate, size: Size) -> tuple[int, int, int, int]:
    """The pixels a plate is painted on, as (x1, y1, x2, y2), the last column and row excluded."""
    side = max(1, round(plate.side * size[0]))
    left, top = round(plate.x * size[0] - side / 2), round(plate.y * size[0] - side / 2)
    return (left, top, left + side, top + side)


def _blot(draw: ImageDraw.ImageDraw, box: tuple[int, ...], is_round: bool, colour: Rgb) -> None:
    x1, y1, x2, y2 = box
    inclusive = (x1, y1, max(x1, x2 - 1), max(y1, y2 - 1))
    if is_round:
        draw.ellipse(inclusive, fill=colour)
    else:
        draw.rectangle(inclusive, fill=colour)


def _ground(seed: int, size: Size, window: tuple[int, int, int, int]) -> np.ndarray:
    """The tinted ground with its clutter within a window, as (height, width, 3) bytes."""
    width, height = size
    left, top, right, bottom = window
    grey = Image.new("L", (right - left, bottom - top), 110)
    draw, rng = ImageDraw.Draw(grey), Random(seed)
    for _ in range(_CLUTTER):
        tone, kind = 110 + rng.choice((-1, 1)) * rng.randint(4, 30), rng.randrange(3)
        x, y, reach, turn = (
            rng.random() * width - left,
            rng.random() * height - top,
            rng.uniform(0.01, 0.09) * width,
            rng.uniform(0, math.pi),
        )
        if kind == 0:
            draw.ellipse((x - reach, y - reach / 2, x + reach, y + reach / 2), fill=tone)
        elif kind == 1:
            points = [(x + reach * math.cos(turn + a), y + reach * math.sin(turn + a)) for a in (0, 2, 3.5, 5)]
            draw.polygon(points, fill=tone)
        else:
            end = (x + 3 * reach * math.cos(turn), y + 3 * reach * math.sin(turn))
            draw.line((x, y, *end), fill=tone, width=max(1, round(0.004 * width)))
    tint_x = (np.arange(left, right) / (width - 1) - 0.5)[None, :] * _TINT
    tint_y = (np.arange(top, bottom) / (height - 1) - 0.5)[:, None] * _TINT
    light = np.asarray(grey, dtype=np.float32)
    tinted = np.stack([light + tint_x, light + tint_y, light], axis=-1)
    return np.asarray(np.clip(tinted, 0, 255).round(), dtype=np.uint8)
