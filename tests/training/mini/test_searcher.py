"""The scripted searcher: it zooms where it must, its crops hold the target, and training accepts every word of it."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

import pytest

from cof_eval.agent.engine import Message, Role, TextPart
from cof_eval.agent.protocols import COF_MINI
from cof_eval.agent.reply import parse_reply
from cof_eval.benchmarks.synthetic.questions import RELATIVE, SceneQuestion, make_questions
from cof_eval.benchmarks.synthetic.world import ASPECT, DOT, NATIVE
from cof_eval.core.geometry import Box, Frame
from training.data.messages import read_messages
from training.data.rows import DraftRow
from training.mini.pixels import READABLE
from training.mini.searcher import LEGIBLE, SHARES, converse, main, zooms
from training.recipe.recipe import DataSource, Format
from training.recipe.recipe_file import load_recipe

pytestmark = pytest.mark.slow

WIDTHS = {"224": 252, "448": 504, "672": 756, "native": 1260}


@pytest.fixture(scope="module")
def asked() -> list[SceneQuestion]:
    return make_questions(60, seed="train/searching")


def text(message: Message) -> str:
    return "".join(part.text for part in message.parts if isinstance(part, TextPart))


def test_it_zooms_where_a_dot_is_too_small_and_never_to_compare_places(asked: list[SceneQuestion]) -> None:
    decided = {}
    for resolution, width in WIDTHS.items():
        for one in asked:
            legible = one.targets[0].side * DOT * width >= LEGIBLE
            decided.setdefault((one.category == RELATIVE, legible), set()).add(
                zooms(one, resolution, Random(one.question + resolution))
            )
    assert decided[False, False] == {True}
    assert decided[False, True] == {True, False}
    assert decided[True, True] | decided[True, False] == {False}


def test_it_says_what_can_be_seen_of_the_dot_before_it_looks_closer(asked: list[SceneQuestion]) -> None:
    said = set()
    for resolution, one in zip([*WIDTHS] * 6, asked, strict=False):
        plate = one.targets[0]
        tiny = plate.side * DOT * WIDTHS[resolution] < READABLE
        said.add(tiny)
        call = text(converse(one, resolution, zoom=True)[2])
        assert call.startswith(f"<think>Plate and dot: {plate.colour} {'tiny' if tiny else plate.dot}. Across: {plate.colour}")
    assert said == {True, False}


def test_a_call_widened_as_the_protocol_says_holds_the_plates_centre(asked: list[SceneQuestion]) -> None:
    for one in asked:
        target = one.targets[0]
        _, _, call, result, last = converse(one, "224", zoom=True)
        (found,) = parse_reply(text(call), COF_MINI.call_syntax, COF_MINI.answer_syntax).calls
        box = Box(*found.arguments["bbox_2d"], Frame.milli()).widened(COF_MINI.widen).clipped()
        assert box is not None
        x1, y1, x2, y2 = box.to(Frame.native(*NATIVE)).corners
        assert x1 < target.x * NATIVE[0] < x2 and y1 < target.y / ASPECT * NATIVE[1] < y2
        assert (result.role, len(result.images)) == (Role.USER, 1)
        assert parse_reply(text(last), COF_MINI.call_syntax, COF_MINI.answer_syntax).answer == one.options[one.right]


def test_training_drops_none_of_its_conversations(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "conversations"
    assert main([str(folder), "--count", "12", "--seed", "try"]) == 0
    assert capsys.readouterr().out == f"{folder}: written\n"
    rows = list(read_messages(DataSource(format=Format.MESSAGES, path=str(folder / "conversations.jsonl")), COF_MINI))
    assert len(rows) == 12
    assert all(isinstance(row, DraftRow) and row.worded for row in rows)
    turns = {len(json.loads(line)["messages"]) for line in (folder / "conversations.jsonl").read_text().splitlines()}
    assert turns == {3, 5}


def test_the_recipes_speak_the_searchers_protocol() -> None:
    assert load_recipe(Path("mini_sft")).protocol_settings() == COF_MINI
    assert load_recipe(Path("mini_grpo")).protocol_settings().frame == COF_MINI.frame
    assert sum(SHARES.values()) == pytest.approx(1)
