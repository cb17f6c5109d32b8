"""DeepEyes: boxes in pixels of the image it is handed, crops of the native image as they are (arXiv 2505.14362).

Source: github.com/Visual-Agent/DeepEyes (Apache-2.0), eval/eval_vstar.py and eval/eval_hrbench.py. There the image handed over
is the file itself (V*) or the file resized to multiples of 28 (HR-Bench); here it is the shown image of the resolution. The
crop comes back in a user message, between `<tool_response>` tags, with the instruction again; 11 generations at most.
"""

from __future__ import annotations

from dataclasses import replace

from ...core.resolution import Filter
from ..reply import AnswerForm, AnswerPlace, AnswerSyntax, AnswerTag, Dialect, Unclosed
from ..zoom import BadCall, CropSize, CropSource, Edges, Outside
from .calling import AtLimit
from .protocol import BoxFrame, CallsPerTurn, Precedence, Protocol

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

_RELEASED = replace(
    DEEPEYES,
    frame=BoxFrame.NATIVE,
    precedence=Precedence.ANSWER,
    bad_call=BadCall.ANSWER,
    any_tool=True,
    call_dialect=Dialect.PYTHON,
    exact_tags=True,
    answer_syntax=AnswerSyntax.WHOLE_TEXT,
    answer_tag=AnswerTag.FIRST,
    answer_form=AnswerForm.CLOSED,
    answer_place=AnswerPlace.ANYWHERE,
    at_limit=AtLimit.TEXT,
    outside=Outside.PAD,
    edges=Edges.ROUND,
    crop_size_from=CropSize.BOX,
    size_floor=True,
    late_aspect=True,
    shown_filter=Filter.BICUBIC,
    crop_filter=Filter.BICUBIC,
    max_pixels=16_384 * 28 * 28,
    max_images=12,
)

DEEPEYES_RELEASED = replace(_RELEASED, name="deepeyes_released", stop=("<|im_end|>",))
"""The released V* script: boxes are read as pixels of the file, however small the shown image is, and what lies outside is black.

Only at the resolution `native`, and below the pixel limit, does the model see the pixels that its boxes mean. A turn with neither
answer nor call is asked again there; at temperature 0 that gives the same text, which is the answer in the end, as here. A call that
cannot be executed ends the rollout, and the turn's whole text is judged.
"""

DEEPEYES_HRBENCH = replace(
    _RELEASED,
    name="deepeyes_hrbench",
    stop=("<|im_end|>", "</tool_call>"),
    stop_kept=False,
    shown_size_floor=True,
    max_new_tokens=8192,
)
"""The later HR-Bench script: the same loop, but each turn ends at its first call."""

DEEPEYES_TOOL = replace(
    DEEPEYES,
    name="deepeyes_tool",
    frame=BoxFrame.NATIVE,
    calls_per_turn=CallsPerTurn.LAST,
    call_dialect=Dialect.JSON,
    call_unclosed=Unclosed.IGNORE,
    exact_tags=True,
    answer_tag=AnswerTag.LAST,
    answer_form=AnswerForm.CLOSED,
    answer_place=AnswerPlace.ANYWHERE,
    outside=Outside.CLIP,
    edges=Edges.ROUND,
    min_side=31,
    max_aspect=100,
    size_floor=True,
    shown_filter=Filter.BICUBIC,
    crop_filter=Filter.BICUBIC,
)
"""The tool of the RL training: the last call of a turn counts, boxes are clipped, and a bad one is answered with a text."""
