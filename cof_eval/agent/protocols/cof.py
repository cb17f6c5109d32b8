"""Chain-of-Focus: boxes in pixels of the shown image, crops of it widened and enlarged (arXiv 2505.15436)."""

from __future__ import annotations

from dataclasses import replace

from ...core.resolution import Filter, Fit, FitBy
from ..reply import AnswerForm, AnswerPlace, AnswerTag, Dialect, Unclosed
from ..zoom import BadCall
from .hermes import tool_system
from .protocol import FORCED_ANSWER, CallsPerTurn, Precedence, Protocol

# Source: github.com/xtong-zhang/Chain-of-Focus, eval/vstar/vllm_inference.py
_COF_SYSTEM = """You are a helpful assistant.

# Tools
You may call one or more functions to assist with the user query.
You are provided with function signatures within <tools></tools> XML tags:
<tools>
{"type": "function", "function": {"name":"image_zoom_in_tool","description":"Zoom in on a specific region of an image by cropping it based on a bounding box (bbox_2d) and an optional object label.","parameters":{"properties":{"bbox_2d":{"type":"array","items":{"type":"number"},"minItems":4,"maxItems":4,"description":"The bounding box of the region to zoom in, as [x1, y1, x2, y2], where (x1, y1) is the top-left corner and (x2, y2) is the bottom-right corner."},"label":{"type":"string","description":"The name or label of the object in the specified bounding box (optional)."}},"required":["bbox_2d"], "type":"object"},"args_format": "Format the arguments as a JSON object."}}
</tools>

For the function call, return a json object with function name and arguments within <tool_call></tool_call> XML tags:
<tool_call>
{"name": <function-name>, "arguments": <args-json-object>}
</tool_call>"""

# Source: the same file; it closes the question and follows every crop.
_COF_FORMAT = "\nThink in the mind first, and then decide whether to call tools one or more times OR provide final answer. Format strictly as: <think>...</think> <tool_call>...</tool_call> <tool_call>...</tool_call> (if any tools needed) OR <answer>...</answer> (if no tools needed)."

_TOOL = {
    "name": "image_zoom_in_tool",
    "description": "Zoom in on a specific region of an image by cropping it based on a bounding box (bbox_2d) and an optional object label.",
    "parameters": {
        "type": "object",
        "properties": {
            "bbox_2d": {
                "type": "array",
                "items": {"type": "number"},
                "minItems": 4,
                "maxItems": 4,
                "description": "The bounding box of the region to zoom in, as [x1, y1, x2, y2], where (x1, y1) is the top-left corner and "
                "(x2, y2) is the bottom-right corner.",
            },
        },
        "required": ["bbox_2d"],
    },
}
# Source: the same repository, verl/recipe/zoomin (tool and chat template): in RL the template renders the tool once more after
# the system text; with `<|im_start|>system` and its line break, 1,998 characters.
_SYSTEM_RL = tool_system([_TOOL], _COF_SYSTEM)

COF = Protocol(
    name="cof",
    system=_COF_SYSTEM,
    question="Question: {question}{format}",
    format=_COF_FORMAT,
)
"""Chain-of-Focus as trained, every failure told to the model and counted (arXiv 2505.15436; eval/vstar of its code)."""

_RESIZE = Fit(by=FitBy.PATCHES, min_pixels=112 * 112, max_pixels=3840 * 3840, filter=Filter.LANCZOS)

COF_RELEASED = replace(
    COF,
    name="cof_released",
    precedence=Precedence.CALL,
    calls_per_turn=CallsPerTurn.FIRST,
    bad_call=BadCall.WHOLE_IMAGE,
    any_tool=True,
    call_dialect=Dialect.JSON,
    call_unclosed=Unclosed.REFUSE,
    exact_tags=True,
    answer_tag=AnswerTag.FIRST,
    answer_form=AnswerForm.LINE,
    answer_place=AnswerPlace.ANYWHERE,
    first_box=True,
    shown_fits=(_RESIZE,),
    crop_fits=(_RESIZE,),
    shown_filter=Filter.BICUBIC,
    crop_filter=Filter.BICUBIC,
)
"""The released evaluation with its quirks, to approach published numbers and to measure what each quirk does.

An answer is the first closed `<answer>` on one line, or nothing; its judge is the card `cof_released`. The image that boxes lie
on may be larger than the one that the processor makes of it (above its cap), as in the release.
"""

_DIGITS = "[1-9][0-9]"
_FORCED_CALL = (
    r"<think>[a-z ]{8,24}</think> <tool_call>\{\"name\": \"image_zoom_in_tool\", \"arguments\": \{\"bbox_2d\": "
    rf"\[{_DIGITS}, {_DIGITS}, 1{_DIGITS}, 1{_DIGITS}\]\}}\}}</tool_call>"
).replace(r"\"", '"')

COF_FORCED = replace(
    COF,
    name="cof_forced",
    turn_patterns=(_FORCED_CALL, _FORCED_CALL, FORCED_ANSWER),
)
"""`cof` with two calls and an answer forced by structured output, so that an untrained model walks the whole loop."""

COF_RL = replace(COF, name="cof_rl", system=_SYSTEM_RL)
"""`cof` for the RL checkpoint, which was rolled out with a second tools section after the system message."""
