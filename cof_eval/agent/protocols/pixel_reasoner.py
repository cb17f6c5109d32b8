r"""Pixel-Reasoner: fractions of the shown image or of an earlier crop, each crop padded, the answer boxed (arXiv 2505.15966).

Source: github.com/TIGER-AI-Lab/Pixel-Reasoner, curiosity_driven_rl/openrlhf: datasets/prompts_dataset.py (`vcot`) and
trainer/ppo_utils/experience_maker.py (tools, crops, messages): the last call of a turn counts there, at most four are
executed; crops are cut from the image as loaded, or from an earlier crop as enlarged, and get at least 256·28² pixels; a box whose numbers are
not all below 1 is one of pixels.
"""

from __future__ import annotations

from dataclasses import replace

from ...core.resolution import Filter, Fit, FitBy
from ..reply import AnswerForm, AnswerPlace, AnswerSyntax, AnswerTag, CallPlace, Dialect
from ..view import ImageNaming
from ..zoom import CropOfCrop, CropSource, Edges, FlatBox, Outside
from .hermes import tool_system
from .protocol import BoxFrame, CallsPerTurn, Precedence, Protocol

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

_PATCH = 28 * 28
_LOADED = Fit(by=FitBy.PATCHES, min_pixels=256 * _PATCH, max_pixels=8_000 * _PATCH, filter=Filter.BICUBIC)

PIXEL_REASONER = Protocol(
    name="pixel_reasoner",
    system=tool_system([_CROP, _SELECT], "You are a helpful assistant."),
    question="{question}{format}",
    format=_GUIDELINES,
    crop_turn="\nHere is the cropped image (Image Size: {width}x{height}):<image>",
    error_turn="\nExecution error:\n{error}\n",
    closing="",
    call_dialect=Dialect.JSON,
    call_place=CallPlace.END,
    exact_tags=True,
    answer_syntax=AnswerSyntax.BOXED_OR_TAG,
    answer_tag=AnswerTag.FIRST,
    answer_form=AnswerForm.SAME_LINE,
    answer_place=AnswerPlace.ANYWHERE,
    answer_turns_all=True,
    precedence=Precedence.CALL,
    calls_per_turn=CallsPerTurn.LAST,
    tool="crop_image_normalized",
    image_naming=ImageNaming.FROM_ONE,
    image_argument="target_image",
    image_from_end=True,
    frame=BoxFrame.BELOW_ONE_OR_PIXELS,
    crop_source=CropSource.SHOWN,
    crop_of_crop=CropOfCrop.ENLARGED,
    widen=1.0,
    pad=0.1,
    outside=Outside.CLIP,
    flat_box=FlatBox.PAD,
    edges=Edges.ROUND,
    min_side=29,
    enlarge=1.0,
    factor=28,
    min_pixels=512 * _PATCH,
    max_pixels=5_120 * _PATCH,
    shown_filter=Filter.BICUBIC,
    crop_filter=Filter.BICUBIC,
    shown_fits=(_LOADED,),
    crop_fits=(replace(_LOADED, max_pixels=5_120 * _PATCH),),
    max_turns=5,
    max_images=16,
    max_new_tokens=2048,
    context=18_192,
    zoom_tokens=12_088,
    stop=("<|im_end|>", "<|eot_id|>", "<|endoftext|>"),
)
"""Pixel-Reasoner as evaluated. `{"frame": "unit_or_pixels"}` reads a 1 as a fraction: to the tool, a box that touches the right edge is
one of a few pixels."""
