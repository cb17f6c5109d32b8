"""A checkpoint of a million parameters that behaves like the model it stands for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from cof_eval.core.resolution import PixelLimits, smart_resize, visual_tokens
from cof_eval.engines import tiny_checkpoint as checkpoint

pytestmark = pytest.mark.slow

LIMITS = PixelLimits(checkpoint.FACTOR, 4 * checkpoint.FACTOR**2, checkpoint.MAX_PIXELS)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checkpoint.write_checkpoint(tmp_path_factory.mktemp("checkpoint"))


@pytest.fixture(scope="module")
def processor(tiny: Path) -> Any:
    from transformers import AutoProcessor

    return AutoProcessor.from_pretrained(tiny)


@pytest.fixture(scope="module")
def model(tiny: Path) -> Any:
    from transformers import AutoModelForImageTextToText

    return AutoModelForImageTextToText.from_pretrained(tiny).eval()


def asked(image: Image.Image, text: str = "What is the color of the mug?") -> list[dict[str, Any]]:
    return [{"role": "user", "content": [{"type": "image", "image": image}, {"type": "text", "text": text}]}]


def prompt(processor: Any, image: Image.Image) -> Any:
    return processor.apply_chat_template(
        asked(image), add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
    )


class TestCheckpoint:
    def test_the_seed_decides_the_weights(self, tiny: Path, tmp_path: Path) -> None:
        again = contents(checkpoint.write_checkpoint(tmp_path / "again", seed=0))
        other = contents(checkpoint.write_checkpoint(tmp_path / "other", seed=1))
        assert again == contents(tiny)
        assert {name for name in again if again[name] != other[name]} == {"model.safetensors"}

    def test_writing_leaves_the_random_state_alone(self, tmp_path: Path) -> None:
        import torch

        before = torch.random.get_rng_state()
        checkpoint.write_checkpoint(tmp_path)
        assert torch.equal(before, torch.random.get_rng_state())

    def test_it_has_about_a_million_parameters(self, model: Any) -> None:
        assert 1_000_000 < sum(p.numel() for p in model.parameters()) < 2_000_000

    def test_it_attends_within_windows_only_and_has_a_long_context(self, model: Any, processor: Any) -> None:
        assert list(model.config.vision_config.fullatt_block_indexes) == []
        assert model.config.text_config.max_position_embeddings == processor.tokenizer.model_max_length == 131_072

    @pytest.mark.parametrize("size", [(1, 1), (30, 200), (640, 480), (1280, 960), (3840, 2160)])
    def test_an_image_has_the_visual_tokens_of_its_target_size(self, processor: Any, size: tuple[int, int]) -> None:
        tokens = prompt(processor, Image.new("RGB", size, "gray"))["input_ids"]
        expected = visual_tokens(smart_resize(*size, LIMITS), checkpoint.FACTOR)
        assert int((tokens == processor.tokenizer.convert_tokens_to_ids("<|image_pad|>")).sum()) == expected

    def test_its_cap_on_pixels_can_be_lowered(self, tmp_path: Path) -> None:
        from transformers import AutoProcessor

        processor = AutoProcessor.from_pretrained(checkpoint.write_checkpoint(tmp_path, max_pixels=448 * 448))
        tokens = prompt(processor, Image.new("RGB", (1280, 960)))["input_ids"]
        expected = smart_resize(1280, 960, LIMITS.within(max_pixels=448 * 448))
        assert int((tokens == processor.tokenizer.convert_tokens_to_ids("<|image_pad|>")).sum()) == visual_tokens(expected, 28)

    def test_it_answers_about_an_image_without_writing_placeholders(self, model: Any, processor: Any) -> None:
        inputs = prompt(processor, Image.effect_noise((84, 56), 90).convert("RGB"))
        output = model.generate(**inputs, max_new_tokens=24, do_sample=False)[0, inputs["input_ids"].shape[1] :].tolist()
        assert output
        silent = set(processor.tokenizer.convert_tokens_to_ids(list(checkpoint.SPECIAL))) - {
            model.config.text_config.eos_token_id
        }
        assert not silent & set(output)

    def test_what_it_sees_changes_what_it_computes(self, model: Any, processor: Any) -> None:
        dark, light = (
            model(**prompt(processor, Image.new("RGB", (84, 56), tone))).logits[0, -1] for tone in ("black", "white")
        )
        assert not dark.equal(light)


TURNS: dict[str, tuple[list[dict[str, Any]], str]] = {
    "default system prompt": (
        [{"role": "user", "content": "hi"}],
        "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n",
    ),
    "own system prompt": (
        [{"role": "system", "content": "Be brief.\n"}, {"role": "user", "content": "hi"}],
        "<|im_start|>system\nBe brief.\n<|im_end|>\n<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n",
    ),
    "images of both types, space kept": (
        [
            {"role": "system", "content": [{"type": "text", "text": "S"}]},
            {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "\n What?  \n\n"}]},
            {"role": "assistant", "content": "<think>x</think>\n"},
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "u"}}, {"type": "text", "text": " go"}]},
        ],
        "<|im_start|>system\nS<|im_end|>\n"
        "<|im_start|>user\n<|vision_start|><|image_pad|><|vision_end|>\n What?  \n\n<|im_end|>\n"
        "<|im_start|>assistant\n<think>x</think>\n<|im_end|>\n"
        "<|im_start|>user\n<|vision_start|><|image_pad|><|vision_end|> go<|im_end|>\n<|im_start|>assistant\n",
    ),
}


class TestPromptFormat:
    @pytest.mark.parametrize(("turns", "expected"), TURNS.values(), ids=TURNS.keys())
    def test_turns_are_rendered_as_the_real_model_reads_them(
        self, processor: Any, turns: list[dict[str, Any]], expected: str
    ) -> None:
        rendered = processor.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        assert rendered == expected
        without = processor.tokenizer.apply_chat_template(turns, tokenize=False)
        assert without + "<|im_start|>assistant\n" == rendered

    @pytest.mark.parametrize("text", ["Zoom in [1, 20, 300]", "naïve 你好 🙂", "<think>a</think>\n<tool_call>{}", "", " \n\t "])
    def test_every_text_survives_the_tokenizer(self, processor: Any, text: str) -> None:
        assert processor.tokenizer.decode(processor.tokenizer(text)["input_ids"]) == text

    def test_words_of_prompts_are_short_and_digits_single(self, processor: Any) -> None:
        tokenizer = processor.tokenizer
        assert 1000 <= len(tokenizer) <= 2000
        text = "You may call a function to zoom in on a region of the image, then give the final answer."
        assert len(tokenizer(text)["input_ids"]) < len(text) / 3.5
        assert len(tokenizer("1234")["input_ids"]) == 4
        assert all(len(tokenizer(tag)["input_ids"]) == 1 for tag in (*checkpoint.MARKUP, *checkpoint.SPECIAL))
