"""Images as the vision encoder takes them, and what is in each visual token."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np
from PIL import Image

from cof_eval.benchmarks.synthetic.world import ASPECT, COLOURS, DOT, NATIVE, Plate, Scene, draw_size, paint, place

FACTOR, PATCH = 28, 14
COLUMNS, ROWS = 10, 10
"""Cells of the grid that places are rounded to: their first digit in 0-1000 tells the cell."""
NOTHING, UNREADABLE = len(COLOURS), len(COLOURS)
"""Classes after the colours': a token with no plate's centre; a dot too small to tell its colour."""
READABLE = 3.0
"""Least side of a dot whose colour is to be told, px of the picture as the encoder sees it: a crop enlarged twice tells what was half as large."""
_MEAN = np.array([0.48145466, 0.4578275, 0.40821073], dtype=np.float32)
_STD = np.array([0.26862954, 0.26130258, 0.27577711], dtype=np.float32)
"""Of Qwen2-VL's image processor."""
_NAMES = list(COLOURS)


@dataclass(frozen=True, slots=True)
class Labels:
    """What each visual token of an image shows; arrays over the tokens, row by row."""

    plate: np.ndarray
    """Colour of the plate whose centre the token holds, or `NOTHING`."""
    dot: np.ndarray
    """Colour of its dot, or `UNREADABLE`; -100 where there is no plate."""
    column: np.ndarray
    """Cell of the scene that holds the plate's centre, or the token's own."""
    row: np.ndarray


@dataclass(frozen=True, slots=True)
class PlateWindow:
    """A window of a scene, as an image of a conversation shows it."""

    width: int
    """Of the whole scene at the window's scale, px."""
    painted: int
    """Width at which the scene is painted before it is resized: more than `width` for a shown image, less for an enlarged crop."""
    left: int = 0
    top: int = 0
    size: tuple[int, int] = (252, 196)
    """Of the window, px; multiples of 28."""

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """The window as (x1, y1, x2, y2), in fractions of the scene's width."""
        return tuple(v / self.width for v in (self.left, self.top, self.left + self.size[0], self.top + self.size[1]))  # type: ignore[return-value]


def patches(images: Sequence[Image.Image]) -> tuple[Any, Any]:
    """Images of sides that are multiples of 28 as (pixel_values, grid_thw), as Qwen2-VL's image processor gives them."""
    import torch

    values, grids = [], []
    for image in images:
        pixels = (np.asarray(image, dtype=np.float32) / 255 - _MEAN) / _STD
        high, wide = pixels.shape[0] // PATCH, pixels.shape[1] // PATCH
        tiles = pixels.reshape(high // 2, 2, PATCH, wide // 2, 2, PATCH, 3).transpose(0, 3, 1, 4, 6, 2, 5)
        tiles = np.repeat(tiles[:, :, :, :, :, None], 2, axis=5)
        values.append(tiles.reshape(high * wide, -1))
        grids.append((1, high, wide))
    return torch.from_numpy(np.concatenate(values)), torch.tensor(grids)


def shown(scene: Scene, size: tuple[int, int], *, fine: int = 2) -> Image.Image:
    """A scene at a size that evaluation would show, painted `fine` times as large and resized as evaluation resizes."""
    return window(scene, PlateWindow(size[0], size[0] * fine, size=size))


def window(scene: Scene, view: PlateWindow) -> Image.Image:
    """What a view shows of a scene, resized from its painting as evaluation resizes."""
    scale = view.painted / view.width
    x1, y1 = round(view.left * scale), round(view.top * scale)
    x2, y2 = x1 + round(view.size[0] * scale), y1 + round(view.size[1] * scale)
    whole = (view.painted, round(view.painted * ASPECT))
    image = paint(scene, whole, (x1, y1, x2, y2))
    return image if image.size == view.size else image.resize(view.size, Image.Resampling.LANCZOS)


def label(scene: Scene, view: PlateWindow) -> Labels:
    """What the visual tokens of a view show."""
    columns, rows = view.size[0] // FACTOR, view.size[1] // FACTOR
    x1, y1, x2, y2 = view.bounds
    plate, dot = np.full(rows * columns, NOTHING), np.full(rows * columns, -100)
    y, x = np.mgrid[0:rows, 0:columns]
    across, down = (x1 + (x.ravel() + 0.5) * FACTOR / view.width), (y1 + (y.ravel() + 0.5) * FACTOR / view.width)
    least = READABLE / view.width / DOT
    for one in sorted(scene.plates, key=lambda p: p.side):
        if not (x1 <= one.x < x2 and y1 <= one.y < y2):
            continue
        token = int((one.y - y1) * view.width / FACTOR) * columns + int((one.x - x1) * view.width / FACTOR)
        plate[token] = _NAMES.index(one.colour)
        dot[token] = _NAMES.index(one.dot) if one.side >= least else UNREADABLE
        across[token], down[token] = one.x, one.y
    return Labels(plate, dot, *_cells(across, down))


def _cells(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return (
        np.clip((x * COLUMNS).astype(int), 0, COLUMNS - 1),
        np.clip((y / ASPECT * ROWS).astype(int), 0, ROWS - 1),
    )


def cell(plate: Plate) -> tuple[int, int]:
    """(column, row) of the cell that holds a plate's centre."""
    column, row = _cells(np.array([plate.x]), np.array([plate.y]))
    return int(column[0]), int(row[0])


SCALES = (
    (252, 504, 30),
    (252, 756, 30),
    (504, 1008, 20),
    (756, NATIVE[0], 14),
    (NATIVE[0], NATIVE[0], 8),
    (1512, 756, 6),
    (2 * NATIVE[0], NATIVE[0], 4),
)
"""(width, painted, plates within 252x196 px) of what evaluation shows: scenes at four resolutions, and crops of them enlarged twice."""


def draw_crowd(rng: Random) -> tuple[Scene, PlateWindow]:
    """A window of 252x196 px at any of the scales with as many plates in it as fit well, whose colours may repeat."""
    width, painted, count = rng.choice(SCALES)
    view = PlateWindow(width, painted, rng.randint(0, width - 252), rng.randint(0, round(width * ASPECT) - 196))
    plates: list[Plate] = []
    for _ in range(count):
        colour, dot = rng.sample(_NAMES, 2)
        place(plates, rng, colour=colour, dot=dot, side=draw_size(rng), spot=view.bounds)
    return Scene(tuple(plates), rng.getrandbits(32)), view
