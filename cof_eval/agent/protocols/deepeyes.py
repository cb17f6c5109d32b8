"""DeepEyes: boxes in pixels of the image it is handed, crops of the native image as they are (arXiv 2505.14362).

Source: github.com/Visual-Agent/DeepEyes (Apache-2.0), eval/eval_vstar.py and eval/eval_hrbench.py. There the image handed over
is the file itself (V*) or the file resized to multiples of 28 (HR-Bench); here it is the shown image of the resolution. The
crop comes back in a user message, between `<tool_response>` tags, with the instruction again; 11 generations at most.
"""

from __future__ import annotations

from dataclasses import replace

from ..reply import AnswerSyntax
from ..zoom import CropSource
from .protocol import BoxFrame, CallsPerTurn, Protocol

_SYSTEM = (
    "You are a helpful assistant.\n"
    "\n"
    "# Tools\n"
    "You may call one or more functions to assist with the user query.\n"
    "You are provided with function signatures within <tools></tools> XML tags:\n"
    "<tools>\n"
    '{"type":"function","function":{"name":"image_zoom_in_tool","description":"Zoom in on a specific region of an image by cropping it based on a bounding box (bbox) and an optional object label.","parameters":{"type":"object","properties":{"bbox_2d":{"type":"array","items":{"type":"number"},"minItems":4,"maxItems":4,"description":"The bounding box of the region to zoom in, as [x1, y1, x2, y2], where (x1, y1) is the top-left corner and (x2, y2) is the bottom-right corner."},"label":{"type":"string","description":"The name or label of the object in the specified bounding box (optional)."}},"required":["bbox"]}}}\n'
    "</tools>\n"
    "\n"
    "# How to call a tool\n"
    "Return a json object with function name and arguments within <tool_call></tool_call> XML tags:\n"
    "<tool_call>\n"
    '{"name": <function-name>, "arguments": <args-json-object>}\n'
    "</tool_call>\n"
    "\n"
    "**Example**:  \n"
    "<tool_call>  \n"
    '{"name": "image_zoom_in_tool", "arguments": {"bbox_2d": [10, 20, 100, 200], "label": "the apple on the desk"}}  \n'
    "</tool_call>"
)

_FORMAT = "\nThink first, call **image_zoom_in_tool** if needed, then answer. Format strictly as:  <think>...</think>  <tool_call>...</tool_call> (if tools needed)  <answer>...</answer> "

DEEPEYES = Protocol(
    name="deepeyes",
    system=_SYSTEM,
    question="Question: {stem}\nOptions: \n{options}\n\n{format}",
    open_question="Question: {question}\n{format}",
    format=_FORMAT,
    crop_turn="<tool_response><image>{format}</tool_response>",
    error_turn="<tool_response>{error}{format}</tool_response>",
    closing="",
    calls_per_turn=CallsPerTurn.FIRST,
    frame=BoxFrame.SHOWN,
    crop_source=CropSource.NATIVE,
    widen=1.0,
    enlarge=1.0,
    factor=28,
    min_pixels=4 * 28 * 28,
    max_pixels=16_384 * 28 * 28,
    max_turns=11,
    max_images=11,
    max_new_tokens=10_240,
    context=128_000,
)
"""DeepEyes, its boxes read in the pixels that it sees, whatever the resolution."""

DEEPEYES_RELEASED = replace(DEEPEYES, name="deepeyes_released", frame=BoxFrame.NATIVE, answer_syntax=AnswerSyntax.ANY_TEXT)
"""The released evaluation: boxes are read as pixels of the file, however small the shown image is, and untagged text is the answer.

Only at the resolution `native`, and below the pixel limit, do both read boxes alike (HR-Bench 8K is above it).
"""
