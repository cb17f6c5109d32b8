"""Mini-o3: shares of the shown image or of any earlier crop, a syntax of its own, many turns (arXiv 2509.07969).

Source: github.com/Mini-o3/Mini-o3 (Apache-2.0), verl/trainer/constants.py (prompts) and verl/workers/rollout/vllm_rollout
(crops: cut as they are from the native image or from an earlier crop of it, then resized within the pixel limits). Actions are
counted from 0, observations from 1. Published accuracies average 32 samples: `--repeats 32`.
"""

from __future__ import annotations

from dataclasses import replace

from ...core.resolution import Filter, Fit, FitBy
from ..reply import AnswerForm, AnswerPlace, AnswerTag, CallSyntax, Unclosed
from ..reply.calls import GROUNDING_TOOL
from ..view import ImageNaming
from ..zoom import CropSource, Edges, Outside
from .asking import Numbering
from .protocol import BoxFrame, CallsPerTurn, Precedence, Protocol

_SYSTEM = "You are a helpful assistant. Answer the user's question based on the image provided. Output your thinking process within the <think> and </think> tags. Whenever you find anything unclear, you can zoom in a specific region in the given image to see more clearly by outputing <grounding>{\"bbox_2d\": [x0, y0, x1, y1], \"source\": \"original_image\"}</grounding>, where (x0, y0) and (x1, y1) are the top-left and bottom-right coordinates of the region that you want to zoom in, respectively (suppose the width and height of the image are 1.0), and 'source' refers to the image that you zoom in and could be either 'original_image' or 'observation_i'. Once the final answer is confirmed, put it within <answer> and </answer>."

_CROP = "After the above Action {action}, here is the the zoom-in image (Observation {observation}):\n<image>.\nContinue your reasoning process inside <think> and </think>. If needed, you can continue to zoom in on the original image or any of the observations, by outputting <grounding> and </grounding> as before. If the final answer is confirmed, put your final answer inside <answer> and </answer>."

_ERROR = "ERROR occurs during grounding. Error Information: {error}.\nPlease analyze the error information obtained from the function tool and adjust your response. Countinue your reasoning process inside <think> and </think>."

_LIMITS = Fit(by=FitBy.AREA, min_pixels=40_000, max_pixels=2_000_000)

MINI_O3 = Protocol(
    name="mini_o3",
    system=_SYSTEM,
    crop_turn=_CROP,
    error_turn=_ERROR,
    closing="",
    numbering=Numbering.TURNS,
    call_syntax=CallSyntax.PATTERN,
    call_pattern='<grounding>{"bbox_2d": {box}, "source": "{image}"}</grounding>',
    call_unclosed=Unclosed.IGNORE,
    exact_tags=True,
    answer_tag=AnswerTag.LAST,
    answer_form=AnswerForm.CLOSED,
    answer_place=AnswerPlace.ANYWHERE,
    precedence=Precedence.CALL,
    calls_per_turn=CallsPerTurn.FIRST,
    tool=GROUNDING_TOOL,
    image_naming=ImageNaming.OBSERVATION,
    image_argument="source",
    frame=BoxFrame.UNIT,
    crop_source=CropSource.NATIVE,
    widen=1.0,
    enlarge=1.0,
    factor=28,
    min_pixels=4 * 28 * 28,
    max_pixels=16_384 * 28 * 28,
    outside=Outside.CLIP_LAST_PIXEL,
    edges=Edges.INT,
    shown_filter=Filter.BICUBIC,
    crop_filter=Filter.BICUBIC,
    shown_fits=(_LIMITS,),
    crop_fits=(replace(_LIMITS, filter=Filter.NEAREST),),
    max_turns=12,
    max_images=12,
    max_new_tokens=8192,
    temperature=1.0,
    stop=("</grounding>",),
    zoom_tokens=32_768 - 2_000,
)
"""Mini-o3 as evaluated. A call must be written as it was taught, character by character; Mini-o3 also computes sums in a box,
which nothing here does."""
