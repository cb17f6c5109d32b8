"""One conversation, three paths: evaluation, SFT and GRPO give the same tokens, the same images and the same loss mask."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fakes import answer, call, question
from test_trajectories import BYTES, MILLI, NATIVE, TURNS, read, recorded, write_run

from cof_eval.agent.conversation import Conversation
from cof_eval.agent.engine import Request
from cof_eval.agent.protocols import COF, Protocol
from cof_eval.agent.reply import parse_reply
from cof_eval.agent.zoom import CropSource, View
from cof_eval.core.resolution import PixelLimits
from cof_eval.core.settings import KeepImages
from cof_eval.engines.checkpoint import Checkpoint
from training.data.conversation import RESPONSE_TEMPLATE, WRITTEN, add_turn, load_template, messages_for_trl, parts_for_trl
from training.data.prepare import Inspector
from training.data.rows import DraftRow, TrainingRow
from training.sft import dataset

pytestmark = pytest.mark.slow

SCRIPTS = {
    "zooms, two in one turn": TURNS,
    "calls that fail": [f"{call(9, 9, 2, 2)} {call(20, 20, 60, 60)}", "<tool_call>{broken</tool_call>", answer("B")],
    "no zoom": [answer("B")],
}


@dataclass(frozen=True)
class Rendered:
    """A whole conversation up to the last turn's end mark."""

    ids: list[int]
    grid: list[list[int]]
    learned: list[int]
    """1 where a token is the model's own."""


def by_evaluation(requests: Sequence[Request], script: Sequence[str], processor: Any) -> Rendered:
    """What the engine is sent before each turn, and the turns themselves."""
    checkpoint = Checkpoint(Path(), PixelLimits(28, 3136, 12_845_056), 0, 0, processor)
    prompts = [
        processor(text=[checkpoint.render(r.messages)], images=[i.image for i in r.images], return_tensors="pt")
        for r in requests
    ]
    lengths = [prompt["input_ids"].shape[1] for prompt in prompts]
    texts = [processor.tokenizer(text + "<|im_end|>")["input_ids"] for text in script]
    ids = prompts[-1]["input_ids"][0].tolist() + texts[-1]
    learned = [0] * len(ids)
    for start, text in zip(lengths, texts, strict=True):
        assert ids[start : start + len(text)] == text  # a turn is sent back as it was generated
        learned[start : start + len(text)] = [1] * len(text)
    return Rendered(ids, prompts[-1]["image_grid_thw"].tolist(), learned)


def by_sft(row: TrainingRow, processor: Any) -> Rendered:
    """What TRL's SFT collator makes of a row of training data."""
    from trl.trainer.sft_trainer import DataCollatorForVisionLanguageModeling

    collate = DataCollatorForVisionLanguageModeling(processor, assistant_only_loss=True)
    batch = collate([dataset([row], PixelLimits(28, 3136, 12_845_056))[0]])
    ids, labels = batch["input_ids"][0].tolist(), batch["labels"][0].tolist()
    assert ids[-1:] == processor.tokenizer("\n")["input_ids"]  # the line break after the last end mark
    return Rendered(ids[:-1], batch["image_grid_thw"].tolist(), [int(label != -100) for label in labels[:-1]])


class Zooming:
    """The tool as TRL's environment, on the contract's own hands."""

    def __init__(self, protocol: Protocol) -> None:
        self._protocol = protocol

    def reset(self, images: Any = None, **row: Any) -> None:
        """Begin."""
        native = self._protocol.crop_source is CropSource.NATIVE
        view = View(images[0], NATIVE.size, NATIVE if native else None)
        self.conversation = Conversation(self._protocol, PixelLimits(28, 12_544, 12_845_056), question(), view)

    def image_zoom_in_tool(self, written: str) -> list:  # type: ignore[type-arg]
        """Zoom in.

        Args:
            written: The whole turn.
        """
        return parts_for_trl(add_turn(self.conversation, written)[1], filled=True)


def by_grpo(
    opening: Any, script: Sequence[str], processor: Any, model: Any, tmp_path: Path, protocol: Protocol = COF
) -> Rendered:
    """What TRL's GRPO trainer makes of a rollout whose turns are scripted."""
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer

    class Scripted(GRPOTrainer):  # type: ignore[misc]
        turn, rendered = 0, None

        def _generate_single_turn(self, prompt_ids: Any, *args: Any, **kwargs: Any) -> Any:
            ids = processor.tokenizer(script[self.turn] + "<|im_end|>")["input_ids"]
            self.turn += 1
            return [list(ids) for _ in prompt_ids], None

        def _generate(self, prompts: Any) -> Any:
            out = super()._generate(prompts)
            images = processor.image_processor(images=out[6][0], return_tensors="pt")
            ids, mask = out[0][0] + out[1][0], [0] * len(out[0][0]) + out[2][0]
            self.rendered = Rendered(ids, images["image_grid_thw"].tolist(), mask)
            return out

    messages = messages_for_trl(opening)
    rows = [{"prompt": messages, "images": [opening[1].images[0].image]}] * 2
    arguments = GRPOConfig(
        output_dir=str(tmp_path),
        max_steps=1,
        num_generations=2,
        per_device_train_batch_size=2,
        max_completion_length=4096,
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
        beta=0.0,
        report_to="none",
        save_strategy="no",
        disable_tqdm=True,
    )
    trainer = Scripted(
        model,
        [lambda completions, **more: [float(i) for i, _ in enumerate(completions)]],
        arguments,
        Dataset.from_list(rows),
        processing_class=processor,
        environment_factory=lambda: Zooming(protocol),
    )
    trainer.train()
    assert trainer.rendered is not None and trainer.turn == len(script)
    return trainer.rendered


@pytest.fixture(scope="module")
def model(tiny_data: Path) -> Any:
    from transformers import AutoModelForImageTextToText

    return AutoModelForImageTextToText.from_pretrained(str(tiny_data / "checkpoint"))


CASES = {**{name: (script, COF) for name, script in SCRIPTS.items()}, "a user's own protocol": (TURNS, MILLI)}


@pytest.mark.parametrize(("script", "protocol"), CASES.values(), ids=CASES)
@pytest.mark.filterwarnings("ignore")
def test_evaluation_sft_and_grpo_render_a_trajectory_alike(
    script: list[str], protocol: Protocol, processor: Any, model: Any, tmp_path: Path
) -> None:
    write_run(tmp_path / "run", script, keep=KeepImages.ALL, protocol=protocol)
    (tmp_path / "native.png").write_bytes(BYTES)
    (draft,) = read(tmp_path / "run", errors=True, protocol=protocol, images=str(tmp_path))
    _, engine, _ = recorded(script, "k0", protocol=protocol)
    assert isinstance(draft, DraftRow)
    inspect = Inspector.__new__(Inspector)
    inspect._images = tmp_path / "images"
    pictures = tuple(inspect._picture(image) for image in draft.images)
    row = TrainingRow(source="", row="", messages=draft.messages, images=pictures, tokens=0)

    evaluated = by_evaluation(engine.requests, script, processor)
    trained = by_sft(row, processor)
    explored = by_grpo(engine.requests[0].messages, script, processor, model, tmp_path / "grpo", protocol)
    assert trained == evaluated
    assert explored == evaluated
    own = [token for token, learned in zip(evaluated.ids, evaluated.learned, strict=True) if learned]
    assert processor.tokenizer.decode(own) == "".join(text + "<|im_end|>" for text in script)


@pytest.mark.parametrize("prompting", [True, False])
def test_what_evaluation_sends_is_rendered_as_qwens_own_template_renders_it(prompting: bool, processor: Any) -> None:
    folder = Path(importlib.util.find_spec("trl").origin).parent / "chat_templates"  # type: ignore[union-attr, arg-type]
    stock = (folder / "qwen2_5_vl.jinja").read_text()
    _, engine, _ = recorded(TURNS, "k0")
    messages = messages_for_trl(engine.requests[-1].messages)
    for chat in (messages, messages[1:], messages[:3], [{"role": "user", "content": "Hello"}]):
        rendered = [
            processor.apply_chat_template(chat, chat_template=template, tokenize=False, add_generation_prompt=prompting)
            for template in (load_template(), stock)
        ]
        assert rendered[0] == rendered[1]


TEXTS = [
    ("<think>a</think> <tool_call>{}</tool_call> <tool_call>x", True),
    ("<think>perhaps <answer>A</answer></think>\n<tool_call>{}</tool_call>", True),
    ("<think>should I <tool_call>?</think> <answer>A</answer>", False),
    ("<answer>A</answer> <tool_call>{}</tool_call>", False),
    ("<think>a</think><think>b <answer>A</answer></think> <tool_call>1</tool_call>", True),
    ("\n <TOOL_CALL>{}</TOOL_CALL><answer> </answer>", True),
    ("<tool_call>cut off", True),
    ("I see nothing.", False),
    ("maybe <answer>A</answer></think> <tool_call>{}</tool_call>", True),
    ("maybe</think> <answer>A</answer> <tool_call>{}</tool_call>", False),
    ("maybe</think> <think>x</think> <answer>A</answer> <think>y</think> <tool_call>{}</tool_call>", False),
    ("<think>x</think> <answer>A</answer> still</think> <tool_call>{}</tool_call>", True),
]


def turn_text(message: Mapping[str, Any]) -> str:
    """What the model wrote in a turn that TRL parsed: plain content, and the texts of its calls."""
    content = message.get("content") or ""
    text = content if isinstance(content, str) else "".join(part.get("text") or "" for part in content)
    calls = [(call.get("function") or call).get("arguments") or {} for call in message.get("tool_calls") or []]
    return text + "".join(str(arguments.get(WRITTEN, "")) for arguments in calls)


@pytest.mark.parametrize(("text", "calls"), TEXTS)
def test_trl_reads_a_turn_as_evaluation_does_and_keeps_its_text(text: str, calls: bool, processor: Any) -> None:
    from trl.chat_template_utils import parse_response

    ids = processor.tokenizer(text + "<|im_end|>")["input_ids"]
    prefix = processor.tokenizer("<|im_start|>user\n<tool_call>q<|im_end|>\n<|im_start|>assistant\n")["input_ids"]
    message = parse_response(processor.tokenizer, ids, prefix=prefix)
    reply = parse_reply(text, COF.call_syntax, COF.answer_syntax)
    assert bool(message.get("tool_calls")) is calls is (bool(reply.calls) and reply.answer is None)
    assert turn_text(message) == text
    again = processor.apply_chat_template([{"role": "user", "content": "Hello"}, message], tokenize=False)
    assert again.endswith(f"<|im_start|>assistant\n{text}<|im_end|>\n")


def test_trl_takes_the_template_for_one_that_can_be_trained(processor: Any) -> None:
    from trl.chat_template_utils import (
        is_chat_template_prefix_preserving,
        is_chat_template_stop_token_trained,
        supports_tool_calling,
    )

    assert supports_tool_calling(processor)
    assert is_chat_template_prefix_preserving(processor)
    assert is_chat_template_stop_token_trained(processor)


def test_saving_a_processor_keeps_both_templates(processor: Any, tmp_path: Path) -> None:
    from transformers import AutoProcessor

    processor.save_pretrained(str(tmp_path))
    loaded = AutoProcessor.from_pretrained(str(tmp_path))
    assert loaded.chat_template == loaded.tokenizer.chat_template == load_template()
    assert loaded.tokenizer.response_template == RESPONSE_TEMPLATE
