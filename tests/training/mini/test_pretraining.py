"""Pre-training of the small model: its shortcuts give what transformers gives, it learns, and goes on where it was stopped."""

from __future__ import annotations

import json
import re
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest

from cof_eval.agent.protocols import COF_MINI, DIRECT
from cof_eval.agent.reply import parse_reply
from cof_eval.benchmarks.synthetic.questions import make_questions
from cof_eval.benchmarks.synthetic.world import ASPECT, COLOURS, DOT, NATIVE, Plate, Scene
from training.mini import wording
from training.mini.__main__ import CALLS, LANGUAGE, write_checkpoint
from training.mini.chat_tokens import ChatTokenizer, Piece, exchange, opening, run_model
from training.mini.checkpoint import build_model, write_start
from training.mini.language import LanguagePlan, SceneSampling, fill_pool, train_language
from training.mini.lessons import answer_turn, call_from_thought, full_turn, look_up_turns, scene_with_one_of_each, short_turns
from training.mini.pixels import NOTHING, READABLE, SCALES, UNREADABLE, PlateWindow, draw_crowd, label, patches, shown, window
from training.mini.session import Session
from training.mini.vision import SIZE, VisionPlan, build_head, train_vision
from training.recipe.recipe_file import load_recipe

pytestmark = pytest.mark.slow

WHOLE = PlateWindow(SIZE[0], 2 * SIZE[0], size=SIZE)


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The untrained checkpoint."""
    return write_start(tmp_path_factory.mktemp("mini") / "start", seed=3)


@pytest.fixture(scope="module")
def processor(start: Path) -> Any:
    from transformers import AutoProcessor

    return AutoProcessor.from_pretrained(start)


@pytest.fixture
def model(processor: Any) -> Any:
    return build_model(processor.tokenizer, seed=3)


@pytest.fixture(scope="module")
def scene() -> Scene:
    return scene_with_one_of_each(Random(3), smallest=0.5)


def test_digits_colours_and_letters_are_one_token_each(processor: Any) -> None:
    for word in (*"0123456789", *"ABCD", *(f" {colour}" for colour in COLOURS)):
        assert len(processor.tokenizer(word)["input_ids"]) == 1, word


def test_patches_are_those_of_the_image_processor(processor: Any, scene: Scene) -> None:
    images = [shown(scene, SIZE), shown(scene, (504, 392))]
    values, grids = patches(images)
    expected = processor.image_processor(images=images, return_tensors="pt")
    assert grids.tolist() == expected["image_grid_thw"].tolist()
    assert float((values - expected["pixel_values"]).abs().max()) < 1e-5


def test_a_taught_conversation_has_the_tokens_and_logits_of_evaluation(processor: Any, model: Any, scene: Scene) -> None:
    import torch

    image, question = shown(scene, SIZE), "Where is the red plate?"
    parts = [{"type": "image"}, {"type": "text", "text": DIRECT.prompt(question)}]
    said = [
        {"role": "system", "content": [{"type": "text", "text": DIRECT.system}]},
        {"role": "user", "content": parts},
        {"role": "assistant", "content": [{"type": "text", "text": "Here."}]},
    ]
    expected = processor(text=[processor.apply_chat_template(said)], images=[image], return_tensors="pt")
    chat_tokenizer = ChatTokenizer(processor.tokenizer)
    batch = chat_tokenizer.batch([[Piece(opening(63)), *exchange(question, "Here.", first=True)]])
    length = batch["input_ids"].shape[1]
    assert torch.equal(batch["input_ids"], expected["input_ids"][:, :length])
    with torch.no_grad():
        values, grids = patches([image])
        features = model.model.visual(values, grid_thw=grids).pooler_output[None]
        ours = run_model(model, chat_tokenizer, batch, features, SIZE)
        theirs = model(**expected).logits[:, :length]
    assert float((ours - theirs).abs().max()) < 1e-3


def test_the_loss_is_taken_on_what_is_taught(processor: Any) -> None:
    chat_tokenizer = ChatTokenizer(processor.tokenizer)
    batch = chat_tokenizer.batch(
        [[Piece("Where is it?"), Piece("Here.", taught=True)], [Piece("Where?"), Piece("No.", taught=True)]]
    )
    taught = [row[row != -100] for row in batch["labels"]]
    assert [processor.tokenizer.decode(row) for row in taught] == ["Here.", "No."]


def test_tokens_are_labelled_with_the_plates_whose_centre_they_hold() -> None:
    plates = (Plate("red", "blue", 0.05, 0.05, 0.1, True), Plate("white", "green", 0.96, ASPECT - 0.02, 3 / SIZE[0], False))
    labels = label(Scene(plates, 0), WHOLE)
    names = [*COLOURS]
    assert (labels.plate != NOTHING).nonzero()[0].tolist() == [0, 62]
    assert labels.plate[[0, 62]].tolist() == [names.index("red"), names.index("white")]
    assert labels.dot[[0, 62]].tolist() == [names.index("blue"), UNREADABLE]
    assert (labels.column[[0, 1, 62]].tolist(), labels.row[[0, 1, 62]].tolist()) == ([0, 1, 9], [0, 0, 9])


@pytest.mark.parametrize(
    "view", [PlateWindow(504, 1008), PlateWindow(756, NATIVE[0]), PlateWindow(1512, 756), PlateWindow(2 * NATIVE[0], NATIVE[0])]
)
def test_a_dot_is_to_be_told_from_three_pixels_on_as_the_encoder_sees_them(view: PlateWindow) -> None:
    for pixels, told in ((0.9 * READABLE, False), (1.1 * READABLE, True)):
        plate = Plate("red", "blue", 0.05, 0.05, pixels / view.width / DOT, True)
        dot = label(Scene((plate,), 0), view).dot
        assert (dot[dot >= 0] == [*COLOURS].index("blue")).tolist() == [told]


def test_a_window_is_that_part_of_the_whole_picture_and_its_labels_too(scene: Scene) -> None:
    whole, part = PlateWindow(504, 1008, size=(504, 392)), PlateWindow(504, 1008, 84, 56)
    assert np.array_equal(np.asarray(shown(scene, (504, 392))), np.asarray(window(scene, whole)))
    inner = (slice(56 + 8, 56 + 188), slice(84 + 8, 84 + 244))  # resizing looks over a window's edge
    ours, theirs = np.asarray(window(scene, whole), dtype=int)[inner], np.asarray(window(scene, part), dtype=int)[8:188, 8:244]
    assert np.abs(ours - theirs).mean() < 0.5  # clutter that an edge cuts is drawn half a pixel elsewhere
    cut = np.s_[2:9, 3:12]
    for name in ("plate", "dot", "column", "row"):
        assert np.array_equal(
            getattr(label(scene, whole), name).reshape(14, 18)[cut].ravel(), getattr(label(scene, part), name)
        )


def test_crowds_come_at_every_scale_and_are_labelled_where_they_are_painted() -> None:
    rng = Random(1)
    crowds = [draw_crowd(rng) for _ in range(60)]
    assert {(view.width, view.painted) for _, view in crowds} == {(width, painted) for width, painted, _ in SCALES}
    for scene, view in crowds:
        assert len(scene.plates) >= 2
        assert (label(scene, view).plate != NOTHING).any()
        assert window(scene, view).size == SIZE


def test_a_list_teaches_one_thing_about_every_plate_behind_its_colour(scene: Scene) -> None:
    rng = Random(0)
    truths = [
        {plate.colour: plate.dot for plate in scene.plates},
        {plate.colour: f"{int(plate.x * 10)}50" for plate in scene.plates},
        {plate.colour: f"{int(plate.y / ASPECT * 10)}50" for plate in scene.plates},
    ]
    kinds = set()
    for _ in range(20):
        _, *pieces = look_up_turns(scene, 63, rng)
        assert [piece.taught for piece in pieces] == [False, True] * len(scene.plates)
        told = {a.text.strip(): b.text.strip() for a, b in zip(pieces[::2], pieces[1::2], strict=True)}
        kinds.add(truths.index(told))
    assert kinds == {0, 1, 2}


def test_what_is_taught_to_say_is_the_right_answer_as_evaluation_reads_it() -> None:
    for one in make_questions(40, seed="train/said"):
        reply = parse_reply(wording.direct_turn(one), DIRECT.call_syntax, DIRECT.answer_syntax)
        assert reply.answer == one.options[one.right]


def test_taught_turns_are_true_of_the_scene(scene: Scene) -> None:
    rng, dots = Random(0), {plate.colour: plate.dot for plate in scene.plates}
    for question, answer in [*short_turns(scene, 30, rng), *(full_turn(scene, rng) for _ in range(30))]:
        if "color" in question:
            colour = question.split(" plate?")[0].split()[-1]
            assert f"Plate and dot: {colour} {dots[colour]}." in answer


def test_answers_can_be_told_from_the_thought() -> None:
    rng = Random(0)
    for question, thought, answer in (answer_turn(rng) for _ in range(50)):
        option = answer.removesuffix("</answer>").strip()
        assert f") {option}\n" in question
        if "color" in question:
            assert thought.startswith("<think>Plate and dot:")
            assert f" {option}." in thought
        else:
            first, second = (int(number) for number in re.findall(r"Across: [a-z]+(\d{3})\.", thought))
            assert option == ("left" if first < second else "right")


def test_calls_are_learned_after_everything_that_makes_the_base() -> None:
    assert CALLS.calls and not any(plan.calls for plan in LANGUAGE)
    assert load_recipe(Path("mini_sft")).model == f"results/training/mini/{CALLS.stage}"


def test_calls_are_told_by_the_thought_and_begin_as_evaluation_asks() -> None:
    rng, places = Random(0), set()
    for _ in range(50):
        given, call = call_from_thought(rng)
        assert (given.taught, call.taught) == (False, True)
        assert given.text.startswith(f"<|im_start|>system\n{COF_MINI.system}<|im_end|>\n")
        across, down = (int(number) for number in re.findall(r"(?:Across|Down): [a-z]+(\d{3})\.", given.text))
        (found,) = parse_reply(call.text.removesuffix("<|im_end|>"), COF_MINI.call_syntax, COF_MINI.answer_syntax).calls
        x1, y1, x2, y2 = found.arguments["bbox_2d"]
        assert ((x1 + x2) / 2, (y1 + y2) / 2) == (across, down)
        places.add((across, down))
    assert len(places) > 30


def losses(folder: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in (folder / "metrics.jsonl").read_text().splitlines()]


class _StopError(Exception):
    pass


class _Interrupted(Session):
    """Stops after some steps, as a killed process would: with what it last saved."""

    def log(self, measured: dict[str, float]) -> None:
        super().log(measured)
        self.left = getattr(self, "left", 4) - 1
        if not self.left:
            raise _StopError


def test_the_vision_stage_learns_and_a_resumed_one_ends_where_an_uninterrupted_one_does(
    processor: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import torch

    plan = VisionPlan(steps=8, batch=4, warmup=2)
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    ends = []
    for folder in (whole, broken):
        folder.mkdir()
        model = build_model(processor.tokenizer, seed=3)
        if folder == broken:
            with pytest.raises(_StopError):
                train_vision(model, build_head(3), _Interrupted(folder, log_steps=1, save_s=0), plan)
            assert len(losses(folder)) == 3
            model = build_model(processor.tokenizer, seed=4)  # what was trained comes from the folder
        train_vision(model, build_head(3), Session(folder, log_steps=1), plan)
        ends.append(torch.cat([weight.flatten() for weight in model.model.visual.parameters()]))
    assert losses(broken) == losses(whole)
    assert len(losses(whole)) == 8
    assert losses(whole)[-1] < losses(whole)[0]
    assert torch.equal(*ends)
    assert "vision 8/8" in capsys.readouterr().err


def test_the_language_stage_learns_at_several_sizes_and_leaves_the_encoder_alone(
    model: Any, processor: Any, tmp_path: Path
) -> None:
    import torch

    before = [weight.clone() for weight in model.model.visual.parameters()]
    views = (SceneSampling(size=SIZE, pool=3, images=2, share=0.5), SceneSampling(size=(504, 392), pool=2, images=1, share=0.5))
    plan = LanguagePlan(stage="try", steps=12, views=views, lists=0.3, turns=4, full=0.5, texts=4, calls=4, warmup=2)
    train_language(model, processor.tokenizer, Session(tmp_path, log_steps=3), plan)
    assert losses(tmp_path)[-1] < losses(tmp_path)[0]
    assert all(torch.equal(a, b) for a, b in zip(before, model.model.visual.parameters(), strict=True))


def test_a_checkpoint_is_written_in_bf16_and_training_goes_on_in_32_bits(start: Path, model: Any, tmp_path: Path) -> None:
    import torch
    from transformers import Qwen2_5_VLForConditionalGeneration

    written = Qwen2_5_VLForConditionalGeneration.from_pretrained(
        write_checkpoint(model, start, tmp_path / "base"), dtype="auto"
    )
    assert {weight.dtype for weight in written.parameters()} == {torch.bfloat16}
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}
    for stored, trained in zip(written.parameters(), model.parameters(), strict=True):
        assert torch.equal(stored, trained.to(torch.bfloat16))


def test_pools_hold_the_features_of_their_scenes(model: Any) -> None:
    pool = fill_pool(model, SceneSampling(size=SIZE, pool=3, images=1, share=1), seed="pool")
    values, grids = patches([shown(pool.scenes[2], SIZE)])
    assert pool.features.shape == (3, 63, 128)
    np.testing.assert_allclose(pool.features[2], model.model.visual(values, grid_thw=grids).pooler_output.detach(), atol=1e-4)


def test_scenes_are_painted_alike_at_every_size() -> None:
    one = make_questions(1, seed="train/alike")[0].scene
    small, large = (np.asarray(shown(one, SIZE, fine=fine), dtype=float) for fine in (2, NATIVE[0] // SIZE[0]))
    assert np.abs(small - large).mean() < 3
