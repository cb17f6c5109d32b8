"""The system text that Qwen's chat templates write for tools, as a text of ours.

Written out, any engine sends it through any chat template unchanged: the prompt is the one that the template would make of
`tools=[…]` (`transformers`' and Qwen-Agent's rendering alike; a test holds it so), and no engine need know of tools.
Source: the chat template of Qwen3-VL, and github.com/QwenLM/Qwen-Agent, qwen_agent/llm/fncall_prompts/nous_fncall_prompt.py.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

_BEFORE = """# Tools

You may call one or more functions to assist with the user query.

You are provided with function signatures within <tools></tools> XML tags:
<tools>
"""
_AFTER = """
</tools>

For each function call, return a json object with function name and arguments within <tool_call></tool_call> XML tags:
<tool_call>
{"name": <function-name>, "arguments": <args-json-object>}
</tool_call>"""


def tool_system(functions: Sequence[Mapping[str, object]], system: str = "") -> str:
    """The system message that offers these functions, after a system text if there is one."""
    lines = [json.dumps({"type": "function", "function": dict(function)}, ensure_ascii=False) for function in functions]
    return (f"{system}\n\n" if system else "") + _BEFORE + "\n".join(lines) + _AFTER
