"""Runs in which a scripted model looks at real images: near the target or beside it, well or badly called."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from random import Random

from fakes import LIMITS, ScriptedEngine, ScriptedJudgeClient, call

from cof_eval.agent.engine import Request, TextPart
from cof_eval.agent.protocols import COF, Protocol
from cof_eval.benchmarks.item import Item
from cof_eval.core.images import header_size
from cof_eval.core.records import Outcome, Question
from cof_eval.core.resolution import parse_resolution
from cof_eval.core.settings import KeepImages
from cof_eval.judging import Card, Judge, judge_settings
from cof_eval.runs.evaluate import Evaluation
from cof_eval.runs.folder import RunFolder
from cof_eval.runs.plan import Job, Planner

CARD = Card(
    name="strict",
    decides="equality",
    labels={"1": Outcome.CORRECT, "0": Outcome.WRONG},
    prompt="{question}|{reference}|{answer}",
)


class Looker:
    """A model that finds the target the better, the more it is shown."""

    def __init__(self, items: Sequence[Item], protocol: Protocol, seed: int = 0) -> None:
        self._questions = {item.question.text: item.question for item in items}
        self._protocol, self._seed = protocol, seed
        self._centres = {item.question.id: _centre(item) for item in items if item.question.boxes}

    def __call__(self, request: Request, turn: int) -> str:
        """What it says in this turn."""
        said = next(p.text for m in request.messages if m.role == "user" for p in m.parts if isinstance(p, TextPart))
        question = next(q for text, q in self._questions.items() if text in said)
        size = request.images[0].image.size
        own = Random(f"{self._seed}-{question.id}-{size}")
        zooms = 0 if self._protocol.max_turns == 1 else own.choice([0, 1, 1, 2, 2, 3])
        if turn < zooms:
            return self._looks(question, size, own, turn)
        return self._answers(question, size, own, zooms)

    def _looks(self, question: Question, size: tuple[int, int], own: Random, turn: int) -> str:
        thought = (
            "The object is small at this size, so I zoom in on where it should be.",
            "Not quite; I look a little further.",
        )[turn > 0]
        if own.random() < 0.2:
            return f"<think>{thought}</think>\n{call(0, 0, size[0] * 3, 40)}"
        x, y = self._centres.get(question.id, (0.5, 0.5))
        off = 0.12 / (turn + 1)
        cx, cy = (x + own.uniform(-off, off)) * size[0], (y + own.uniform(-off, off)) * size[1]
        half = min((0.16 - 0.03 * turn) * min(size), cx, cy, size[0] - cx, size[1] - cy)
        return f"<think>{thought}</think>\n{call(*(round(v) for v in (cx - half, cy - half, cx + half, cy + half)))}"

    def _answers(self, question: Question, size: tuple[int, int], own: Random, zooms: int) -> str:
        sure = min(0.95, 0.35 + size[0] / 1800 + 0.08 * zooms)
        if own.random() < 0.1:
            return "<think>I cannot tell from here, and I would rather not guess."
        letter = question.answer if own.random() < sure else own.choice(question.letters)
        text = (
            letter if own.random() < 0.75 else f"something like {question.options[question.letters.index(letter)]}, I believe"
        )
        return f"<think>After {zooms} closer looks the colour and the position are plain enough to choose.</think>\n<answer>{text}</answer>"


def _centre(item: Item) -> tuple[float, float]:
    """Where the first target's centre is, as shares (0-1) of the image."""
    width, height = header_size(item.image.read())
    x1, y1, x2, y2 = item.question.boxes[0]
    return (x1 + x2) / 2 / width, (y1 + y2) / 2 / height


async def answer_items(
    path: Path,
    items: Sequence[Item],
    resolutions: Sequence[str],
    *,
    protocol: Protocol = COF,
    keep_images: KeepImages = KeepImages.CROPS,
    label: str = "",
    client: ScriptedJudgeClient | None = None,
    script: ScriptedEngine | None = None,
    notes: Sequence[str] = (),
    expected: int | None = None,
) -> None:
    """A run folder in which every item is answered at every resolution."""
    engine = script or ScriptedEngine(Looker(items, protocol))
    planner = Planner(checkpoint="looker", protocol=protocol, limits=protocol.limits(LIMITS))
    jobs = [
        Job(
            task=f"cof_{item.question.benchmark}_{name}",
            doc_id=i,
            question=item.question,
            resolution=parse_resolution(name),
            source=item.image,
        )
        for name in resolutions
        for i, item in enumerate(items)
    ]
    judge = Judge(CARD, client)
    tasks = dict(Counter(job.task for job in jobs))
    if expected is not None:
        tasks["later"] = expected - len(jobs)
    settings = {
        "label": label,
        "model": {"pretrained": "looker-7b", "dtype": "bfloat16"},
        "protocol": {"name": protocol.name, "max_turns": protocol.max_turns, "max_new_tokens": protocol.max_new_tokens},
        "engine": {"name": "scripted"},
        "seed": 0,
        "judge": judge_settings(judge),
        "notes": list(notes),
        "tasks": tasks,
    }
    with RunFolder(path, json.loads(json.dumps(settings)), keep_images=keep_images) as run:
        work = Evaluation(engine=engine, protocol=protocol, run=run, judge=judge, concurrency=4)
        await work.answer([planner.plan(job) for job in jobs])
