"""Images as the vision encoder takes them, and what is in each visual token."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np
from PIL import Image

from cof_eval.mini.world import ASPECT, COLOURS, Plate, Scene, paint, place

FACTOR, PATCH = 28, 14
NOTHING, UNREADABLE = len(COLOURS), len(COLOURS)
"""Classes after the colours': a token with no plate's centre; a dot too small to tell its colour."""
READABLE = 7.0
"""Least side of a plate whose dot's colour is to be told, px of the image the model sees."""
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
    place: np.ndarray
    """(tokens, 2): the plate's centre, or the token's own, as shares of width and height."""


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
    width = size[0] * fine
    return paint(scene, (width, round(width * ASPECT))).resize(size, Image.Resampling.LANCZOS)


def label(scene: Scene, size: tuple[int, int]) -> Labels:
    """What the visual tokens of a scene show at this size."""
    columns, rows = size[0] // FACTOR, size[1] // FACTOR
    plate = np.full(rows * columns, NOTHING)
    dot = np.full(rows * columns, -100)
    y, x = np.mgrid[0:rows, 0:columns]
    where = np.stack([(x + 0.5) / columns, (y + 0.5) / rows], axis=-1).reshape(-1, 2).astype(np.float32)
    for one in sorted(scene.plates, key=lambda p: p.side):
        column, row = min(columns - 1, int(one.x * columns)), min(rows - 1, int(one.y / ASPECT * rows))
        token = row * columns + column
        plate[token] = _NAMES.index(one.colour)
        dot[token] = _NAMES.index(one.dot) if one.side * size[0] >= READABLE else UNREADABLE
        where[token] = one.x, one.y / ASPECT
    return Labels(plate, dot, where)


def crowded(rng: Random, size: tuple[int, int], count: int, *, sides: tuple[float, float] = (2, 60)) -> Scene:
    """A scene with many plates of all sizes (px at `size`), whose colours may repeat: much to learn from a small image."""
    plates: list[Plate] = []
    for _ in range(count):
        colour, dot = rng.sample(_NAMES, 2)
        side = sides[0] * (sides[1] / sides[0]) ** rng.random() / size[0]
        place(plates, rng, colour=colour, dot=dot, side=side)
    return Scene(tuple(plates), rng.getrandbits(32))
