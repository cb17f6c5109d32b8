"""Where the settings of the named protocols come from: repository, commit, and the line that a value stands in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from .protocol import Protocol


@dataclass(frozen=True, slots=True)
class Source:
    """Where a protocol comes from."""

    origin: str
    """Paper, repository and commit; or whose idea it is."""
    lines: Mapping[str, str] = field(default_factory=dict)
    """Setting -> file and line in that repository."""


_COF_FILE = "eval/vstar/vllm_inference.py"
_COF = Source(
    "arXiv 2505.15436; github.com/xtong-zhang/Chain-of-Focus 431ff0d, eval/",
    {
        "max_turns": f"{_COF_FILE}:275", "max_images": f"{_COF_FILE}:87", "max_new_tokens": f"{_COF_FILE}:399", "context": f"{_COF_FILE}:86",
        "temperature": f"{_COF_FILE}:273", "min_pixels": f"{_COF_FILE}:403", "max_pixels": f"{_COF_FILE}:35", "widen": f"{_COF_FILE}:400",
        "enlarge": f"{_COF_FILE}:401", "calls_per_turn": f"{_COF_FILE}:154", "answer_form": "eval/vstar/judge_result.py", "first_box": "eval/vstar/judge_result.py",
    },
)  # fmt: skip
_DEEPEYES = "arXiv 2505.14362; github.com/Visual-Agent/DeepEyes"
_TOOLBOX = "verl/workers/agent/envs/mm_process_engine/visual_toolbox_v2.py"
_ENGINE = "verl/workers/rollout/vllm_rollout/vllm_async_engine.py"
_MAKER = "curiosity_driven_rl/openrlhf/trainer/ppo_utils/experience_maker.py"
_ZOOM = "qwen_agent/tools/image_zoom_in_qwen3vl.py"
_COOKBOOK = "QwenLM/Qwen3-VL 9658872 cookbooks/think_with_images.ipynb, cell 3"

SOURCES: Mapping[str, Source] = {
    "cof": _COF,
    "cof_rl": Source(_COF.origin + " and verl/recipe/zoomin", {**_COF.lines, "system": "verl/recipe/zoomin/zoomin_multiturn_grpo.yaml"}),
    "cof_released": _COF,
    "cof_forced": Source("cof-eval: walks the loop with an untrained model"),
    "cof_mini": Source("cof-eval: docs/mini.md"),
    "direct": Source("cof-eval: the baseline of every other protocol"),
    "direct_forced": Source("cof-eval: the baseline of cof_forced"),
    "deepeyes": Source(_DEEPEYES + ", boxes read on the shown image at every resolution"),
    "deepeyes_released": Source(
        _DEEPEYES + " 6c5e796, eval/eval_vstar.py",
        {
            "max_turns": "eval/eval_vstar.py:179", "max_new_tokens": "eval/eval_vstar.py:186", "temperature": "eval/eval_vstar.py:185",
            "stop": "eval/eval_vstar.py:187", "calls_per_turn": "eval/eval_vstar.py:193", "min_pixels": "eval/eval_vstar.py:50",
            "max_pixels": "eval/eval_vstar.py:51", "crop_filter": "eval/eval_vstar.py:204", "factor": "eval/eval_vstar.py:49",
        },
    ),
    "deepeyes_hrbench": Source(
        _DEEPEYES + " cfddb42, eval/eval_hrbench.py",
        {
            "max_turns": "eval/eval_hrbench.py:211", "max_new_tokens": "eval/eval_hrbench.py:219", "stop": "eval/eval_hrbench.py:220",
            "shown_filter": "eval/eval_hrbench.py:153", "crop_filter": "eval/eval_hrbench.py:237", "frame": "eval/eval_hrbench.py:168",
        },
    ),
    "deepeyes_tool": Source(
        _DEEPEYES + f" 6c5e796, {_TOOLBOX}",
        {"calls_per_turn": f"{_TOOLBOX}:44", "answer_tag": f"{_TOOLBOX}:27", "min_side": f"{_TOOLBOX}:135", "max_aspect": f"{_TOOLBOX}:134", "frame": f"{_TOOLBOX}:86"},
    ),
    "mini_o3": Source(
        "arXiv 2509.07969; github.com/Mini-o3/Mini-o3 8654dbf",
        {
            "max_turns": "README.md:155", "max_images": "README.md:156", "max_new_tokens": "README.md:112", "stop": "verl/trainer/config/ppo_trainer.yaml:137",
            "temperature": "verl/trainer/config/ppo_trainer.yaml:94", "context": "verl/trainer/config/ppo_trainer.yaml:125", "zoom_tokens": f"{_ENGINE}:708",
            "shown_fits": "README.md:127; verl/utils/dataset/multimodal_dataset.py:101", "crop_fits": f"{_ENGINE}:200,551",
        },
    ),
    "pixel_reasoner": Source(
        f"arXiv 2505.15966; github.com/TIGER-AI-Lab/Pixel-Reasoner a3a6c3a, {_MAKER}",
        {
            "max_turns": f"{_MAKER}:2246", "max_new_tokens": f"{_MAKER}:1979", "zoom_tokens": f"{_MAKER}:2246", "stop": f"{_MAKER}:1989",
            "context": "curiosity_driven_rl/openrlhf/cli/eval_ray.py:79", "shown_fits": f"{_MAKER}:1960", "crop_fits": f"{_MAKER}:2306",
            "min_pixels": "curiosity_driven_rl/scripts/example_eval.sh:8", "max_pixels": "curiosity_driven_rl/scripts/example_eval.sh:9",
            "pad": f"{_MAKER}:150", "min_side": f"{_MAKER}:1166", "call_place": f"{_MAKER}:1147",
        },
    ),
    "qwen3_vl": Source(
        f"github.com/QwenLM/Qwen-Agent 31a4d36, {_ZOOM}; greedy is ours",
        {
            "max_turns": "qwen_agent/settings.py:24", "crop_fits": f"{_ZOOM}:81,168; qwen_agent/llm/qwenvl_oai.py:109", "min_side": f"{_ZOOM}:104",
            "shown_fits": "qwen_agent/llm/qwenvl_oai.py:109; qwen_agent/utils/utils.py:598", "crop_filter": f"{_ZOOM}:169",
        },
    ),
    "qwen3_vl_card": Source(
        f"github.com/QwenLM/Qwen-Agent 31a4d36, {_ZOOM}; {_COOKBOOK}",
        {"temperature": _COOKBOOK, "top_p": _COOKBOOK, "top_k": _COOKBOOK, "presence_penalty": _COOKBOOK, "max_turns": "qwen_agent/settings.py:24"},
    ),
    "tools": Source("cof-eval: any model with function calling"),
    "tools_forced": Source("cof-eval: walks the loop of native calls with an untrained model"),
    "qwen3_5": Source("the chat template and model card of Qwen3.5; Qwen-Agent's zoom tool, its index optional"),
}  # fmt: skip
"""By protocol."""


def source_of(protocol: Protocol) -> Source:
    """Where a protocol comes from; for one that was changed or written by a user, that it was."""
    return SOURCES.get(protocol.name) or Source("yours")
