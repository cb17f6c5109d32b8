"""Data for the tiny recipes: `python -m training.tiny FOLDER` writes a random checkpoint, questions, and conversations.

Scenes, boxes and checkpoint are the demo's; the conversations look around the annotated box and answer rightly, every other
one without a zoom. They are few and alike, so that a random model learns to imitate them in seconds. The rollouts that it
then samples earn different rewards. They teach nothing about photographs: they walk the whole path on a CPU.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cof_eval.agent.conversation import Conversation
from cof_eval.agent.engine import ImagePart, Message
from cof_eval.agent.protocols import COF
from cof_eval.agent.zoom import TOOL_NAME, View
from cof_eval.benchmarks import vstar
from cof_eval.benchmarks.item import Item
from cof_eval.benchmarks.synthetic.scenes import write_scenes
from cof_eval.core.errors import CofError
from cof_eval.core.files import write_part
from cof_eval.core.geometry import Box, Frame
from cof_eval.core.images import encode_png, load_native, resize
from cof_eval.core.resolution import PixelLimits, Resolution, shown_size
from cof_eval.engines.tiny_checkpoint import write_checkpoint

from .data.conversation import add_turn
from .data.messages import PLACEHOLDER

LIMITS = PixelLimits(factor=28, min_pixels=12_544, max_pixels=50_176)
SHOWN = Resolution("168", 168)
"""Scenes are shown small, so that a step takes a CPU little time."""


def write_tiny(folder: Path, *, count: int = 24, seed: int = 0) -> list[str]:
    """Write what is missing of `checkpoint/`, `vstar/` and `conversations/` in a folder; returns a line for each.

    Raises:
        CofError: if something else has one of these names.
    """
    return [
        write_part(folder / "checkpoint", {"seed": seed}, lambda part: write_checkpoint(part, seed=seed)),
        write_part(folder / "vstar", {"count": count, "seed": seed}, lambda part: write_scenes(part, count=count, seed=seed)),
        write_part(
            folder / "conversations", {"count": count, "seed": seed}, lambda part: write_conversations(folder / "vstar", part)
        ),
    ]


def write_conversations(scenes: Path, folder: Path) -> Path:
    """A conversation about each question, in the published format: `conversations.jsonl` and its images."""
    rows = [
        write_conversation(converse(item, zoom=index % 2 == 0), f"{index:04}", folder)
        for index, item in enumerate(vstar.load(scenes))
    ]
    (folder / "conversations.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return folder


def converse(item: Item, *, zoom: bool) -> tuple[Message, ...]:
    """A right conversation about a question, with or without a look at its first target."""
    native = load_native(item.image.read())
    view = View(resize(native, shown_size(native.size, SHOWN, LIMITS)), native.size)
    conversation = Conversation(COF, LIMITS, item.question, view)
    if zoom:
        target = Box(*item.question.boxes[0], Frame.native(*native.size)).to(view.shown_frame)
        call = {"name": TOOL_NAME, "arguments": {"bbox_2d": _around(target)}}
        add_turn(conversation, f"<think>It is small.</think> <tool_call>{json.dumps(call)}</tool_call>")
    conversation.add_assistant_turn(f"<think>I can see it.</think> <answer>{item.question.answer}</answer>")
    return tuple(conversation.messages)


def _around(box: Box) -> list[int]:
    """The half of each side of the image that holds most of a box: few numbers to learn."""
    frame, spans = box.frame, []
    for low, high, size in ((box.x1, box.x2, frame.width), (box.y1, box.y2, frame.height)):
        start = 0 if low + high < size else int(size) // 2
        spans.append((start, start + int(size) // 2))
    (x1, x2), (y1, y2) = spans
    return [x1, y1, x2, y2]


def write_conversation(messages: Sequence[Message], name: str, folder: Path) -> dict[str, Any]:
    """A conversation as a row of the published format; writes its images, called after it, into the folder."""
    said: list[dict[str, str]] = []
    images: list[str] = []
    for message in messages:
        content = ""
        for part in message.parts:
            if isinstance(part, ImagePart):
                images.append(f"{name}_{len(images)}.png")
                (folder / images[-1]).write_bytes(encode_png(part.image))
            content += PLACEHOLDER if isinstance(part, ImagePart) else part.text
        said.append({"role": message.role.value, "content": content})
    return {"messages": said, "images": images}


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(prog="python -m training.tiny", description="Write the data of the tiny recipes.")
    made.add_argument("folder", type=Path, nargs="?", default=Path("results/training/tiny"), help="default: %(default)s")
    made.add_argument("--count", type=int, default=24, help="questions and conversations (default: %(default)s)")
    made.add_argument("--seed", type=int, default=0, help="of scenes and weights (default: %(default)s)")
    return made


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    given = parser().parse_args(arguments)
    try:
        print("\n".join(write_tiny(given.folder, count=given.count, seed=given.seed)))
    except (CofError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
