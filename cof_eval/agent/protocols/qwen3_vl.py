"""Qwen3-VL: 0-1000 over the shown image or of an earlier crop, the checkpoint's own tool template.

Source: github.com/QwenLM/Qwen3-VL, cookbooks/think_with_images.ipynb, and its tool: github.com/QwenLM/Qwen-Agent (Apache-2.0),
qwen_agent/tools/image_zoom_in_qwen3vl.py (crops of the native image or of an earlier crop, boxes grown to 32 pixels, crops of at
least 256·32² pixels), at most 20 generations (qwen_agent/settings.py). The answer is the text of the turn without a call.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ...core.resolution import Filter, Fit, FitBy
from ..reply import AnswerSyntax, CallPlace, Dialect
from ..view import ImageNaming
from ..zoom import CropOfCrop, CropSize, CropSource, Edges, Outside, SmallBox
from .hermes import tool_system
from .protocol import BoxFrame, Precedence, Protocol

TOOL: dict[str, Any] = {
    "name": "image_zoom_in_tool",
    "description": "Zoom in on a specific region of an image by cropping it based on a bounding box (bbox) and an "
    "optional object label",
    "parameters": {
        "type": "object",
        "properties": {
            "bbox_2d": {
                "type": "array",
                "items": {"type": "number"},
                "minItems": 4,
                "maxItems": 4,
                "description": "The bounding box of the region to zoom in, as [x1, y1, x2, "
                "y2], where (x1, y1) is the top-left corner and (x2, y2) is "
                "the bottom-right corner",
            },
            "label": {"type": "string", "description": "The name or label of the object in the specified bounding box"},
            "img_idx": {"type": "number", "description": "The index of the zoomed-in image (starting from 0)"},
        },
        "required": ["bbox_2d", "label", "img_idx"],
    },
}
"""The function that checkpoint's template is given."""

_PATCH = 32 * 32
_SENT = Fit(by=FitBy.SHORT_SIDE, side=1080, filter=Filter.BILINEAR)
_TOOL_SIZE = Fit(by=FitBy.PATCHES, min_pixels=256 * _PATCH, max_pixels=12_845_056, filter=Filter.BICUBIC)

QWEN3_VL = Protocol(
    name="qwen3_vl",
    system=tool_system([TOOL]),
    crop_turn="<tool_response>\n<image>\n</tool_response>",
    error_turn="<tool_response>\n{error}\n</tool_response>",
    between="\n",
    closing="",
    call_dialect=Dialect.JSON5,
    call_place=CallPlace.OUTSIDE,
    exact_tags=True,
    answer_syntax=AnswerSyntax.TAG_OR_ALL,
    precedence=Precedence.CALL,
    image_naming=ImageNaming.FROM_ZERO,
    image_argument="img_idx",
    image_from_end=True,
    text_arguments=("label",),
    frame=BoxFrame.MILLI,
    crop_source=CropSource.NATIVE,
    crop_of_crop=CropOfCrop.ENLARGED,
    widen=1.0,
    outside=Outside.CLIP,
    edges=Edges.ROUND,
    min_side=32,
    small_box=SmallBox.GROW_WHOLE,
    enlarge=1.0,
    factor=32,
    min_pixels=64 * _PATCH,
    max_pixels=16_384 * _PATCH,
    crop_size_from=CropSize.BOX,
    shown_filter=Filter.BICUBIC,
    crop_filter=Filter.BICUBIC,
    shown_fits=(_SENT,),
    crop_fits=(_TOOL_SIZE, _SENT),
    max_turns=20,
    max_images=20,
    max_new_tokens=4096,
    context=128_000,
)
"""Qwen3-VL's own zoom agent, greedy (`qwen3_vl_card` samples as its cookbook does).

Qwen-Agent hands over the last message as it is; here an answer tag in it counts, and else the text outside thoughts. It sends a local
file as JPEG with a short side of at most 1080 px: the size is the same here, the pixels are not compressed.
"""

QWEN3_VL_CARD = replace(QWEN3_VL, name="qwen3_vl_card", temperature=0.7, top_p=0.8, top_k=20, presence_penalty=1.5)
"""`qwen3_vl` with the sampling of the model card and the cookbook."""
