"""Qwen3-VL: thousandths of the shown image or of an earlier crop, the checkpoint's own tool template.

Source: github.com/QwenLM/Qwen3-VL, cookbooks/think_with_images.ipynb, and its tool: github.com/QwenLM/Qwen-Agent (Apache-2.0),
qwen_agent/tools/image_zoom_in_qwen3vl.py (crops of the native image or of an earlier crop, boxes grown to 32 pixels, crops of at
least 256·32² pixels), at most 20 generations (qwen_agent/settings.py). The answer is the text of the turn without a call.
"""

from __future__ import annotations

from ..reply import AnswerSyntax
from ..zoom import CropSource, ImageNaming, SmallBox
from .hermes import tool_system
from .protocol import BoxFrame, Protocol

TOOL = {
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

QWEN3_VL = Protocol(
    name="qwen3_vl",
    system=tool_system([TOOL]),
    crop_turn="<tool_response>\n<image>\n</tool_response>",
    error_turn="<tool_response>\n{error}\n</tool_response>",
    between="\n",
    closing="",
    answer_syntax=AnswerSyntax.TAG_OR_TEXT,
    image_naming=ImageNaming.FROM_ZERO,
    image_argument="img_idx",
    frame=BoxFrame.MILLI,
    crop_source=CropSource.NATIVE,
    widen=1.0,
    min_side=32,
    small_box=SmallBox.GROW,
    enlarge=1.0,
    factor=32,
    min_pixels=4 * 32 * 32,
    max_pixels=16_384 * 32 * 32,
    crop_min_pixels=256 * 32 * 32,
    max_turns=20,
    max_images=20,
    max_new_tokens=4096,
    context=128_000,
)
"""Qwen3-VL's own zoom agent, greedy: its cookbook samples (temperature 0.7, top-p 0.8, top-k 20, presence penalty 1.5)."""
