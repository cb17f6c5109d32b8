"""Ten thousand random and mutated replies through parser, zoom and agent: nothing raises, no crop leaves the image."""

from __future__ import annotations

import asyncio
import itertools
import random
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import cache

import pytest
from fakes import ScriptedEngine, answer, call, subject

from cof_eval.agent.engine import Request, Response, Role
from cof_eval.agent.protocols import PROTOCOLS, BoxFrame, Protocol
from cof_eval.agent.region import Outside
from cof_eval.agent.rollout import Subject, rollout
from cof_eval.core.records import Stop, ToolCall, Trajectory, from_json, to_json

pytestmark = pytest.mark.slow

REPLIES = 10_000
NUMBERS = (
    "0",
    "-1",
    "1e308",
    "1e-308",
    "NaN",
    "Infinity",
    "-0.0",
    "9" * 400,
    "0x10",
    "1_0",
    "½",
    "null",
    "true",
    '"7"',
    "[]",
    "{}",
)
PIECES = (
    *(
        "<tool_call>",
        "</tool_call>",
        "<answer>",
        "</answer>",
        "<think>",
        "</think>",
        "<|im_end|>",
        "<|image_pad|>",
        "```json",
        "```",
    ),
    *(
        '"bbox_2d"',
        '"name"',
        '"arguments"',
        '"target_image"',
        '"source"',
        '"label"',
        "[",
        "]",
        "{",
        "}",
        ",",
        ":",
        '"',
        "'",
        "\\",
    ),
    *(
        "\x00",
        "\u2028",
        "\ud800",
        "\U0010ffff",
        "\u202e",
        "é",
        "漢",
        "🔍",
        "\r\n",
        " " * 50,
        "A" * 5000,
        "[" * 3000,
        '{"a":' * 300,
    ),
)
WRAPPED = (
    '<tool_call>{"name": "crop_image_normalized", "arguments": {"bbox_2d": [0.1, 0.2, 0.6, 0.9], "target_image": 1}}</tool_call>',
    '<grounding>{"bbox_2d": [0.1, 0.2, 0.6, 0.9], "source": "original_image"}</grounding>',
    '<tool_call>{"name": "image_zoom_in_tool", "arguments": {"bbox_2d": [100, 200, 600, 900], "label": "cup", "img_idx": 0}}</tool_call>',
    r"\boxed{B}",
)


def replies(seed: int, count: int, protocol: Protocol) -> Iterator[str]:
    """Replies as models might write them, hurt in up to eight places."""
    chance = random.Random(seed)
    for _ in range(count):
        text = "".join(chance.choice(_seeds(chance, protocol)) for _ in range(chance.choice((1, 1, 1, 2, 3))))
        for _ in range(chance.choice((0, 1, 1, 2, 4, 8))):
            text = _hurt(text, chance)
        yield text


def _seeds(chance: random.Random, protocol: Protocol) -> tuple[str, ...]:
    box = [chance.choice((chance.randint(-50, 1200), chance.uniform(-1, 2), chance.randint(0, 300))) for _ in range(4)]
    inside = sorted(chance.sample(range(60), 4))
    scale = {BoxFrame.UNIT: 0.01, BoxFrame.UNIT_OR_PIXELS: 0.01, BoxFrame.MILLI: 10.0}.get(protocol.frame, 0.5)
    own = tuple(scale * n for n in (inside[0], inside[1], inside[2] + 1, inside[3] + 1))
    written = protocol.call_text(own, chance.choice((0, 0, 0, 1, 2)))  # type: ignore[arg-type]
    return (
        call(*box),
        call(*inside),
        *[written] * 8,
        answer("B"),
        f"I look. {call(*box)}{call(*box[::-1])}",
        *WRAPPED,
        "",
        "It is red.",
    )


def _hurt(text: str, chance: random.Random) -> str:
    at, to = sorted(chance.randint(0, len(text)) for _ in range(2))
    return chance.choice(
        (
            lambda: text[:at] + chance.choice(PIECES) + text[at:],
            lambda: text[:at] + text[to:],
            lambda: text[:at] + text[at:to] * 2 + text[to:],
            lambda: text[:at] + chr(chance.randrange(0x110000)) + text[at:],
            lambda: _renumbered(text, chance),
            lambda: text[:to] + text[at:to][::-1] + text[to:],
        )
    )()


def _renumbered(text: str, chance: random.Random) -> str:
    """The text with one of its digits become something else."""
    digits = [i for i, letter in enumerate(text) if letter.isdigit()]
    if not digits:
        return text + chance.choice(NUMBERS)
    at = chance.choice(digits)
    return text[:at] + chance.choice(NUMBERS) + text[at + 1 :]


@pytest.mark.parametrize("name", list(PROTOCOLS))
def test_no_reply_raises_and_no_crop_leaves_the_image(name: str) -> None:
    protocol = PROTOCOLS[name]
    count = REPLIES if name == "cof" else REPLIES // 10
    said, stops, zooms = replies(sum(name.encode()), count, protocol), Counter[Stop](), 0
    left = count
    with asyncio.Runner() as runner:  # one loop for all: a new one would start its threads again for every rollout
        while left > 0:
            used, trajectory = _one(runner, protocol, said, _asked_about(left % 23, left % 17))
            left -= max(1, used)
            stops[trajectory.stop] += 1
            zooms += trajectory.zooms
            stored = from_json(to_json(trajectory), Trajectory)  # lone surrogates aside, what was said
            assert from_json(to_json(stored), Trajectory) == stored
    assert Stop.ERROR not in stops
    assert stops.keys() >= {Stop.ANSWERED, Stop.NO_ANSWER}
    assert (zooms > count // 100) is (protocol.max_turns > 1)


@cache
def _asked_about(columns: int, rows: int) -> Subject:
    """A question about an image of one of 391 sizes."""
    return subject(40 + 28 * columns, 30 + 28 * rows)


def _one(runner: asyncio.Runner, protocol: Protocol, said: Iterator[str], about: Subject) -> tuple[int, Trajectory]:
    """One rollout on the next replies: how many it used, and what it was."""
    assert about.view is not None
    width, height = about.view.native_size
    kind = _ParsedEngine if protocol.native else ScriptedEngine
    engine = kind(lambda request, turn: next(said, ""), context=protocol.context)
    trajectory = runner.run(rollout(about, engine, protocol))
    for crop in (c.crop for c in trajectory.calls if c.crop):
        left, top, right, bottom = crop.native_box
        assert left < right
        assert top < bottom
        if protocol.outside is not Outside.PAD:  # a padded crop keeps the box that was asked for, beyond the edge too
            assert left >= 0 and right <= width
            assert top >= 0 and bottom <= height
        assert min(crop.size) > 0
    for image in itertools.chain.from_iterable(request.images for request in engine.requests[-1:]):
        assert image.visual_tokens * 28 * 28 <= max(protocol.max_pixels, 28 * 28) * 1.01
    _no_forged_images(engine.requests[-1])
    return len(trajectory.turns), trajectory


_BLOCK = re.compile(r"<tool_call>(.*?)(?:</tool_call>|\Z)", re.DOTALL)
_CALL = re.compile(r'\s*\{"name": "([^"]*)", "arguments": (.*)\}\s*', re.DOTALL)


class _ParsedEngine(ScriptedEngine):
    """Takes the calls out of its texts, as a careless tool parser does: whatever stands there."""

    def _respond(self, request: Request, text: str) -> Response:
        found = [_CALL.fullmatch(block) or block for block in _BLOCK.findall(text)]
        calls = [ToolCall("", "", call) if isinstance(call, str) else ToolCall("", call[1], call[2]) for call in found]
        return replace(super()._respond(request, _BLOCK.sub("", text)), tool_calls=tuple(calls))


def _no_forged_images(request: Request) -> None:
    """No text of a conversation holds a control token, and every native call an answer."""
    asked = [call for message in request.messages for call in message.tool_calls]
    assert [call.id for call in asked] == [message.call_id for message in request.messages if message.role is Role.TOOL]
    assert not any("<|image_pad|>" in call.name + call.arguments for call in asked)
    for message in request.messages[2:]:
        for part in message.parts:
            assert "<|image_pad|>" not in getattr(part, "text", "")
            assert "<|im_end|>" not in getattr(part, "text", "")
