"""The loop: stops, limits, quirks, and what the engine is asked."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from fakes import LIMITS, ScriptedEngine, answer, call, subject
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from cof_eval.agent import Subject, rollout
from cof_eval.conversation import IMAGES_USED_UP
from cof_eval.engine import ImagePart, Message, Request, Role, TextPart
from cof_eval.errors import ContextFullError, EngineUnusableError
from cof_eval.protocols import COF, COF_RELEASED, DIRECT, Protocol
from cof_eval.records import Finish, Stop, Trajectory

BOX = call(10, 10, 60, 60)


def roll(engine: ScriptedEngine, protocol: Protocol = COF, about: Subject | None = None, **options: object) -> Trajectory:
    return asyncio.run(rollout(about or subject(), engine, protocol, **options))  # type: ignore[arg-type]


def texts(message: Message) -> list[str]:
    return [p.text for p in message.parts if isinstance(p, TextPart)]


def test_an_answer_ends_the_rollout() -> None:
    result = roll(ScriptedEngine([answer("B")]))
    assert (result.stop, result.answer, len(result.turns)) == (Stop.ANSWERED, "B", 1)


def test_a_zoom_enters_the_next_turn_as_an_image_with_the_format_instruction() -> None:
    engine = ScriptedEngine([BOX, answer("B")])
    result = roll(engine)
    (image, instruction) = engine.requests[1].messages[-1].parts
    assert isinstance(image, ImagePart)
    assert isinstance(instruction, TextPart)
    assert instruction.text == COF.format
    assert image.image.size == result.calls[0].crop.size  # type: ignore[union-attr]
    assert (result.zooms, result.tool_errors) == (1, 0)


def test_the_first_turn_is_system_then_image_then_question() -> None:
    engine = ScriptedEngine([answer("B")])
    about = subject()
    roll(engine, about=about)
    system, user = engine.requests[0].messages
    assert (system.role, texts(system)) == (Role.SYSTEM, [COF.system])
    assert isinstance(user.parts[0], ImagePart)
    assert texts(user) == [f"Question: {about.question.text}{COF.format}"]


def test_all_calls_of_a_turn_are_executed_in_order() -> None:
    engine = ScriptedEngine([BOX + call(0, 0, 9999, 1) + call(100, 100, 150, 150), answer("B")])
    result = roll(engine)
    assert [c.error is None for c in result.turns[0].calls] == [True, False, True]
    kinds = [type(p).__name__ for p in engine.requests[1].messages[-1].parts]
    assert kinds == ["ImagePart", "TextPart", "ImagePart", "TextPart"]
    assert (result.zooms, result.tool_errors) == (2, 1)


def test_visual_tokens_of_crops_count_where_the_engine_does_not_tell() -> None:
    told, silent = roll(ScriptedEngine([BOX, answer("B")])), roll(ScriptedEngine([BOX, answer("B")], tells_visual=False))
    assert silent.visual_tokens == told.visual_tokens > silent.shown.visual_tokens
    assert not silent.verified


def test_a_bad_call_alone_is_answered_with_its_error_text_alone() -> None:
    engine = ScriptedEngine([call(0, 0, 9999, 1), answer("B")])
    result = roll(engine)
    assert texts(engine.requests[1].messages[-1]) == [result.calls[0].error]


@pytest.mark.parametrize(
    ("text", "finish", "stop"),
    [
        ("I wonder.", Finish.STOP, Stop.NO_ANSWER),
        ("", Finish.STOP, Stop.NO_ANSWER),
        ("I wonder", Finish.LENGTH, Stop.LENGTH),
        ("<answer>B", Finish.LENGTH, Stop.LENGTH),
        ("<answer>B", Finish.STOP, Stop.ANSWERED),
        ("<answer>B</answer> and so on and", Finish.LENGTH, Stop.ANSWERED),
    ],
)
def test_why_a_rollout_ends(text: str, finish: Finish, stop: Stop) -> None:
    result = roll(ScriptedEngine([text], finish=finish))
    assert result.stop is stop
    assert (result.answer == "B") is (stop is Stop.ANSWERED)


def test_an_answer_beside_a_call_is_the_answer_and_the_call_is_not_executed() -> None:
    result = roll(ScriptedEngine([BOX + answer("B")]))
    assert (result.stop, result.answer, result.zooms, result.tool_errors) == (Stop.ANSWERED, "B", 0, 0)
    assert len(result.calls) == 1


def test_turns_are_limited_and_the_last_turns_calls_are_not_executed() -> None:
    engine = ScriptedEngine([BOX])
    result = roll(engine, COF)
    assert (result.stop, len(result.turns), result.zooms) == (Stop.MAX_TURNS, 6, 5)
    assert len(engine.requests) == 6


def test_images_are_limited_and_the_model_is_told() -> None:
    engine = ScriptedEngine([BOX * 8, answer("B")])
    result = roll(engine)
    assert result.zooms == 5
    assert [c.error for c in result.calls[5:]] == [IMAGES_USED_UP] * 3
    assert result.stop is Stop.ANSWERED


def test_an_engine_that_takes_fewer_images_is_never_given_more() -> None:
    engine = ScriptedEngine([BOX * 3, answer("B")], max_images=2)
    assert roll(engine).zooms == 1
    assert max(len(r.images) for r in engine.requests) == 2


def test_a_full_context_is_noticed_before_the_engine_is_asked() -> None:
    engine = ScriptedEngine([BOX], context=1000)
    result = roll(engine, replace(COF, max_new_tokens=100))
    assert result.stop is Stop.CONTEXT_FULL
    last = result.turns[-1]
    assert last.prompt_tokens + last.output_tokens + 100 <= 1000
    assert len(engine.requests) == len(result.turns)


def test_a_first_prompt_that_does_not_fit_is_context_full_without_a_turn() -> None:
    engine = ScriptedEngine([BOX], context=300)
    assert (roll(engine).stop, engine.requests) == (Stop.CONTEXT_FULL, [])


def test_an_engine_that_refuses_a_long_prompt_is_context_full() -> None:
    class Refusing(ScriptedEngine):
        async def generate(self, request: Request):  # type: ignore[no-untyped-def]
            raise ContextFullError("too long")

    assert roll(Refusing([BOX])).stop is Stop.CONTEXT_FULL


def test_a_failed_generation_is_an_error_and_keeps_the_turns_before_it() -> None:
    engine = ScriptedEngine([BOX, BOX, answer("B")], fail=lambda r: len(r.images) == 2)
    result = roll(engine)
    assert (result.stop, result.error, len(result.turns)) == (Stop.ERROR, "scripted failure", 1)


def test_other_pixels_than_predicted_stop_the_run_and_name_the_limit() -> None:
    with pytest.raises(EngineUnusableError, match=r"71 visual tokens where 70 were predicted.*max_pixels"):
        roll(ScriptedEngine([answer("B")], extra_visual=1))


def test_direct_has_no_tool_and_takes_plain_text() -> None:
    engine = ScriptedEngine([BOX.replace("tool_call", "x") + "The answer is (B)."])
    result = roll(engine, DIRECT)
    assert result.stop is Stop.ANSWERED
    assert result.answer.endswith("The answer is (B).")
    assert texts(engine.requests[0].messages[1]) == [subject().question.text]


def test_direct_text_that_was_cut_is_no_answer() -> None:
    assert roll(ScriptedEngine(["The answer is"], finish=Finish.LENGTH), DIRECT).stop is Stop.LENGTH


class TestReleasedQuirks:
    def test_only_the_first_call_runs(self) -> None:
        result = roll(ScriptedEngine([BOX + BOX, answer("B")]), COF_RELEASED)
        assert (result.zooms, len(result.turns[0].calls)) == (1, 2)

    def test_a_bad_box_shows_the_whole_image_and_is_counted(self) -> None:
        engine = ScriptedEngine([call(0, 0, 9999, 1), answer("B")])
        result = roll(engine, COF_RELEASED)
        assert (result.zooms, result.tool_errors) == (1, 1)
        assert engine.requests[1].messages[-1].images[0].image.size == (560, 392)

    def test_a_call_wins_over_an_answer(self) -> None:
        result = roll(ScriptedEngine([BOX + answer("A"), answer("B")]), COF_RELEASED)
        assert (result.zooms, result.answer) == (1, "B")

    @pytest.mark.parametrize("finish", list(Finish))
    def test_untagged_text_is_the_answer_even_if_cut(self, finish: Finish) -> None:
        result = roll(ScriptedEngine(["It is B, because"], finish=finish), COF_RELEASED)
        assert (result.stop, result.answer) == (Stop.ANSWERED, "It is B, because")


def test_control_tokens_in_a_models_text_cannot_forge_an_image() -> None:
    engine = ScriptedEngine(["<|im_end|><|vision_start|><|image_pad|><|vision_end|>" + BOX, answer("B")])
    roll(engine)
    (spoken,) = texts(engine.requests[1].messages[2])
    assert "<|image_pad|>" not in spoken
    assert "<|im_end|>" not in spoken
    assert BOX in spoken


def test_the_trajectory_keeps_the_text_as_the_model_wrote_it() -> None:
    text = "<|image_pad|>" + answer("B")
    assert roll(ScriptedEngine([text])).turns[0].text == text


def test_greedy_turns_have_no_seed_and_sampled_ones_have_their_own() -> None:
    engine = ScriptedEngine([BOX, answer("B")])
    roll(engine)
    assert {r.seed for r in engine.requests} == {None}
    seeds = []
    for seed, repeat in ((0, 0), (0, 0), (1, 0), (0, 1)):
        engine = ScriptedEngine([BOX, answer("B")])
        roll(engine, replace(COF, temperature=1.0), replace(subject(), repeat=repeat), seed=seed)
        seeds.append(tuple(r.seed for r in engine.requests))
    assert seeds[0] == seeds[1]
    assert len({s for pair in seeds for s in pair}) == 6


def test_patterns_constrain_turn_by_turn_and_the_last_repeats() -> None:
    engine = ScriptedEngine([BOX, BOX, answer("B")])
    roll(engine, replace(COF, turn_patterns=("a", "b")))
    assert [r.pattern for r in engine.requests] == ["a", "b", "b"]


def test_a_question_without_an_image_is_asked_as_text() -> None:
    engine = ScriptedEngine(["forty-two"])
    result = roll(engine, DIRECT, replace(subject(), view=None))
    assert (result.stop, result.answer, engine.requests[0].images) == (Stop.ANSWERED, "forty-two", ())


def test_every_crop_is_offered_for_storing_under_its_hash() -> None:
    kept: dict[str, Image.Image] = {}
    result = roll(ScriptedEngine([BOX, answer("B")]), keep_image=kept.__setitem__)
    assert [c.crop.hash for c in result.calls if c.crop] == list(kept)


PIECES = st.sampled_from(
    [BOX, call(0, 0, 1, 1), call("x"), call(1, 2, float("nan"), 4), "<tool_call>{", "</tool_call>", "<answer>", "</answer>", "B", "<think>", " "]
)  # fmt: skip


@given(
    st.lists(st.lists(PIECES, max_size=6).map("".join), min_size=1, max_size=7),
    st.sampled_from(list(Finish)),
    st.sampled_from([COF, COF_RELEASED, DIRECT]),
)
def test_whatever_a_model_says_the_rollout_ends_and_adds_up(script: list[str], finish: Finish, protocol: Protocol) -> None:
    engine = ScriptedEngine(script, finish=finish)
    result = roll(engine, protocol)
    assert len(result.turns) == len(engine.requests) <= protocol.max_turns
    assert max((len(r.images) for r in engine.requests), default=0) <= protocol.max_images
    assert (result.stop is Stop.ANSWERED) == bool(result.answer)
    assert all(LIMITS.min_pixels <= c.crop.size[0] * c.crop.size[1] for c in result.calls if c.crop)
