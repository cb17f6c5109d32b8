r"""Pixel-Reasoner: shares of the shown image or of an earlier crop, each crop padded, the answer boxed (arXiv 2505.15966).

Source: github.com/TIGER-AI-Lab/Pixel-Reasoner, curiosity_driven_rl/openrlhf: datasets/prompts_dataset.py (`vcot`) and
trainer/ppo_utils/experience_maker.py (tools, crops, messages): the last call of a turn counts there, at most four are
executed; crops are cut from the image as shown and get at least 256·28² pixels; a box whose numbers are not all below 1 is
one of pixels. Here a 1 is a share too: the tool's own rule takes a box that touches the right edge for a few pixels.
"""

from __future__ import annotations

from ..reply import AnswerSyntax
from ..zoom import CropSource, ImageNaming
from .hermes import tool_system
from .protocol import BoxFrame, CallsPerTurn, Protocol

_CROP = {
    "name": "crop_image_normalized",
    "description": "Zoom in on the image based on the bounding box coordinates. It is useful when the object or text in "
    "the image is too small to be seen.",
    "parameters": {
        "type": "object",
        "properties": {
            "bbox_2d": {
                "type": "array",
                "description": "coordinates for bounding box of the area you want to zoom "
                "in. Values should be within [0.0,1.0].",
                "items": {"type": "number"},
            },
            "target_image": {
                "type": "number",
                "description": "The index of the image to crop. Index from 1 to the "
                "number of images. Choose 1 to operate on original "
                "image.",
            },
        },
        "required": ["bbox_2d", "target_image"],
    },
}

_SELECT = {
    "name": "select_frames",
    "description": "Select frames from a video.",
    "parameters": {
        "type": "object",
        "properties": {
            "target_frames": {
                "type": "array",
                "description": "List of frame indices to select from the video (no more than 8 frames in total).",
                "items": {"type": "integer", "description": "Frame index from 1 to 16."},
            }
        },
        "required": ["target_frames"],
    },
}
"""For videos; the checkpoints were trained with both tools offered. A call of it is answered as an unknown tool."""

_GUIDELINES = "\n\nGuidelines: Understand the given visual information and the user query. Determine if it is beneficial to employ the given visual operations (tools). For a video, we can look closer by `select_frames`. For an image, we can look closer by `crop_image`. Reason with the visual information step by step, and put your final answer within \\boxed{}."

PIXEL_REASONER = Protocol(
    name="pixel_reasoner",
    system=tool_system([_CROP, _SELECT], "You are a helpful assistant."),
    question="{question}{format}",
    format=_GUIDELINES,
    crop_turn="\nHere is the cropped image (Image Size: {width}x{height}):<image>",
    error_turn="\nExecution error:\n{error}\n",
    closing="",
    answer_syntax=AnswerSyntax.BOXED,
    calls_per_turn=CallsPerTurn.LAST,
    tool="crop_image_normalized",
    image_naming=ImageNaming.FROM_ONE,
    image_argument="target_image",
    frame=BoxFrame.UNIT_OR_PIXELS,
    crop_source=CropSource.SHOWN,
    widen=1.0,
    pad=0.1,
    min_side=29,
    enlarge=1.0,
    factor=28,
    min_pixels=512 * 28 * 28,
    max_pixels=5_120 * 28 * 28,
    max_turns=5,
    max_images=5,
    max_new_tokens=4096,
)
"""Pixel-Reasoner as evaluated. Tokens of a turn are ours: the source limits the whole conversation only."""
