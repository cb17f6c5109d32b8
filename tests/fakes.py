"""Hand-written stand-ins behind our own seams: a scripted engine, and helpers to build subjects and replies."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from cof_eval.agent.engine import Engine, Request, Response, TextPart
from cof_eval.agent.protocols import COF, Protocol
from cof_eval.agent.rollout import Subject
from cof_eval.agent.zoom import View
from cof_eval.core.errors import EngineError, ImageError, JudgeError
from cof_eval.core.images import encode_png, pixel_hash
from cof_eval.core.journal import Disk
from cof_eval.core.records import Finish, ImageRef, Outcome, Question, ShownImage, Stop, Trajectory, digest
from cof_eval.core.resolution import PixelLimits, parse_resolution
from cof_eval.core.settings import KeepImages
from cof_eval.judging import Card, Judge, judge_settings
from cof_eval.judging.judge import JudgeReply
from cof_eval.runs.evaluate import Evaluation, Progress
from cof_eval.runs.folder import RunFolder
from cof_eval.runs.plan import Job, PlannedJob, Planner

LIMITS = PixelLimits(factor=28, min_pixels=3136, max_pixels=12_845_056)

Script = Callable[[Request, int], str]
"""(request, turn) -> the model's text."""


class ScriptedEngine:
    """An `Engine` that says what a script says, and counts what it was asked."""

    def __init__(
        self,
        script: Script | Sequence[str],
        *,
        limits: PixelLimits = LIMITS,
        context: int = 32_768,
        max_images: int = 16,
        finish: Finish = Finish.STOP,
        extra_visual: int = 0,
        tells_visual: bool = True,
        latency: Callable[[], float] = lambda: 0.0,
        fail: Callable[[Request], bool] = lambda request: False,
    ) -> None:
        self.limits, self.context, self.max_images = limits, context, max_images
        self._script: Script = script if callable(script) else (lambda request, turn: script[min(turn, len(script) - 1)])
        self._finish, self._extra, self._latency, self._fail = finish, extra_visual, latency, fail
        self._tells_visual = tells_visual
        self.requests: list[Request] = []
        self.started = 0
        self.running = 0
        self.most_running = 0

    def text_tokens(self, text: str) -> int:
        return len(text) // 4 + 1

    async def start(self) -> None:
        self.started += 1

    async def close(self) -> None:
        pass

    async def generate(self, request: Request) -> Response:
        self.requests.append(request)
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            await asyncio.sleep(self._latency())
            if self._fail(request):
                raise EngineError("scripted failure")
            turn = sum(message.role == "assistant" for message in request.messages)
            return self._respond(request, self._script(request, turn))
        finally:
            self.running -= 1

    def _respond(self, request: Request, text: str) -> Response:
        visual = sum(image.visual_tokens for image in request.images)
        words = sum(self.text_tokens(p.text) for m in request.messages for p in m.parts if hasattr(p, "text"))
        return Response(
            text=text,
            finish=self._finish,
            prompt_tokens=visual + words,
            cached_tokens=0,
            output_tokens=self.text_tokens(text),
            visual_tokens=visual + self._extra if self._tells_visual else None,
            engine_s=0.0,
        )


def call(*box: object, name: str = "image_zoom_in_tool") -> str:
    """A tool call as a checkpoint writes it."""
    return f"<tool_call>\n{json.dumps({'name': name, 'arguments': {'bbox_2d': list(box)}})}\n</tool_call>"


def answer(text: str) -> str:
    """An answer as a checkpoint writes it."""
    return f"<think>I see.</think> <answer>{text}</answer>"


def noise(width: int, height: int, seed: int = 0) -> Image.Image:
    """An image whose every region is different."""
    return Image.frombytes("RGB", (width, height), random.Random(seed).randbytes(width * height * 3))


def question(**changes: object) -> Question:
    """A four-option question."""
    values: dict[str, object] = {
        "id": "7",
        "benchmark": "vstar",
        "category": "direct_attributes",
        "cluster": "a.jpg",
        "text": "What is the color of the mug?\n(A) red\n(B) blue\n(C) green\n(D) white",
        "options": ("red", "blue", "green", "white"),
        "answer": "B",
        "boxes": (),
    }
    return Question(**{**values, **changes})  # type: ignore[arg-type]


def subject(width: int = 280, height: int = 196, *, native: tuple[int, int] | None = None, key: str = "k") -> Subject:
    """A question with a shown image of this size."""
    shown = noise(width, height)
    view = View(shown, native or shown.size, noise(*native, seed=1) if native else shown)
    return Subject(
        question=question(), image=ImageRef("native", native or shown.size), view=view, shown_hash=pixel_hash(shown), key=key
    )


def trajectory(**changes: object) -> Trajectory:
    """An answered trajectory without turns."""
    values: dict[str, object] = {
        "key": "k",
        "question": question(),
        "image": ImageRef("native", (28, 28)),
        "protocol": "cof",
        "shown": ShownImage((28, 28), 1, "shown"),
        "turns": (),
        "answer": "B",
        "stop": Stop.ANSWERED,
    }
    return Trajectory(**{**values, **changes})  # type: ignore[arg-type]


class FaultyDisk:
    """A journal's `Disk`: the real one, but writing piecewise, and failing at its n-th call (or from then on)."""

    def __init__(
        self, *, fail_at: int = -1, error: BaseException | None = None, for_good: bool = False, piece: int | None = None
    ) -> None:
        self._fail_at, self._for_good, self._piece = fail_at, for_good, piece
        self._error = error or OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.calls: list[str] = []

    def _called(self, name: str) -> None:
        number = len(self.calls)
        self.calls.append(name)
        if number == self._fail_at or (self._for_good and 0 <= self._fail_at < number):
            raise self._error

    def write(self, fd: int, data: bytes, /) -> int:
        self._called("write")
        return os.write(fd, data[: self._piece])

    def fsync(self, fd: int, /) -> None:
        self._called("fsync")
        os.fsync(fd)

    def ftruncate(self, fd: int, length: int, /) -> None:
        self._called("ftruncate")
        os.ftruncate(fd, length)


class Killer:
    """Rounds of a program of `tests/programs` that ends by SIGKILL; see `until_killed` there."""

    def __init__(self, program: str) -> None:
        file = Path(__file__).parent / "programs" / program
        paths = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
        env = {**os.environ, "PYTHONPATH": paths}
        self._process = subprocess.Popen(
            [sys.executable, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env
        )

    def round(self, path: Path, *, after_words: int, after_us: int) -> tuple[list[str], bool]:
        """What the work said before it was killed, and whether it was killed before it ended."""
        assert self._process.stdin and self._process.stdout
        print(
            json.dumps({"path": str(path), "after_words": after_words, "after_us": after_us}),
            file=self._process.stdin,
            flush=True,
        )
        reply = json.loads(self._process.stdout.readline())
        return reply["said"], reply["killed"]

    def __enter__(self) -> Killer:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()


class Stored:
    """A stored image that counts how often it is read; equal to any of the same name. Without data it cannot be read."""

    def __init__(self, name: str, data: bytes | None) -> None:
        self.name, self.data, self.reads = name, data, 0

    def read(self) -> bytes:
        self.reads += 1
        if self.data is None:
            raise ImageError(f"{self.name} does not exist")
        return self.data

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Stored) and other.name == self.name

    def __hash__(self) -> int:
        return hash(self.name)


def stored(width: int = 56, height: int = 56, *, seed: int = 0) -> Stored:
    """A stored PNG of noise."""
    return Stored(f"{width}x{height}-{seed}.png", encode_png(noise(width, height, seed)))


def job(doc_id: int = 0, resolution: str = "224", source: Stored | None = None, *, repeat: int = 0, **changes: object) -> Job:
    """A row of `cof_vstar_<resolution>` with a question of its own."""
    about = question(**{"id": str(doc_id), "text": f"Question {doc_id}?\n(A) red\n(B) blue\n(C) green\n(D) white", **changes})
    task = f"cof_{about.benchmark}_{resolution}"
    return Job(task=task, doc_id=doc_id, question=about, resolution=parse_resolution(resolution), source=source, repeat=repeat)


def planner(protocol: Protocol = COF, *, checkpoint: str = "c", limits: PixelLimits = LIMITS) -> Planner:
    """A planner for engines with these limits."""
    return Planner(checkpoint=checkpoint, protocol=protocol, limits=protocol.limits(limits))


CARD = Card(
    name="card", decides="equality", labels={"1": Outcome.CORRECT, "0": Outcome.WRONG}, prompt="{question}|{reference}|{answer}"
)


class ScriptedJudgeClient:
    """An `JudgeClient` that says what a script says, and counts what it was asked."""

    def __init__(
        self,
        label: Callable[[str], str] = lambda prompt: "1",
        *,
        model: str = "big",
        latency: Callable[[], float] = lambda: 0.0,
        fail: Callable[[str], bool] = lambda prompt: False,
    ) -> None:
        self.model = model
        self._label, self._latency, self._fail = label, latency, fail
        self.prompts: list[str] = []
        self.running = self.most_running = 0

    async def ask(self, prompt: str, card: Card, image: bytes | None = None) -> JudgeReply:
        self.prompts.append(prompt)
        await asyncio.sleep(self._latency())
        if self._fail(prompt):
            raise JudgeError("scripted failure")
        return JudgeReply(self._label(prompt), 100, 1)

    async def close(self) -> None:
        pass


def wander(request: Request, turn: int) -> str:
    """A model that always does the same with the same question and image: some zooms, then some answer or none."""
    asked = next(p.text for m in request.messages if m.role == "user" for p in m.parts if isinstance(p, TextPart))
    number = int(digest(asked, request.images[0].hash if request.images else ""), 16)
    if turn < number % 4 and request.images:
        return call(2 + turn, 2, 50, 60 if number % 5 else 2)
    return ["I wonder.", *(answer(a) for a in ("B", "A", "C", "It is blue", "the mug", f"mug {number % 3}"))][number // 7 % 7]


def sample(images: int = 6, resolutions: Sequence[str] = ("224", "336", "448", "672", "4k")) -> list[PlannedJob]:
    """Plans of one question about each of some images at several resolutions; the larger resolutions share work."""
    sources = [stored(400 + 28 * i, 300, seed=i) for i in range(images)]
    plans = planner()
    return [plans.plan(job(i, r, source, cluster=source.name)) for r in resolutions for i, source in enumerate(sources)]


def answer_all(path: Path, plans: Sequence[PlannedJob], engine: Engine, **options: Any) -> None:
    """One session of a run, as a whole; see `session`."""
    asyncio.run(session(path, plans, engine, **options))


async def session(
    path: Path,
    plans: Sequence[PlannedJob],
    engine: Engine,
    *,
    client: ScriptedJudgeClient | None = None,
    concurrency: int = 4,
    progress: Progress | None = None,
    protocol: Protocol = COF,
    keep_images: KeepImages = KeepImages.NONE,
    disk: Disk = os,
) -> None:
    """One session of a run."""
    judge = Judge(CARD, client)
    tasks = dict(Counter(plan.job.task for plan in plans))
    settings = {"model": "tiny", "judge": judge_settings(judge), "tasks": tasks}
    with RunFolder(path, settings, keep_images=keep_images, disk=disk) as run:
        work = Evaluation(engine=engine, protocol=protocol, run=run, judge=judge, concurrency=concurrency)
        await work.answer(plans, progress)
