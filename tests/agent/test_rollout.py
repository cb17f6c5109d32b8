"""The loop: stops, limits, quirks, and what the engine is asked."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from fakes import LIMITS, ScriptedEngine, answer, call, subject
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from cof_eval.agent.conversation import IMAGES_USED_UP
from cof_eval.agent.engine import ImagePart, Message, Request, Role, TextPart
from cof_eval.agent.protocols import COF, COF_RELEASED, DIRECT, PROTOCOLS, Crops, Protocol
from cof_eval.agent.rollout import Subject, rollout
from cof_eval.core.errors import ContextFullError, EngineUnusableError
from cof_eval.core.records import Finish, Stop, Trajectory

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

    def test_only_the_first_closed_tag_on_one_line_is_an_answer(self) -> None:
        for text in ("It is B", "<answer>B", "<answer>B\nblue</answer>", "<answer>\\boxed{B}</answer>", "<ANSWER>B</ANSWER>"):
            assert roll(ScriptedEngine([text]), COF_RELEASED).stop is Stop.NO_ANSWER
        assert roll(ScriptedEngine(["<think><answer>A</answer></think> <answer>B</answer>"]), COF_RELEASED).answer == "A"


def shapes(message: Message) -> list[str]:
    return [p.text if isinstance(p, TextPart) else "<image>" for p in message.parts]


class TestOtherProtocols:
    """How each hands crops and errors back; sources stand in the protocols' modules."""

    def test_deepeyes_wraps_the_crop_and_the_instruction_and_runs_the_first_call(self) -> None:
        protocol = PROTOCOLS["deepeyes"]
        engine = ScriptedEngine([BOX + BOX, call(0, 0, 9999, 1), answer("B")])
        result = roll(engine, protocol)
        assert "".join(shapes(engine.requests[1].messages[-1])) == f"<tool_response><image>{protocol.format}</tool_response>"
        assert "".join(shapes(engine.requests[2].messages[-1])).startswith("<tool_response>Invalid bounding box: ")
        assert (result.zooms, result.tool_errors, len(result.turns[0].calls)) == (1, 1, 2)
        assert "Options: \nA. red\nB. blue\n" in texts(engine.requests[0].messages[1])[0]

    def test_deepeyes_reads_the_pixels_that_it_sees_and_the_released_one_those_of_the_file(self) -> None:
        about = subject(280, 196, native=(1120, 784))
        seen, released = (
            roll(ScriptedEngine([BOX, answer("B")]), PROTOCOLS[name], about).calls[0]
            for name in ("deepeyes", "deepeyes_released")
        )
        assert (seen.frame, seen.crop and seen.crop.native_box) == ("shown", (40, 40, 240, 240))
        assert (released.frame, released.crop and released.crop.native_box) == ("native", (10, 10, 60, 60))

    def test_mini_o3_counts_actions_and_observations_and_zooms_into_them(self) -> None:
        protocol = PROTOCOLS["mini_o3"]
        script = [
            protocol.call_text((0.5, 0.5, 1, 1)),
            protocol.call_text((0.5, 0.5, 1, 1), 1),
            protocol.call_text((0, 0, 1, 1), 7),
            answer("B"),
        ]
        engine = ScriptedEngine(script)
        result = roll(engine, protocol, subject(560, 392, native=(1120, 784)))
        said = ["".join(shapes(request.messages[-1])) for request in engine.requests[1:]]
        assert said[0].startswith(
            "After the above Action 0, here is the the zoom-in image (Observation 1):\n<image>.\nContinue"
        )
        assert said[1].startswith(
            "After the above Action 1, here is the the zoom-in image (Observation 2):\n<image>.\nContinue"
        )
        assert said[2].startswith("ERROR occurs during grounding. Error Information: Invalid ")
        assert [call.crop and call.crop.native_box for call in result.calls] == [
            (560, 392, 1119, 783),  # one pixel short of the edges
            (839, 587, 1118, 782),
            None,
        ]
        assert [call.frame for call in result.calls] == ["unit", "crop[1]", "unit"]

    def test_pixel_reasoner_runs_the_last_call_tells_the_crops_size_and_wants_a_box(self) -> None:
        protocol = PROTOCOLS["pixel_reasoner"]
        wrong, right = protocol.call_text((0, 0, 0.2, 0.2)), protocol.call_text((0.5, 0.5, 0.9, 0.9))
        engine = ScriptedEngine([wrong + right, "So it is \\boxed{B}."])
        result = roll(engine, protocol, subject(840, 560))
        skipped, made = result.calls
        assert not skipped.executed
        assert made.crop is not None
        width, height = 560, 392  # before the processor, which makes it 784 by 532
        assert made.crop.size == (784, 532)
        assert shapes(engine.requests[1].messages[-1]) == [
            f"\nHere is the cropped image (Image Size: {width}x{height}):",
            "<image>",
        ]
        assert made.crop.native_box == pytest.approx((336, 224, 840, 560), abs=1)  # padded by a tenth of the image
        assert (result.stop, result.answer) == (Stop.ANSWERED, "B")

    def test_qwen3_vl_answers_several_calls_as_its_template_does(self) -> None:
        protocol = PROTOCOLS["qwen3_vl"]
        engine = ScriptedEngine([protocol.call_text((0, 0, 500, 500)) + protocol.call_text((0, 0, 2000, 1)), "It is (B)."])
        result = roll(engine, protocol, subject(640, 448))
        said = "".join(shapes(engine.requests[1].messages[-1]))
        assert said.startswith("<tool_response>\n<image>\n</tool_response>\n<tool_response>\nInvalid bounding box: ")
        assert said.endswith("\n</tool_response>")
        assert (result.stop, result.answer) == (Stop.ANSWERED, "It is (B).")

    def test_a_protocol_without_a_system_message_sends_none(self) -> None:
        engine = ScriptedEngine([answer("B")])
        roll(engine, replace(COF, system=""))
        assert [message.role for message in engine.requests[0].messages] == [Role.USER]


class TestCounterfactualCrops:
    """What the model is shown in place of its zooms."""

    BOXES = ((0.0, 0.0, 40.0, 40.0), (200.0, 100.0, 260.0, 180.0))

    def roll(self, crops: Crops, *, seed: int = 0, protocol: Protocol = COF) -> tuple[Trajectory, ScriptedEngine]:
        about = subject(280, 196)
        about = replace(about, question=replace(about.question, boxes=self.BOXES))
        engine = ScriptedEngine([BOX, call(0, 0, 9999, 1), call(100, 100, 150, 150), answer("B")])
        return roll(engine, replace(protocol, crops=crops), about, seed=seed), engine

    def test_a_withheld_crop_is_acknowledged_without_an_image(self) -> None:
        result, engine = self.roll(Crops.WITHHELD)
        assert (result.zooms, result.tool_errors) == (2, 1)
        assert [call.instead for call in result.calls] == ["withheld", None, "withheld"]
        assert all(len(request.images) == 1 for request in engine.requests)
        assert shapes(engine.requests[1].messages[-1]) == ["[the image of this region is withheld]", COF.format]

    def test_a_blank_crop_has_the_size_of_what_was_asked_for(self) -> None:
        real, _ = self.roll(Crops.REAL)
        blank, engine = self.roll(Crops.BLANK)
        assert [c.crop.size for c in blank.calls if c.crop] == [c.crop.size for c in real.calls if c.crop]
        assert {image.image.getextrema() for image in engine.requests[-1].images[1:]} == {((128, 128),) * 3}

    def test_a_random_crop_is_as_large_elsewhere_and_drawn_from_the_seed(self) -> None:
        real, _ = self.roll(Crops.REAL)
        random, again, other = (self.roll(Crops.RANDOM, seed=seed)[0] for seed in (0, 0, 1))
        for asked, got in zip(real.calls, random.calls, strict=True):
            if asked.crop is None or got.crop is None:
                assert asked == got
                continue
            assert got.crop.size == asked.crop.size
            (a1, b1, a2, b2), (x1, y1, x2, y2) = asked.crop.native_box, got.crop.native_box
            assert (x2 - x1, y2 - y1) == (a2 - a1, b2 - b1)
            assert min(a2, x2) <= max(a1, x1) or min(b2, y2) <= max(b1, y1)  # nothing in common
            assert 0 <= x1 < x2 <= 280 and 0 <= y1 < y2 <= 196
        assert again.calls == random.calls
        assert other.calls != random.calls

    def test_oracle_crops_show_the_annotated_boxes_in_turn(self) -> None:
        result, _ = self.roll(Crops.ORACLE, protocol=replace(COF, widen=1.0))
        shown = [call.crop.native_box for call in result.calls if call.crop]
        assert shown == list(self.BOXES)

    def test_a_question_without_boxes_has_no_oracle_and_says_so_without_a_generation(self) -> None:
        engine = ScriptedEngine([BOX, answer("B")])
        result = roll(engine, replace(COF, crops=Crops.ORACLE))
        assert (result.stop, engine.requests) == (Stop.ERROR, [])
        assert "oracle crops need annotated boxes" in str(result.error)

    def test_a_bad_call_is_answered_as_ever(self) -> None:
        for crops in set(Crops) - {Crops.REAL}:
            result, _ = self.roll(crops)
            assert "Invalid bounding box" in str(result.calls[1].error)


def test_every_turn_is_told_as_it_ends() -> None:
    told: list[object] = []
    result = roll(ScriptedEngine([BOX, answer("B")]), on_turn=told.append)
    assert told == list(result.turns)


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
