"""Qwen3.5 and Qwen3.6: Qwen3-VL's zoom tool, called in XML functions, with thoughts whose opening tag stands in the prompt.

Source: the checkpoints' chat template (tools, calls, tool responses) and model card (tokens of a turn); the tool is Qwen-Agent's, its
`img_idx` optional, as these checkpoints usually leave it out (QwenLM/Qwen-Agent#879). Crops go back between `<tool_response>` tags: the
template then keeps the thoughts of earlier turns, and Qwen3.6 is told to with `preserve_thinking`.
"""

from __future__ import annotations

import json
from dataclasses import replace

from ..reply import AnswerPlace, AnswerSyntax, CallPlace, CallSyntax, Dialect
from .qwen3_vl import QWEN3_VL, TOOL

FUNCTION = {**TOOL, "parameters": {**TOOL["parameters"], "required": ["bbox_2d"]}}

_BEFORE = """# Tools

You have access to the following functions:

<tools>
"""
_AFTER = """
</tools>

If you choose to call a function ONLY reply in the following format with NO suffix:

<tool_call>
<function=example_function_name>
<parameter=example_parameter_1>
value_1
</parameter>
<parameter=example_parameter_2>
This is the value for the second parameter
that can span
multiple lines
</parameter>
</function>
</tool_call>

<IMPORTANT>
Reminder:
- Function calls MUST follow the specified format: an inner <function=...></function> block must be nested within <tool_call></tool_call> XML tags
- Required parameters MUST be specified
- You may provide optional reasoning for your function call in natural language BEFORE the function call, but NOT after
- If there is no function call available, answer the question like normal with your current knowledge and do not tell the user about function calls
</IMPORTANT>"""

QWEN3_5 = replace(
    QWEN3_VL,
    name="qwen3_5",
    system=_BEFORE + json.dumps({"type": "function", "function": FUNCTION}, ensure_ascii=False) + _AFTER,
    call_syntax=CallSyntax.FUNCTION,
    call_dialect=Dialect.LOOSE,
    call_place=CallPlace.OUTSIDE,
    exact_tags=False,
    answer_syntax=AnswerSyntax.TAG_OR_TEXT,
    answer_place=AnswerPlace.OUTSIDE,
    image_default=0,
    image_from_end=False,
    text_arguments=(),
    shown_fits=(),
    crop_fits=QWEN3_VL.crop_fits[:1],
    max_new_tokens=32_768,
    context=262_144,
    chat_template_kwargs={"enable_thinking": True, "preserve_thinking": True},
)
"""Qwen3.5 and Qwen3.6, greedy. The card advises 81,920 tokens a turn: raise `max_new_tokens` where turns end as `length`."""
