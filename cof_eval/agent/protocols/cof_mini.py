"""cof-mini: the small model's own contract. A short prompt, boxes in 0-1000, and crops as Chain-of-Focus makes them.

Its checkpoints have a context of few words and one way to write a call; crops come from the native image, and with
`--protocol-args '{"crop_source": "shown"}'` from the shown one, as in the paper. Docs: docs/mini.md.
"""

from __future__ import annotations

from dataclasses import replace

from ..zoom import CropSource
from .cof import COF
from .protocol import BoxFrame

COF_MINI = replace(
    COF,
    name="cof_mini",
    system="You are a helpful assistant. Tools: image_zoom_in_tool, bbox_2d.",
    question="{question}",
    format="",
    closing="",
    frame=BoxFrame.MILLI,
    crop_source=CropSource.NATIVE,
    max_turns=4,
    max_images=4,
    max_new_tokens=128,
)
"""One to three zooms, greedy; `direct` is its baseline."""
