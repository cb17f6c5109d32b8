"""Our zoom tool and rewards in the interfaces of verl, for reinforcement learning on many machines. Not run here: see docs/scaling.md.

verl (0.9) lives in an environment of its own, with this project installed next to it; nothing of verl is imported until it
asks for the tool. It finds things by name:

- tool config: `class_name: training.rl.verl_adapter.CofZoomTool`, with `config: {checkpoint: …, protocol: cof, crop_pixels: …}`;
- `custom_reward_function: {path: …/verl_adapter.py, name: compute_score}`, or, with `reward_manager: batch`, `compute_scores`
  for the group-aware rewards;
- data: a parquet of `verl_row`s; checkpoints: those of `training.sft`, whose chat template renders verl's `tool` turns as the
  evaluation's user turns.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import uuid4

from PIL import Image

from cof_eval.agent.conversation import Conversation
from cof_eval.agent.engine import Message, TextPart
from cof_eval.agent.protocols import Protocol, parse_protocol
from cof_eval.agent.reply import RawCall
from cof_eval.agent.showing import look
from cof_eval.agent.view import View
from cof_eval.agent.zoom import TOOL_NAME, CropSource
from cof_eval.benchmarks import Item
from cof_eval.core.errors import UsageError
from cof_eval.core.images import encode_png, load_native
from cof_eval.core.records import Outcome, Question, from_json, to_json
from cof_eval.core.resolution import PixelLimits, Resolution
from cof_eval.engines.checkpoint import load_checkpoint
from cof_eval.judging.rules import score

from .rewards import REWARDS, Facts, Reward, well_formed

_ANY = Question("", "verl", "", "", "The question stands in verl's own prompt.", (), "")


class ZoomSessions:
    """The zoom tool for many conversations at once, without verl: what `CofZoomTool` does its work with."""

    def __init__(self, protocol: Protocol, limits: PixelLimits) -> None:
        """A tool under a protocol; `limits` are those of the checkpoint's image processor."""
        self.protocol = protocol
        self.limits = protocol.limits(limits)
        self._conversations: dict[str, Conversation] = {}

    def open(self, shown: Image.Image, name: str | None = None) -> str:
        """Begin with the image that the model was shown, at the size that it was shown at; returns the instance's name."""
        name = name or uuid4().hex
        self._conversations[name] = Conversation(self.protocol, self.limits, _ANY, View(shown, shown.size))
        return name

    def zoom(self, name: str, arguments: Mapping[str, Any]) -> tuple[Image.Image | None, str]:
        """A call's crop and the text after it; without a crop, the text says what was wrong."""
        raw = RawCall(json.dumps(dict(arguments), default=str), TOOL_NAME, dict(arguments))
        conversation = self._conversations[name]
        conversation.add_assistant_turn(raw.raw)
        _, (told,) = conversation.execute_calls([raw])
        return (told.images[0].image if told.images else None), _words(told)

    def close(self, name: str) -> None:
        """Forget an instance."""
        self._conversations.pop(name, None)


def open_sessions(config: Mapping[str, Any]) -> ZoomSessions:
    """A desk from a tool's `config`: `checkpoint`, and optionally `protocol`, `protocol_args` and `crop_pixels`.

    Raises:
        UsageError: for a protocol whose crops verl cannot make.
    """
    protocol = parse_protocol(str(config.get("protocol", "cof")), config.get("protocol_args"))
    if protocol.crop_source is CropSource.NATIVE:
        raise UsageError(f"protocol {protocol.name!r} cuts crops from the native image; verl hands over the shown one only")
    crops = min(protocol.max_pixels, int(config.get("crop_pixels", 5120 * 28 * 28)))
    return ZoomSessions(replace(protocol, max_pixels=crops), load_checkpoint(str(config["checkpoint"])).limits)


def __getattr__(name: str) -> Any:
    """`CofZoomTool`, made when verl asks for it."""
    if name != "CofZoomTool":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return _tool_class()


def _tool_class() -> type:
    from verl.tools.base_tool import BaseTool
    from verl.tools.schemas import ToolResponse

    class CofZoomTool(BaseTool):  # type: ignore[misc]  # verl is no dependency of this project
        """verl's `BaseTool` over a `ZoomSessions`."""

        def __init__(self, config: dict[str, Any], tool_schema: Any) -> None:
            super().__init__(config, tool_schema)
            self.desk = open_sessions(config)

        async def create(self, instance_id: str | None = None, **kwargs: Any) -> tuple[str, Any]:
            image = (kwargs.get("create_kwargs") or kwargs)["image"]
            return self.desk.open(_opened(image), instance_id), ToolResponse()

        async def execute(
            self, instance_id: str, parameters: dict[str, Any], **kwargs: Any
        ) -> tuple[Any, float, dict[str, Any]]:
            crop, text = await asyncio.to_thread(self.desk.zoom, instance_id, parameters)
            response = ToolResponse(text=text) if crop is None else ToolResponse(image=[crop], text=text)
            return response, 0.0, {"zoomed": crop is not None}

        async def release(self, instance_id: str, **kwargs: Any) -> None:
            self.desk.close(instance_id)

    return CofZoomTool


def _opened(image: Any) -> Image.Image:
    """The image of a row as verl hands it over: a picture, or a mapping with the stored bytes."""
    return image if isinstance(image, Image.Image) else load_native(image["bytes"])


def verl_row(item: Item, index: int, protocol: Protocol, limits: PixelLimits, resolution: Resolution) -> dict[str, Any]:
    """One row of verl's parquet: the prompt, the shown image at its final size, and what tool and reward need.

    Args:
        item: a question and where its image is.
        index: the prompt's number: rollouts with the same one are a group.
        protocol: words the prompt.
        limits: of the checkpoint's image processor.
        resolution: cap on the shown image.
    """
    native = load_native(item.image.read())
    shown = {"bytes": encode_png(look(native, resolution, protocol, protocol.limits(limits)).shown)}
    system, user = Conversation(protocol, protocol.limits(limits), item.question, None).messages
    question = to_json(item.question).decode()
    return {
        "data_source": item.question.benchmark,
        "agent_name": "tool_agent",
        "prompt": [
            {"role": "system", "content": _words(system)},
            {"role": "user", "content": "<image>" + _words(user)},
        ],
        "images": [shown],
        "reward_model": {"style": "rule", "ground_truth": item.question.answer},
        "extra_info": {
            "index": index,
            "question": question,
            "need_tools_kwargs": True,
            "tools_kwargs": {TOOL_NAME: {"create_kwargs": {"image": shown}}},
        },
    }


def _words(message: Message) -> str:
    return "".join(part.text for part in message.parts if isinstance(part, TextPart))


def compute_score(
    data_source: str, solution_str: str, ground_truth: str, extra_info: Mapping[str, Any] | None = None, **_: Any
) -> float:
    """Verl's reward of one rollout, as released: 0.9 · accuracy + 0.1 · format."""
    facts = facts_of_text(solution_str, _question(data_source, ground_truth, extra_info))
    return 0.9 * bool(facts.correct) + 0.1 * facts.well_formed


def compute_scores(
    data_sources: Sequence[str],
    solution_strs: Sequence[str],
    ground_truths: Sequence[str],
    extra_infos: Sequence[Mapping[str, Any]],
    *,
    reward: str = "agar",
    **_: Any,
) -> list[float]:
    """Verl's reward of a whole batch; rollouts with the same `index` are a group.

    Args:
        data_sources: of each rollout's row.
        solution_strs: what each rollout holds after its prompt.
        ground_truths: the answers.
        extra_infos: of each rollout's row, see `verl_row`.
        reward: a name in `training.rl.rewards.REWARDS`.
    """
    rows = zip(data_sources, solution_strs, ground_truths, extra_infos, strict=True)
    facts = [facts_of_text(text, _question(source, truth, info)) for source, text, truth, info in rows]
    groups: dict[Any, list[Facts]] = {}
    for info, each in zip(extra_infos, facts, strict=True):
        groups.setdefault(info["index"], []).append(each)
    values: list[Reward] = [REWARDS[reward](each, groups[info["index"]]) for info, each in zip(extra_infos, facts, strict=True)]
    return [value or 0.0 for value in values]


_HANDED_BACK = re.compile(
    r"(?:<\|im_end\|>)?\n?(?:<\|im_start\|>)?user\n(.*?)(?:<\|im_end\|>)?\n(?:<\|im_start\|>)?assistant\n", re.DOTALL
)
"""A tool's turn inside a decoded rollout, whether special tokens were decoded or excluded."""


def facts_of_text(text: str, question: Question, protocol: Protocol | None = None) -> Facts:
    """What rewards need to know of a rollout that is one text: the model's turns, the tool's between them.

    Correctness comes from the rules; what they leave undecided counts as wrong, since verl has no word for "unknown".
    """
    protocol = protocol or parse_protocol("cof")
    handed = _HANDED_BACK.findall(text)
    turns = [turn.removesuffix("\n").removesuffix("<|im_end|>") for turn in _HANDED_BACK.sub("\0", text).split("\0")]
    answer = protocol.read(turns[-1]).answer
    zoomed = any(protocol.format.strip() in between for between in handed)
    if answer is None:
        return Facts(False, zoomed, False)
    return Facts(score(answer, question).outcome is Outcome.CORRECT, zoomed, well_formed(turns))


def _question(data_source: str, ground_truth: str, extra_info: Mapping[str, Any] | None) -> Question:
    """The row's own question; an open one where the row is not ours."""
    if extra_info and "question" in extra_info:
        return from_json(extra_info["question"], Question)
    return Question("", data_source, "", "", "(unknown)", (), ground_truth)
