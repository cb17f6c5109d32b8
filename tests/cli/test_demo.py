"""The demo: scenes whose answers and boxes are true, and a checkpoint that behaves like the model it stands for."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageChops

from cof_eval.benchmarks import Item, vstar
from cof_eval.benchmarks.synthetic import scenes
from cof_eval.cli import demo as command
from cof_eval.core.errors import UsageError
from cof_eval.core.images import header_size, load_native
from cof_eval.core.resolution import RESOLUTIONS, PixelLimits, shown_size, smart_resize, visual_tokens
from cof_eval.engines import tiny_checkpoint as checkpoint

ROOT = Path(__file__).parents[2]
COUNT = 16
LIMITS = PixelLimits(checkpoint.FACTOR, 4 * checkpoint.FACTOR**2, checkpoint.MAX_PIXELS)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


class TestScenes:
    @pytest.fixture(scope="module")
    @staticmethod
    def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
        return scenes.write_scenes(tmp_path_factory.mktemp("scenes"), count=COUNT, seed=3)

    @pytest.fixture(scope="module")
    @staticmethod
    def items(folder: Path) -> list[Item]:
        return vstar.load(folder)

    def test_they_load_as_vstar_with_boxes_and_images(self, items: list[Item]) -> None:
        assert len({item.question.id for item in items}) == COUNT
        for item in items:
            width, height = header_size(item.image.read())
            assert len(item.question.boxes) == (1 if item.question.category == "direct_attributes" else 2)
            assert all(0 <= x1 < x2 <= width and 0 <= y1 < y2 <= height for x1, y1, x2, y2 in item.question.boxes)

    def test_the_seed_decides_every_byte(self, folder: Path, tmp_path: Path) -> None:
        again = contents(scenes.write_scenes(tmp_path / "again", count=COUNT, seed=3))
        other = contents(scenes.write_scenes(tmp_path / "other", count=COUNT, seed=4))
        assert again == contents(folder) != other

    def test_fewer_scenes_are_the_first_ones(self, folder: Path, tmp_path: Path) -> None:
        few = contents(scenes.write_scenes(tmp_path, count=3, seed=3))
        few.pop("test_questions.jsonl")
        assert few.items() <= contents(folder).items()

    def test_the_right_colour_is_what_the_box_shows(self, items: list[Item]) -> None:
        for item in items:
            if item.question.category != "direct_attributes":
                continue
            shares = colours_within(load_native(item.image.read()).crop(item.question.boxes[0]))
            assert max(item.question.options, key=lambda name: shares[name]) == item.question.answer_text

    def test_the_right_side_is_where_the_boxes_are(self, items: list[Item]) -> None:
        for item in items:
            if item.question.category == "relative_position":
                first, second = item.question.boxes
                assert ("on the left side" in item.question.answer_text) == (first[2] < second[0])
                assert ("on the right side" in item.question.answer_text) == (first[0] > second[2])

    def test_right_letters_are_balanced(self, items: list[Item]) -> None:
        for category, options in (("direct_attributes", 4), ("relative_position", 2)):
            letters = Counter(item.question.answer for item in items if item.question.category == category)
            assert len(letters) == options
            assert len(set(letters.values())) == 1

    def test_what_is_asked_about_is_small(self, items: list[Item]) -> None:
        for item in items:
            longest = max(header_size(item.image.read()))
            assert all(max(x2 - x1, y2 - y1) <= 0.05 * longest for x1, y1, x2, y2 in item.question.boxes)

    @pytest.mark.parametrize(("low", "high"), [("672", "1024"), ("1024", "1920"), ("1920", "2560")])
    def test_a_higher_resolution_changes_some_scenes_and_not_others(self, items: list[Item], low: str, high: str) -> None:
        natives = [header_size(item.image.read()) for item in items]
        grown = [shown_size(n, RESOLUTIONS[low], LIMITS) != shown_size(n, RESOLUTIONS[high], LIMITS) for n in natives]
        assert any(grown)
        assert not all(grown)

    def test_they_take_little_room(self, folder: Path) -> None:
        assert sum(len(data) for data in contents(folder).values()) < COUNT * 200_000

    @pytest.mark.parametrize("count", [0, -1])
    def test_no_scenes_are_refused(self, tmp_path: Path, count: int) -> None:
        with pytest.raises(UsageError, match="expected --count of at least 1"):
            scenes.write_scenes(tmp_path, count=count, seed=0)

    @pytest.mark.parametrize("corner", [(40, 30), (0, 0), (999, 999)])
    @pytest.mark.parametrize("kind", scenes.KINDS)
    def test_box_is_exactly_what_the_object_covers(self, kind: str, corner: tuple[int, int]) -> None:
        before = Image.new("RGB", (200, 150), (1, 2, 3))
        after = before.copy()
        x, y, width, height = scenes._place(after, kind, scenes.COLOURS["red"], corner, 31)
        assert ImageChops.difference(before, after).getbbox() == (x, y, x + width, y + height)


def colours_within(crop: Image.Image) -> Counter[str]:
    """How many pixels of a crop are close to each named colour."""
    found: Counter[str] = Counter()
    for x in range(crop.width):
        for y in range(crop.height):
            pixel: Any = crop.getpixel((x, y))
            for name, colour in scenes.COLOURS.items():
                found[name] += max(abs(a - b) for a, b in zip(pixel, colour, strict=True)) <= 24
    return found


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


class TestCommand:
    def test_it_writes_both_parts_once_and_says_so(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert command.main([str(tmp_path), "--count", "2"]) == 0
        first = contents(tmp_path)
        assert command.main([str(tmp_path), "--count", "2"]) == 0
        assert contents(tmp_path) == first
        vstar_folder, model_folder = tmp_path / "vstar", tmp_path / "tiny-qwen2.5-vl"
        assert len(vstar.load(vstar_folder)) == 2
        assert capsys.readouterr().out.splitlines() == [
            f"{vstar_folder}: written",
            f"{model_folder}: written",
            f"{vstar_folder}: up to date",
            f"{model_folder}: up to date",
        ]
        assert sorted(path.name for path in tmp_path.iterdir()) == ["tiny-qwen2.5-vl", "vstar"]

        code = f"import sys; from cof_eval.cli.demo import main; main([{str(tmp_path)!r}, '--count', '2']); print('torch' in sys.modules)"
        environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
        ran = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
        assert ran.stdout.splitlines()[-1] == "False", "checking an existing demo must not import torch"

    def test_bad_count_is_one_line_and_usage_status(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert command.main([str(tmp_path), "--count", "0"]) == 2
        assert capsys.readouterr().err.startswith("error: a demo of 0 scenes")
