"""The report of a large run: 100,000 generated trajectories of the size that real ones have, seconds and peak memory."""

from __future__ import annotations

import json
import math
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import yaml

from bench.figures import Figure, below
from cof_eval.core.records import (
    Call,
    Crop,
    Finish,
    ImageRef,
    Outcome,
    Question,
    Row,
    ShownImage,
    Stop,
    Trajectory,
    Turn,
    Verdict,
    digest,
    to_json,
    verdict_key,
)
from cof_eval.core.resolution import SWEEP

NATIVE = (2246, 1582)
THOUGHT = "<think>The question asks about a small object; I look for it along the shelf, then beside the window. </think> "
CARD = "equivalence"


def write_run(folder: Path, *, questions: int, seed: int = 0, zooms: bool = True, images: int | None = None) -> Path:
    """A run folder of so many questions at the eight resolutions: generated answers, no model.

    Whether an answer is right follows from the pixels that the target was seen with, so that figures have a shape.

    Args:
        folder: where to; made if needed.
        questions: how many; each has a trajectory per resolution.
        seed: of everything random.
        zooms: whether the run zooms, or is a baseline without.
        images: how many images the questions share; by default a fourth as many.
    """
    folder.mkdir(parents=True)
    protocol = "cof" if zooms else "direct"
    settings = {
        "format": 1,
        "label": f"generated · {protocol}",
        "model": {"pretrained": "generated", "fingerprint": "none"},
        "protocol": {"name": protocol},
        "seed": seed,
        "judge": {"card": CARD, "model": ""},
        "tasks": {f"cof_vstar_{resolution.name}": questions for resolution in SWEEP},
        "notes": ["generated answers: measures no model"],
    }
    (folder / "run.yaml").write_text(yaml.safe_dump(settings))
    files = [(folder / f"{name}.jsonl").open("wb") for name in ("rows", "trajectories", "verdicts")]
    made = _records(questions, images or max(1, questions // 4), random.Random(seed), zooms)
    for records in made:
        for file, record in zip(files, records, strict=True):
            file.write(to_json(record) + b"\n")
    for file in files:
        file.close()
    return folder


def _records(questions: int, images: int, rng: random.Random, zooms: bool) -> Iterator[tuple[Row, Trajectory, Verdict]]:
    for number in range(questions):
        question = _question(number, number % images)
        ease = random.Random(number).gauss(0, 0.8)  # the same for every run
        for resolution in SWEEP:
            side = min(resolution.side or 0, 1885)
            shown = (28 * max(4, round(side * 1.19 / 28)), 28 * max(4, round(side * 0.84 / 28)))
            trajectory, right = _trajectory(question, resolution.name, shown, rng, ease, zooms)
            row = Row(
                f"cof_vstar_{resolution.name}", number, question.id, "vstar", resolution.name, 0, trajectory.key, side * side
            )
            outcome = Outcome.CORRECT if right else Outcome.WRONG
            key = verdict_key(CARD, "", question, trajectory.answer)
            yield row, trajectory, Verdict(key, CARD, "", outcome, "rule:letter", reason="the letter was given")


def _question(number: int, image: int) -> Question:
    own = random.Random(f"question {number}")
    side = 2 ** own.uniform(4.5, 8)
    x, y = own.uniform(0, NATIVE[0] - side), own.uniform(0, NATIVE[1] - side)
    category = "direct_attributes" if number % 5 < 3 else "relative_position"
    text = f"What is the color of the mug number {number}?\n(A) white\n(B) red\n(C) blue\n(D) green\nAnswer with the option's letter."
    options = ("white", "red", "blue", "green")
    boxes = ((x, y, x + side, y + side),)
    return Question(str(number), "vstar", category, f"image {image}", text, options, "ABCD"[own.randrange(4)], boxes)


def _trajectory(
    question: Question, resolution: str, shown: tuple[int, int], rng: random.Random, ease: float, zooms: bool
) -> tuple[Trajectory, bool]:
    ((x1, y1, x2, y2),) = question.boxes
    seen = (x2 - x1) * shown[0] / NATIVE[0]
    turns, visual = [], shown[0] * shown[1] // 784
    wanted = 0 if not zooms else min(3, int(rng.expovariate(1.0 if seen < 40 else 2.2) + 0.4))
    for _ in range(wanted):
        hit, half = rng.random() < 0.35 + seen / 60, (x2 - x1) * rng.uniform(0.6, 2)
        centre = ((x1 + x2) / 2, (y1 + y2) / 2) if hit else (rng.uniform(0, NATIVE[0]), rng.uniform(0, NATIVE[1]))
        box = _clipped(centre, half)
        seen = max(seen, 1.6 * seen) if hit else seen
        turns.append(_zoom(box, shown, visual))
        visual += 120
    right = rng.random() < 0.25 + 0.72 / (1 + math.exp(-(math.log2(seen) - 3.6 + ease)))
    answer = question.answer if right else "ABCD"["ABCD".index(question.answer) - 1]
    stop = Stop.ANSWERED if rng.random() > 0.01 else Stop.LENGTH
    turns.append(
        Turn(f"{THOUGHT * 2}<answer>{answer}</answer>", Finish.STOP, visual + 420, visual, 60, visual, rng.uniform(0.5, 4))
    )
    key = digest(question.id, resolution, zooms)
    text = answer if stop is Stop.ANSWERED else ""
    image, given = (
        ImageRef(digest(question.cluster), NATIVE),
        ShownImage(shown, shown[0] * shown[1] // 784, digest(question.cluster, shown)),
    )
    trajectory = Trajectory(key, question, image, "cof" if zooms else "direct", given, tuple(turns), text, stop, wall_s=3.0)
    return trajectory, right and stop is Stop.ANSWERED


def _clipped(centre: tuple[float, float], half: float) -> tuple[float, float, float, float]:
    x, y = centre
    return (max(0.0, x - half), max(0.0, y - half), min(NATIVE[0], x + half), min(NATIVE[1], y + half))


def _zoom(box: tuple[float, float, float, float], shown: tuple[int, int], visual: int) -> Turn:
    scale = shown[0] / NATIVE[0]
    x1, y1, x2, y2 = (value * scale for value in box)
    asked = (x1 + (x2 - x1) / 6, y1 + (y2 - y1) / 6, x2 - (x2 - x1) / 6, y2 - (y2 - y1) / 6)
    size = (max(112, int(2 * (x2 - x1))), max(112, int(2 * (y2 - y1))))
    raw = json.dumps({"name": "image_zoom_in_tool", "arguments": {"bbox_2d": [round(value, 1) for value in asked]}})
    call = Call(raw, asked, "shown", crop=Crop(digest(box), size, box, 120))
    return Turn(f"{THOUGHT}<tool_call>{raw}</tool_call>", Finish.STOP, visual + 400, visual, 70, visual, 1.5, (call,))


def report(questions: int = 12_500) -> list[Figure]:
    """Seconds and peak memory of `cof-eval report` on so many questions at eight resolutions, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        run = write_run(Path(folder, "run"), questions=questions)
        megabytes = sum(file.stat().st_size for file in run.iterdir()) / 2**20
        code = f"from bench.report import _measure; _measure({str(run)!r})"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"bench report failed:\n{done.stderr[-3000:]}")
        seconds, peak = json.loads(done.stdout.strip().splitlines()[-1])
    what = f"{8 * questions:,} trajectories, {megabytes:.0f} MB of journals"
    return [below("report: seconds", seconds, 90, "s", what), below("report: peak memory", peak, 2000, "MB", what)]


def _measure(run: str) -> None:
    from cof_eval.cli.finish import finish
    from cof_eval.runs.folder import load_run

    started = time.perf_counter()
    finish([load_run(Path(run))], Path(run) / "report")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform != "darwin" else 2**20)
    print(json.dumps([time.perf_counter() - started, peak]))
