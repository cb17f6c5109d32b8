"""One trajectory as one HTML page that needs nothing else: images embedded, every text of the model escaped, no script."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from itertools import count
from pathlib import Path
from typing import Any

from PIL import Image

from ..core.images import preview
from ..core.records import Call, Trajectory
from ..runs.ask import AskResult, reply_pieces

_TEMPLATE = "trajectory.html"


def render_page(asked: AskResult, *, model: str, resolution: str) -> str:
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
        turns=_turns(trajectory, images),
        letter=max(trajectory.image.size) / 28,
        boxes=[call.crop.native_box for call in trajectory.calls if call.crop],
    )


def _turns(trajectory: Trajectory, images: Mapping[str, Image.Image]) -> list[dict[str, Any]]:
    crops = count(1)
    return [
        {"turn": turn, "said": list(reply_pieces(turn.text)), "calls": [_call(call, images, crops) for call in turn.calls]}
        for turn in trajectory.turns
    ]


def _call(call: Call, images: Mapping[str, Image.Image], crops: Iterator[int]) -> dict[str, Any]:
    image = images.get(call.crop.hash) if call.crop else None
    return {"call": call, "number": next(crops) if call.crop else None, "image": _data_url(image) if image else None}


def _data_url(image: Image.Image) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(preview(image)).decode()
