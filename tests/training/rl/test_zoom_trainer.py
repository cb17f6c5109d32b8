"""GRPO's rollouts: the model's own turns and crops, sampled, masked, rewarded and kept as the evaluation would."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from fakes import ScriptedEngine
from memorised import ANSWERS, CALL, ZOOMING, labels, zoomed_conversation

from cof_eval.agent.protocols import BoxFrame, parse_protocol
from cof_eval.agent.rollout import rollout
from cof_eval.agent.zoom import CropSource
from cof_eval.core.errors import EngineUnusableError
from cof_eval.core.images import pixel_hash, resize
from cof_eval.core.records import Stop
from cof_eval.report import report_runs, write_report
from cof_eval.runs.folder import load_run
from training.data.conversation import messages_for_trl
from training.rl.zoom_trainer import ZoomTrainer

pytestmark = pytest.mark.slow

Make = Callable[..., Any]
END = "<|im_end|>"


class Watched(ZoomTrainer):
    """Keeps what it sampled and what it handed to the update."""

    def _generate(self, prompts: list[Any]) -> Any:
        self.sampled = super()._generate(prompts)
        return self.sampled

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> Any:
        self.inputs, self.batch = inputs, super()._generate_and_score_completions(inputs)
        return self.batch


class Scripted(Watched):
    """Samples what a script says: the turn's number and the rollout's place in the batch decide."""

    script: Callable[[int, int], str]
    turn = 0

    def _generate_single_turn(self, prompt_ids: Any, *_: Any, **__: Any) -> Any:
        texts = [self.script(self.turn, i) for i in range(len(prompt_ids))]
        self.turn += 1
        return [self._tokenizer.encode(text, add_special_tokens=False) for text in texts], None


def sampled_once(made: Any) -> list[Any]:
    """The trajectories of one batch of four rollouts, two to each of two prompts."""
    rows = [made.trainer.train_dataset[i] for i in (0, 0, 1, 1)]
    made.trainer.model.train()
    made.trainer._generate_and_score_completions(rows)
    return made.trainer._ended


def scripted(make: Make, script: Callable[[int, int], str], **options: Any) -> tuple[Any, list[Any]]:
    made = make(Scripted, **options)
    made.trainer.script = script
    return made, sampled_once(made)


@pytest.fixture(scope="module")
def _quiet() -> None:
    torch.set_num_threads(1)


def test_rollouts_hold_several_turns_and_crops_and_teach(trainer: Make, _quiet: None) -> None:
    made = trainer(Watched)
    made.trainer.train()
    trajectories = list(made.run.trajectories.values())
    assert len(trajectories) == 8
    zoomed = [t for t in trajectories if t.zooms]
    assert zoomed and all(len(t.turns) > 1 and t.verified for t in zoomed)
    assert all(t.visual_tokens > t.shown.visual_tokens for t in zoomed)
    steps = [line for line in made.trainer.state.log_history if "reward" in line]
    assert [line["rollout/zooms"] > 0 for line in steps] == [True, True]
    assert any(line["grad_norm"] > 0 for line in steps)


def test_rendering_a_rollout_again_gives_the_sampled_tokens(trainer: Make, _quiet: None) -> None:
    made = trainer(Watched)
    trajectories = sampled_once(made)
    prompt_ids, completion_ids, own, *_ = made.trainer.sampled
    compared = 0
    for i, trajectory in enumerate(trajectories):
        if trajectory.zooms == 0 or trajectory.stop is not Stop.ANSWERED:
            continue
        subject = made.trainer.inputs[i]["subject"]
        messages = zoomed_conversation(subject, ZOOMING, made.limits, [turn.text for turn in trajectory.turns])
        again = made.checkpoint.processor.apply_chat_template(
            messages_for_trl(messages, filled=True), tokenize=True, return_dict=True, return_tensors="pt"
        )
        whole = [*prompt_ids[i], *completion_ids[i]]
        assert again["input_ids"][0].tolist()[: len(whole)] == whole
        learned = [token if mine else -100 for token, mine in zip(completion_ids[i], own[i], strict=True)]
        as_sft = labels(made.checkpoint.processor, again["input_ids"][0]).tolist()
        assert as_sft[: len(whole)] == [-100] * len(prompt_ids[i]) + learned
        compared += 1
    assert compared


def test_only_the_models_own_turns_are_learned_from(trainer: Make, _quiet: None) -> None:
    made, trajectories = scripted(trainer, lambda turn, i: (CALL if turn == 0 else ANSWERS[0]) + END)
    _, completion_ids, own, *_ = made.trainer.sampled
    decode = made.checkpoint.processor.tokenizer.decode
    for ids, mine, trajectory in zip(completion_ids, own, trajectories, strict=True):
        assert decode([t for t, m in zip(ids, mine, strict=True) if m]) == CALL + END + ANSWERS[0] + END
        masked = [t for t, m in zip(ids, mine, strict=True) if not m]
        assert masked.count(made.checkpoint.image_token_id) == trajectory.calls[0].crop.visual_tokens
    assert made.trainer.batch["tool_mask"].sum() == sum(map(sum, own))


def test_the_update_sees_what_a_fresh_look_at_the_conversation_sees(trainer: Make, _quiet: None) -> None:
    made, _ = scripted(trainer, lambda turn, i: (CALL if turn == 0 and i != 1 else ANSWERS[i % 2]) + END)
    batch, model = made.trainer.batch, made.trainer.model.eval()
    ids = torch.cat([batch["prompt_ids"], batch["completion_ids"]], 1)
    mask = torch.cat([batch["prompt_mask"], batch["completion_mask"]], 1)
    images = {k: batch[k] for k in ("num_images", "pixel_values", "image_grid_thw", "mm_token_type_ids")}
    with torch.no_grad():
        seen, *_ = made.trainer._get_per_token_logps_and_entropies(model, ids, mask, batch["completion_ids"].shape[1], **images)
    for i, trajectory in enumerate(made.trainer._ended):
        subject = made.trainer.inputs[i]["subject"]
        messages = zoomed_conversation(subject, ZOOMING, made.limits, [turn.text for turn in trajectory.turns])
        fresh = made.checkpoint.processor.apply_chat_template(
            messages_for_trl(messages, filled=True), tokenize=True, return_dict=True, return_tensors="pt"
        )
        own = batch["tool_mask"][i].bool() & batch["completion_mask"][i].bool()
        length, start = int(batch["completion_mask"][i].sum()), int(batch["prompt_mask"][i].sum())
        with torch.no_grad():
            logits = model(**fresh).logits[0, start - 1 : start + length - 1].log_softmax(-1)
        expected = logits.gather(1, fresh["input_ids"][0, start : start + length, None])[:, 0]
        assert torch.allclose(seen[i, :length][own[:length]], expected[own[:length]], atol=1e-4)


def test_a_training_rollout_is_the_evaluations(trainer: Make, _quiet: None) -> None:
    texts = [CALL, "<think>odd</think> <tool_call>{zoom in}</tool_call>", ANSWERS[0]]
    made, trajectories = scripted(trainer, lambda turn, i: texts[turn] + END)
    subject = made.trainer.inputs[0]["subject"]
    evaluated = made.runner.run(rollout(subject, ScriptedEngine(lambda request, turn: texts[turn]), ZOOMING))
    trained = trajectories[0]
    assert [turn.calls for turn in trained.turns] == [turn.calls for turn in evaluated.turns]
    assert (trained.answer, trained.stop, trained.shown) == (evaluated.answer, evaluated.stop, evaluated.shown)
    assert trained.zooms == trained.tool_errors == 1


def test_rollouts_follow_a_users_own_protocol(trainer: Make, _quiet: None) -> None:
    mine = replace(
        ZOOMING, name="mine", frame=BoxFrame.MILLI, crop_source=CropSource.NATIVE, system="Look.", format="", closing=""
    )
    far = CALL.replace("[20, 20, 90, 90]", "[600, 600, 900, 900]")  # outside the image, were these its pixels
    texts = [far, ANSWERS[0]]
    made, trajectories = scripted(trainer, lambda turn, i: texts[turn] + END, protocol=mine)
    subject = made.trainer.inputs[0]["subject"]
    evaluated = made.runner.run(rollout(subject, ScriptedEngine(lambda request, turn: texts[turn]), mine))
    (zoom,) = trajectories[0].calls
    assert (zoom.frame, zoom.box, zoom.executed) == ("milli", (600.0, 600.0, 900.0, 900.0), True)
    assert [turn.calls for turn in trajectories[0].turns] == [turn.calls for turn in evaluated.turns]
    crop = subject.view.native.crop(tuple(int(v) for v in zoom.crop.native_box))
    assert pixel_hash(resize(crop, zoom.crop.size)) == zoom.crop.hash
    prompt = made.checkpoint.processor.tokenizer.decode(made.trainer.sampled[0][0])
    assert prompt.startswith("<|im_start|>system\nLook.<|im_end|>")


def test_a_protocol_without_a_tool_is_sampled_once(trainer: Make, _quiet: None) -> None:
    direct = parse_protocol("direct", {"max_new_tokens": 80, "temperature": 1.0, "max_pixels": 224 * 224})
    made, trajectories = scripted(trainer, lambda turn, i: f"{CALL}{END}" if i else f"A{END}", protocol=direct)
    assert made.trainer.turn == 1
    assert [(len(t.turns), t.zooms) for t in trajectories] == [(1, 0)] * 4
    assert (trajectories[0].stop, trajectories[0].answer) == (Stop.ANSWERED, "A")


def test_what_the_agent_takes_for_the_end_ends_the_sampling_too(trainer: Make, _quiet: None) -> None:
    made, trajectories = scripted(trainer, lambda turn, i: f"{CALL} <answer>A</answer>{END}")
    assert [t.stop for t in trajectories] == [Stop.ANSWERED] * 4
    assert [len(t.turns) for t in trajectories] == [1] * 4
    assert made.trainer.turn == 1


def test_a_rollout_ends_with_the_protocols_turns(trainer: Make, _quiet: None) -> None:
    made, trajectories = scripted(trainer, lambda turn, i: CALL + END)
    assert [(t.stop, len(t.turns), t.zooms) for t in trajectories] == [(Stop.MAX_TURNS, 3, 2)] * 4
    assert made.trainer.turn == 3


def test_a_turn_that_was_cut_says_so(trainer: Make, _quiet: None) -> None:
    _, trajectories = scripted(trainer, lambda turn, i: "<think>Let me see")
    assert [(t.stop, t.zooms) for t in trajectories] == [(Stop.LENGTH, 0)] * 4


def test_a_call_that_was_cut_is_not_executed(trainer: Make, _quiet: None) -> None:
    made, trajectories = scripted(trainer, lambda turn, i: CALL)
    assert made.trainer.turn == 1
    assert all(t.stop.truncated for t in trajectories)


def test_a_crop_that_does_not_fit_the_budget_is_reported_and_was_never_seen(trainer: Make, _quiet: None) -> None:
    made, trajectories = scripted(trainer, lambda turn, i: (CALL if turn == 0 else ANSWERS[0]) + END, max_completion_length=90)
    assert [(t.stop, len(t.turns)) for t in trajectories] == [(Stop.CONTEXT_FULL, 1)] * 4
    assert made.trainer.turn == 1


def test_a_sampled_image_placeholder_stops_the_run(trainer: Make, _quiet: None) -> None:
    with pytest.raises(EngineUnusableError, match="visual tokens"):
        scripted(trainer, lambda turn, i: (f"<|image_pad|>{CALL}" if turn == 0 else ANSWERS[0]) + END)


def test_rewards_come_from_the_evaluations_verdicts(trainer: Make, _quiet: None) -> None:
    made = trainer(Scripted)
    about, other = (made.trainer.train_dataset[i]["subject"].question for i in (0, 1))
    wrong = [next(letter for letter in q.letters if letter != q.answer) for q in (about, about, other, other)]
    made.trainer.script = lambda turn, i: f"<think>It is.</think> <answer>{about.answer if i == 0 else wrong[i]}</answer>{END}"
    sampled_once(made)
    assert [v.verdict.value for v in made.run.verdicts.values()].count("correct") == 1
    rewards = made.trainer._logs["rewards"]
    assert list(rewards["accuracy"]) == [1.0, 0.0, 0.0, 0.0]
    assert list(rewards["format"]) == [1.0] * 4
    assert made.trainer.batch["advantages"][0] > 0 > made.trainer.batch["advantages"][1]


def test_the_rollouts_are_a_run_folder_that_reports_open(trainer: Make, _quiet: None, tmp_path: Any) -> None:
    made, trajectories = scripted(trainer, lambda turn, i: (CALL if turn == 0 else ANSWERS[0]) + END)
    made.run.close()
    run = load_run(made.run.path)
    assert len(run.trajectories) == len(run.rows) == len(run.verdicts) == 4
    kept = {path.stem for path in (run.path / "images").rglob("*.jpg")}
    assert kept == {t.shown.hash for t in trajectories} | {c.crop.hash for t in trajectories for c in t.calls}
    text = write_report(report_runs([run]), tmp_path / "report")[1].read_text()
    assert "vstar" in text
