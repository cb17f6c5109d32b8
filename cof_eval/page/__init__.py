"""One trajectory as one HTML page that needs nothing else: images embedded, every text of the model escaped, no script."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from ..ask import Asked, pieces
from ..images import preview
from ..records import Call, Turn

_TEMPLATE = "trajectory.html"


def render_page(asked: Asked, *, model: str, resolution: str) -> str:
    """The page of a question that was asked.

    Args:
        asked: the trajectory and its images.
        model: what the checkpoint is called.
        resolution: at which the image was shown.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    trajectory, images = asked.trajectory, asked.images
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(_TEMPLATE).render(
        trajectory=trajectory,
        model=model,
        resolution=resolution,
        shown=_data_url(images[trajectory.shown.hash]),
        turns=[_turn(turn, images) for turn in trajectory.turns],
        boxes=[call.crop.native_box for call in trajectory.calls if call.crop],
    )


def _turn(turn: Turn, images: Mapping[str, Image.Image]) -> dict[str, Any]:
    return {"turn": turn, "said": list(pieces(turn.text)), "calls": [_call(call, images) for call in turn.calls]}


def _call(call: Call, images: Mapping[str, Image.Image]) -> dict[str, Any]:
    image = images.get(call.crop.hash) if call.crop else None
    return {"call": call, "image": _data_url(image) if image else None}


def _data_url(image: Image.Image) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(preview(image)).decode()
