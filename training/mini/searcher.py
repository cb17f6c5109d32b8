"""`python -m training.mini.searcher FOLDER`: conversations of a scripted searcher, for supervised fine-tuning of the small model.

It knows where everything is. It first says what it sees of the dot, or that it is too small. It always zooms to a plate
whose dot is too small to read in the shown image. It zooms every other time to one whose dot can be read, and never to
compare places. Scenes come from seeds that no evaluation uses.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from random import Random

from cof_eval.agent.conversation import Conversation
from cof_eval.agent.engine import Message
from cof_eval.agent.protocols import COF_MINI
from cof_eval.agent.zoom import CropSource, View
from cof_eval.benchmarks.synthetic import questions, world
from cof_eval.benchmarks.vstar_mini import TRAINING, question_text
from cof_eval.core.errors import CofError
from cof_eval.core.files import write_part
from cof_eval.core.images import resize
from cof_eval.core.letters import LETTERS
from cof_eval.core.records import Question
from cof_eval.core.resolution import PixelLimits, parse_resolution, shown_size

from ..data.conversation import add_turn
from ..tiny import write_conversation
from . import wording

FORMAT = 3
"""Raised with every change of the format: conversations of another one are written anew."""
LIMITS = COF_MINI.limits(PixelLimits(factor=28, min_pixels=3_136, max_pixels=3840 * 3840))
SHARES = {"224": 0.4, "448": 0.3, "672": 0.24, "native": 0.06}
"""Of the conversations, by what resolution the scene is shown at."""
BLURRED = {"672"}
"""Where every other crop is cut from the shown image, as in the paper: enlarged, it can be read there."""
LEGIBLE = 4.0
"""Least side of a dot that is surely read, px of the shown image."""


def converse(
    asked: questions.SceneQuestion, resolution: str, *, zoom: bool, source: CropSource = COF_MINI.crop_source
) -> tuple[Message, ...]:
    """A right conversation about a question, with or without a look at its first target."""
    native = world.paint(asked.scene)
    shown = resize(native, shown_size(native.size, parse_resolution(resolution), LIMITS))
    question = Question("", "vstar_mini", asked.category, "", question_text(asked), asked.options, LETTERS[asked.right])
    protocol = replace(COF_MINI, crop_source=source)
    conversation = Conversation(protocol, LIMITS, question, View(shown, native.size, native))
    if zoom:
        target = asked.targets[0]
        add_turn(conversation, wording.zoom_turn(target, wording.visible_dot_thought(target, dot_pixels(target, resolution))))
    conversation.add_assistant_turn(wording.direct_turn(asked))
    return tuple(conversation.messages)


def zooms(asked: questions.SceneQuestion, resolution: str, rng: Random) -> bool:
    """Whether the searcher looks closer."""
    if asked.category != questions.DIRECT:
        return False
    return dot_pixels(asked.targets[0], resolution) < LEGIBLE or rng.random() < 0.5


def dot_pixels(plate: world.Plate, resolution: str) -> float:
    """Side of a plate's dot in the shown image, px."""
    return plate.side * world.DOT * shown_size(world.NATIVE, parse_resolution(resolution), LIMITS)[0]


def write_conversations(folder: Path, *, count: int, seed: int | str) -> Path:
    """Writes `conversations.jsonl` and its images; returns the folder."""
    rng = Random(f"{TRAINING}/searcher/{seed}")
    rows = []
    for index, asked in enumerate(questions.make_questions(count, seed=f"{TRAINING}/searcher/{seed}")):
        (resolution,) = rng.choices(list(SHARES), list(SHARES.values()))
        source = CropSource.SHOWN if resolution in BLURRED and rng.random() < 0.5 else CropSource.NATIVE
        messages = converse(asked, resolution, zoom=zooms(asked, resolution, rng), source=source)
        rows.append(write_conversation(messages, f"{index:05}", folder))
    (folder / "conversations.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return folder


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m training.mini.searcher", description="Write a scripted searcher's conversations."
    )
    parser.add_argument("folder", type=Path, help="where to")
    parser.add_argument("--count", type=int, default=3_000, help="conversations (default: %(default)s)")
    parser.add_argument("--seed", default="0", help="any text (default: %(default)s)")
    given = parser.parse_args(arguments)
    made_with: dict[str, object] = {"count": given.count, "seed": given.seed, "format": FORMAT}
    try:
        print(write_part(given.folder, made_with, lambda part: write_conversations(part, count=given.count, seed=given.seed)))
    except (CofError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
