"""Any model with function calling: our own prompt, native calls, boxes in 0-1000, crops of the native image.

The function goes to the server as `tools`, so no checkpoint's call syntax is needed: hosted models (GPT, Claude, Gemini) through
compatible endpoints, and open ones behind a server's tool parser. Boxes always lie on the first image. Small crops are enlarged to
448 x 448 pixels of area.
"""

from __future__ import annotations

from dataclasses import replace

from ..reply import AnswerSyntax
from ..zoom import CropSource, Edges, Outside, SmallBox
from .calling import Calls, Precedence
from .cropping import BoxFrame
from .protocol import FORCED_ANSWER, Protocol

_SYSTEM = (
    "You answer questions about an image. The image may be shown to you reduced. Where a detail is too small to be sure of, call "
    "zoom_in: it cuts a region out of the original image and shows it to you enlarged. You may zoom several times."
)
_FORMAT = "\nZoom in as often as you need. Then give the final answer inside <answer></answer>."

_SCHEMA = {
    "description": "Cut a region out of the original image and show it enlarged. The crop comes back as a new image.",
    "parameters": {
        "type": "object",
        "properties": {
            "bbox_2d": {
                "type": "array",
                "items": {"type": "integer", "minimum": 0, "maximum": 1000},
                "minItems": 4,
                "maxItems": 4,
                "description": "The region as [x1, y1, x2, y2]: its top-left and bottom-right corner. x runs from 0 (left edge) to 1000 "
                "(right edge) of the first image, y from 0 (top) to 1000 (bottom). Boxes lie on the first image, never on a crop.",
            }
        },
        "required": ["bbox_2d"],
    },
}

TOOLS = Protocol(
    name="tools",
    system=_SYSTEM,
    question="{question}{format}",
    format=_FORMAT,
    crop_turn="Crop {observation}:<image>",
    tool_turn="Done. The next message shows crop {observation}.",
    between="\n",
    closing="",
    calls=Calls.NATIVE,
    tool_schema=_SCHEMA,
    tool="zoom_in",
    answer_syntax=AnswerSyntax.TAG_OR_TEXT,
    precedence=Precedence.CALL,
    frame=BoxFrame.MILLI,
    crop_source=CropSource.NATIVE,
    widen=1.0,
    enlarge=1.0,
    outside=Outside.CLIP,
    edges=Edges.ROUND,
    min_side=32,
    small_box=SmallBox.GROW,
    crop_min_pixels=448 * 448,
    max_turns=6,
    max_images=6,
    max_new_tokens=16_384,
    context=128_000,
)
"""Any model with function calling, greedy where the server takes a temperature."""

_DIGITS = "[1-9][0-9]"
_FORCED_CALL = (
    r"<tool_call>\n\{\"name\": \"zoom_in\", \"arguments\": \{\"bbox_2d\": "
    rf"\[{_DIGITS}, {_DIGITS}, 4{_DIGITS}, 5{_DIGITS}\]\}}\}}\n</tool_call>"
).replace(r"\"", '"')

TOOLS_FORCED = replace(
    TOOLS, name="tools_forced", turn_patterns=(_FORCED_CALL, _FORCED_CALL, FORCED_ANSWER), max_new_tokens=512
)
"""`tools` with two calls and an answer forced by structured output, for an untrained model behind vLLM's tool parser `hermes`."""
