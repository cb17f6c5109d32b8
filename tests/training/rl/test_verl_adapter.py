"""Our tool and rewards behind verl's interfaces, on a fake of its seam: the real one lives in another environment."""

from __future__ import annotations

import asyncio
import importlib
from pathlib import Path

import pytest
from memorised import ANSWERS, CALL, RESOLUTION, ZOOMING, zoomed_conversation

from cof_eval.agent.engine import TextPart
from cof_eval.agent.rollout import Subject
from cof_eval.benchmarks import Item
from cof_eval.core.errors import UsageError
from cof_eval.engines.checkpoint import load_checkpoint
from cof_eval.engines.tiny_checkpoint import write_checkpoint
from training.rl import verl_adapter
from training.rl.prompts import prompt_rows
from training.rl.rewards import Facts
from training.rl.verl_adapter import compute_score, compute_scores, facts_of_text, open_sessions, verl_row

pytestmark = pytest.mark.slow

COF_TURNS = [CALL, ANSWERS[0]]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("verl") / "tiny")


@pytest.fixture
def subject(scenes: list[Item], checkpoint: Path) -> Subject:
    subject: Subject = prompt_rows(scenes, ZOOMING, load_checkpoint(str(checkpoint)).limits, RESOLUTION)[0]["subject"]
    return subject


def decoded(subject: Subject, checkpoint: Path, turns: list[str], *, special: bool) -> str:
    """A rollout after its prompt as verl decodes it."""
    loaded = load_checkpoint(str(checkpoint))
    messages = zoomed_conversation(subject, ZOOMING, ZOOMING.limits(loaded.limits), turns)
    prompt, whole = loaded.render(tuple(messages[:2])), loaded.render(tuple(messages))
    text = whole.removeprefix(prompt).removesuffix("<|im_start|>assistant\n")
    ids = loaded.processor.tokenizer.encode(text, add_special_tokens=False)
    return str(loaded.processor.tokenizer.decode(ids, skip_special_tokens=not special))


@pytest.mark.parametrize("special", [True, False])
def test_a_decoded_rollout_is_read_like_its_trajectory(subject: Subject, checkpoint: Path, special: bool) -> None:
    right = f"<think>seen</think> <answer>{subject.question.answer}</answer>"
    for turns, facts in [
        ([right], Facts(True, False, True)),
        ([CALL, right], Facts(True, True, True)),
        ([CALL, CALL, "<think>hm</think> <answer>Z</answer>"], Facts(False, True, True)),
        ([CALL, "I do not know."], Facts(False, True, False)),
        (["<tool_call>{zoom}</tool_call>", right], Facts(True, False, False)),
    ]:
        assert facts_of_text(decoded(subject, checkpoint, turns, special=special), subject.question) == facts


def test_scores_are_the_released_mixture_and_agar_of_the_whole_batch(scenes: list[Item], checkpoint: Path) -> None:
    limits = load_checkpoint(str(checkpoint)).limits
    row = verl_row(scenes[0], 7, ZOOMING, limits, RESOLUTION)
    right = f"<think>seen</think> <answer>{scenes[0].question.answer}</answer>"
    zoomed = f"{CALL}\nuser\n{ZOOMING.format}\nassistant\n{right}"
    truth, info = row["reward_model"]["ground_truth"], row["extra_info"]
    assert compute_score("vstar", right, truth, info) == pytest.approx(1.0)
    assert compute_score("vstar", "I do not know.", truth, info) == 0.0
    batch = [right, zoomed, zoomed]
    infos = [info, info, {**info, "index": 8}]
    assert compute_scores(["vstar"] * 3, batch, [truth] * 3, infos) == pytest.approx([1.0, 0.8, 1.0])


def test_a_row_holds_the_prompt_that_the_evaluation_sends(scenes: list[Item], checkpoint: Path, subject: Subject) -> None:
    row = verl_row(scenes[0], 0, ZOOMING, load_checkpoint(str(checkpoint)).limits, RESOLUTION)
    sent = zoomed_conversation(subject, ZOOMING, ZOOMING.limits(load_checkpoint(str(checkpoint)).limits), [ANSWERS[0]])
    texts = ["".join(p.text for p in message.parts if isinstance(p, TextPart)) for message in sent[:2]]
    assert [message["content"].removeprefix("<image>") for message in row["prompt"]] == texts


def test_verls_tool_gives_the_evaluations_crops_and_words(
    checkpoint: Path, subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent / "fake_verl"))
    tool = verl_adapter.CofZoomTool({"checkpoint": str(checkpoint), "crop_pixels": 224 * 224}, None)
    assert subject.view is not None

    async def use() -> tuple[object, object]:
        name, _ = await tool.create(create_kwargs={"image": subject.view.shown})
        crop, *_ = await tool.execute(name, {"bbox_2d": [20, 20, 90, 90]})
        wrong, *_ = await tool.execute(name, {"bbox_2d": [90, 20, 20, 90]})
        await tool.release(name)
        return crop, wrong

    crop, wrong = asyncio.run(use())
    limits = ZOOMING.limits(load_checkpoint(str(checkpoint)).limits)
    handed_back = zoomed_conversation(subject, ZOOMING, limits, COF_TURNS)[3]
    assert crop.image[0].tobytes() == handed_back.images[0].image.tobytes()
    assert crop.text == ZOOMING.format
    assert wrong.image is None and wrong.text.startswith("Invalid bounding box")


def test_the_adapter_needs_no_verl_until_its_tool_is_asked_for(checkpoint: Path) -> None:
    assert open_sessions({"checkpoint": str(checkpoint)}).protocol.max_pixels == 5120 * 28 * 28
    with pytest.raises(UsageError, match="cuts crops from the native image; verl hands over the shown one only"):
        open_sessions({"checkpoint": str(checkpoint), "protocol_args": {"crop_source": "native"}})
    with pytest.raises(AttributeError, match="has no attribute 'Zoom'"):
        importlib.import_module("training.rl.verl_adapter").Zoom  # noqa: B018
