"""Generated scenes in the layout of V*: cluttered rooms with one or two small objects to ask about.

Everything follows from the seed. Natives come in several sizes, so that a large resolution shows some of them at the same
size as the one below it and others larger.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from random import Random

from PIL import Image, ImageDraw, ImageOps

from ...core.errors import UsageError
from ...core.letters import LETTERS
from ...core.records import Size
from ..options import ANSWER_LETTER, choice_text

Rgb = tuple[int, int, int]
Area = tuple[int, int, int, int]
"""(x, y, width, height) in px, as V* writes boxes."""

SIZES: tuple[Size, ...] = ((640, 480), (1280, 960), (2400, 1600), (1024, 768), (800, 600), (1600, 1200), (480, 640))
COLOURS: dict[str, Rgb] = {
    "red": (205, 40, 45),
    "green": (40, 140, 60),
    "blue": (40, 85, 200),
    "yellow": (245, 210, 50),
    "orange": (240, 130, 30),
    "purple": (125, 60, 160),
    "pink": (245, 150, 185),
    "white": (248, 248, 245),
    "black": (35, 35, 40),
}
_HOLE, _WOOD = -1.0, -2.0
_Part = tuple[str, tuple[float, ...], float]
KINDS: dict[str, tuple[_Part, ...]] = {
    "mug": (("ellipse", (50, 25, 96, 75), 0.8), ("ellipse", (60, 37, 86, 63), _HOLE), ("rectangle", (8, 12, 70, 90), 1)),
    "ball": (("ellipse", (6, 6, 94, 94), 1), ("ellipse", (24, 18, 46, 40), 1.4)),
    "flag": (("rectangle", (10, 2, 18, 98), _WOOD), ("polygon", (18, 6, 94, 20, 80, 34, 94, 52, 18, 56), 1)),
    "umbrella": (
        ("ellipse", (4, 6, 96, 98), 1),
        ("rectangle", (0, 52, 100, 100), _HOLE),
        ("rectangle", (47, 2, 53, 94), _WOOD),
    ),
    "kite": (
        ("polygon", (50, 2, 88, 38, 50, 80, 12, 38), 1),
        ("polygon", (50, 2, 88, 38, 50, 38), 0.75),
        ("rectangle", (47, 80, 53, 98), _WOOD),
    ),
    "bottle": (("rectangle", (40, 2, 60, 34), 0.8), ("ellipse", (24, 24, 76, 60), 1), ("rectangle", (24, 42, 76, 97), 1)),
    "hat": (("ellipse", (24, 14, 76, 86), 1), ("ellipse", (2, 56, 98, 86), 0.85)),
    "boat": (
        ("rectangle", (47, 4, 53, 70), _WOOD),
        ("polygon", (55, 8, 90, 56, 55, 56), 1.3),
        ("polygon", (4, 64, 96, 64, 78, 94, 20, 94), 1),
    ),
    "lamp": (
        ("polygon", (28, 6, 72, 6, 92, 52, 8, 52), 1),
        ("rectangle", (46, 52, 54, 88), _WOOD),
        ("rectangle", (26, 88, 74, 97), _WOOD),
    ),
    "bucket": (
        ("ellipse", (14, 2, 86, 74), 0.7),
        ("ellipse", (24, 12, 76, 64), _HOLE),
        ("polygon", (8, 36, 92, 36, 78, 96, 22, 96), 1),
    ),
}
"""Objects as primitives on a 100x100 grid, each with its shade of the object's colour."""


@dataclass(frozen=True, slots=True)
class _QuestionTemplate:
    """What is asked about a scene."""

    category: str
    question: str
    options: tuple[str, ...]
    """The right one first."""
    kinds: tuple[str, ...]
    colours: tuple[str, ...]
    lefts: tuple[float, ...]
    """Where each object stands, as a fraction of the width."""


def write_scenes(folder: Path, *, count: int, seed: int) -> Path:
    """Writes `count` questions with an image each into `folder`, in the layout of V*.

    They ask in turn about a colour and about a relative position; right answers are spread evenly over the letters.

    Returns:
        The folder.

    Raises:
        UsageError: if `count` is less than 1.
    """
    if count < 1:
        raise UsageError(f"a demo of {count} scenes cannot be written; expected --count of at least 1")
    for category in ("direct_attributes", "relative_position"):
        (folder / category).mkdir(parents=True, exist_ok=True)
    rows = [_write_scene(folder, index, Random(f"{seed}/{index}")) for index in range(count)]
    (folder / "test_questions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return folder


def _write_scene(folder: Path, index: int, rng: Random) -> dict[str, object]:
    """Writes one scene and its annotation; returns its row of the questions' file."""
    ask = _ask_position(rng) if index % 2 else _ask_colour(rng)
    image, boxes = _painted(SIZES[index % len(SIZES)], ask, rng)
    name = f"{ask.category}/scene_{index:04}.{'png' if image.width <= 800 else 'jpg'}"
    image.save(folder / name, quality=90)
    annotation = {"target_object": ask.kinds, "bbox": boxes, "question": ask.question, "options": ask.options}
    (folder / name).with_suffix(".json").write_text(json.dumps(annotation), encoding="utf-8")
    shown, right = list(ask.options[1:]), index // 2 % len(ask.options)
    shown.insert(right, ask.options[0])
    text = choice_text(ask.question, shown, ANSWER_LETTER)
    return {"image": name, "text": text, "label": LETTERS[right], "category": ask.category, "question_id": index}


def _ask_colour(rng: Random) -> _QuestionTemplate:
    kind, colours = rng.choice(list(KINDS)), rng.sample(list(COLOURS), 4)
    where = rng.uniform(0.05, 0.9)
    return _QuestionTemplate(
        "direct_attributes", f"What is the color of the {kind}?", tuple(colours), (kind,), (colours[0],), (where,)
    )


def _ask_position(rng: Random) -> _QuestionTemplate:
    first, second = rng.sample(list(KINDS), 2)
    lefts = [rng.uniform(0.05, 0.4), rng.uniform(0.55, 0.9)]
    sides = ["left", "right"]
    if rng.random() < 0.5:
        lefts.reverse()
        sides.reverse()
    options = tuple(f"The {first} is on the {side} side of the {second}." for side in sides)
    question = f"Is the {first} on the left or right side of the {second}?"
    return _QuestionTemplate(
        "relative_position", question, options, (first, second), tuple(rng.sample(list(COLOURS), 2)), tuple(lefts)
    )


def _painted(size: Size, ask: _QuestionTemplate, rng: Random) -> tuple[Image.Image, list[Area]]:
    """The scene, and the exact boxes of the objects asked about."""
    image = _room(size, rng)
    width, height = size
    side = round(max(size) * rng.uniform(0.03, 0.045))
    spots = [(round(left * width), round(rng.uniform(0.2, 0.9) * height)) for left in ask.lefts]
    others = [kind for kind in KINDS if kind not in ask.kinds]
    for _ in range(45):
        x, y = round(rng.uniform(0, 0.95) * width), round(rng.uniform(0.05, 0.93) * height)
        extent = round(side * rng.uniform(0.7, 1.6))
        if all(abs(x - sx) > 1.7 * side or abs(y - sy) > 1.7 * side for sx, sy in spots):
            _place(image, rng.choice(others), rng.choice(list(COLOURS.values())), (x, y), extent)
    boxes = [
        _place(image, kind, COLOURS[colour], spot, side)
        for kind, colour, spot in zip(ask.kinds, ask.colours, spots, strict=True)
    ]
    return image, boxes


def _room(size: Size, rng: Random) -> Image.Image:
    """A wall and a floor in muted tones, with furniture."""
    width, height = size
    light, dark = _muted(rng, 205), _muted(rng, 150)
    image = ImageOps.colorize(Image.linear_gradient("L").resize(size), black=light, white=dark)
    draw = ImageDraw.Draw(image)
    floor = round(height * rng.uniform(0.6, 0.75))
    draw.rectangle((0, floor, width, height), fill=_muted(rng, 120))
    for plank in range(-width, 2 * width, width // 9):
        ends = (plank, height, (plank + width) // 2, floor)
        draw.line(ends, fill=_muted(rng, 105), width=max(1, width // 500))
    for _ in range(16):
        w, h = rng.uniform(0.06, 0.22) * width, rng.uniform(0.08, 0.32) * height
        x, y = rng.uniform(-0.03, 0.95) * width, rng.uniform(0.02, 0.8) * height
        _furnish(draw, (x, y, x + w, y + h), rng)
    return image


def _furnish(draw: ImageDraw.ImageDraw, box: tuple[float, float, float, float], rng: Random) -> None:
    """A cabinet, a picture or a shelf: a block with an edge and two rows of panels."""
    x1, y1, x2, y2 = box
    tone, columns, gap = rng.randint(90, 190), rng.randint(1, 4), (x2 - x1) / 20
    draw.rounded_rectangle(box, gap, fill=_muted(rng, tone), outline=_muted(rng, tone - 45), width=max(1, int(gap / 2)))
    wide, high = (x2 - x1 - gap) / columns, (y2 - y1 - gap) / 2
    for column in range(columns):
        for row in range(2):
            left, top = x1 + gap + column * wide, y1 + gap + row * high
            panel = (left, top, left + wide - gap, top + high - gap)
            draw.rectangle(panel, fill=_muted(rng, tone + rng.randint(-25, 25)))


def _place(image: Image.Image, kind: str, colour: Rgb, corner: tuple[int, int], side: int) -> Area:
    """Draws an object of at most `side` px within the image; returns the exact box of the pixels it touched."""
    scale = 4 * side / 100
    tile = Image.new("RGBA", (4 * side, 4 * side))
    draw = ImageDraw.Draw(tile)
    edge = _shaded(colour, 0.55)
    for primitive, coordinates, shade in KINDS[kind]:
        points = [c * scale for c in coordinates]
        fill = (0, 0, 0, 0) if shade == _HOLE else (110, 75, 45, 255) if shade == _WOOD else (*_shaded(colour, shade), 255)
        getattr(draw, primitive)(points, fill=fill, outline=None if shade == _HOLE else edge, width=max(1, round(scale * 2)))
    object_ = tile.reduce(4)
    left, top, right, bottom = object_.getchannel("A").getbbox() or (0, 0, side, side)
    x, y = min(corner[0], image.width - side), min(corner[1], image.height - side)
    image.paste(object_, (x, y), object_)
    return (x + left, y + top, right - left, bottom - top)


def _shaded(colour: Rgb, shade: float) -> Rgb:
    red, green, blue = (min(255, round(c * shade)) for c in colour)
    return (red, green, blue)


def _muted(rng: Random, tone: int) -> Rgb:
    """A greyish colour around a tone of 0-255."""
    red, green, blue = (max(0, min(255, tone + rng.randint(-14, 14))) for _ in range(3))
    return (red, green, blue)
