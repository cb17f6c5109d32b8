"""On a scripted engine: what our own loop costs, how close it stays to the ideal, and how memory grows.

The scripted engine answers after a random latency, so that nothing but the harness is measured.
"""

from __future__ import annotations

import asyncio
import io
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from bench.figures import Figure, at_least, below
from cof_eval.agent.engine import Request, Response
from cof_eval.agent.protocols import COF
from cof_eval.core.records import Finish, Question
from cof_eval.core.resolution import PixelLimits, parse_resolution
from cof_eval.core.settings import KeepImages
from cof_eval.judging import Judge, load_card
from cof_eval.runs.evaluate import Evaluation
from cof_eval.runs.folder import RunFolder
from cof_eval.runs.plan import Job, Planner

LIMITS = PixelLimits(28, 3136, 14_745_600)
BAD_CALL = '<tool_call>{"name": "image_zoom_in_tool", "arguments": {"bbox_2d": [1, 2, 3]}}</tool_call>'
GOOD_CALL = '<tool_call>{"name": "image_zoom_in_tool", "arguments": {"bbox_2d": [100, 100, 400, 300]}}</tool_call>'
ANSWER = "<think>It is the second.</think> <answer>B</answer>"


class Scripted:
    """An engine with `slots` places that says `call` for a number of turns and then answers."""

    limits, context, max_images = LIMITS, 32_768, 16

    def __init__(self, call: str, *, turns: int, slots: int = 1_000_000, seed: int = 0, latency_s: float = 0.0) -> None:
        self.call, self.turns, self.latency_s, self.seed = call, turns, latency_s, seed
        self.slots = asyncio.Semaphore(slots)
        self.waits: list[float] = []

    def text_tokens(self, text: str) -> int:
        """A quarter of the characters."""
        return len(text) // 4

    async def start(self) -> None:
        """Nothing to load."""

    async def close(self) -> None:
        """Nothing to release."""

    async def generate(self, request: Request) -> Response:
        """Wait and speak."""
        turn = sum(m.role == "assistant" for m in request.messages)
        # the same conversation and turn take the same time in every order of events
        own = random.Random(f"{self.seed}-{request.conversation}-{turn}")
        wait = own.uniform(0.2, 1.8) * self.latency_s
        self.waits.append(wait)
        async with self.slots:
            await asyncio.sleep(wait)
        last = turn >= own.randrange(self.turns) if self.latency_s else turn + 1 >= self.turns
        visual = sum(i.visual_tokens for i in request.images)
        return Response(text=ANSWER if last else self.call, finish=Finish.STOP, prompt_tokens=visual + 400, cached_tokens=0,
                        output_tokens=40, visual_tokens=visual, engine_s=wait)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Picture:
    """A generated photograph-like image, made when it is read."""

    seed: int
    width: int
    height: int

    def read(self) -> bytes:
        """Its bytes, as JPEG."""
        small = Image.frombytes("RGB", (32, 18), random.Random(self.seed).randbytes(32 * 18 * 3))
        buffer = io.BytesIO()
        small.resize((self.width, self.height), Image.Resampling.BILINEAR).save(buffer, "JPEG", quality=80)
        return buffer.getvalue()


def jobs(count: int, size: tuple[int, int], resolution: str) -> list[Job]:
    """One question about each of `count` images."""
    made = []
    for i in range(count):
        question = Question(str(i), "bench", "c", str(i), f"Question {i}?\n(A) one\n(B) two", ("one", "two"), "B")
        made.append(
            Job(task="bench", doc_id=i, question=question, resolution=parse_resolution(resolution), source=Picture(i, *size))
        )
    return made


async def evaluate(engine: Scripted, work: list[Job], concurrency: int) -> float:
    """Answer all jobs in a fresh run folder; seconds of the answering alone."""
    planner = Planner(checkpoint="bench", protocol=COF, limits=COF.limits(LIMITS))
    plans = [planner.plan(job) for job in work]
    with tempfile.TemporaryDirectory() as folder, RunFolder(Path(folder) / "run", {}, keep_images=KeepImages.NONE) as run:
        evaluation = Evaluation(engine=engine, protocol=COF, run=run, judge=Judge(load_card("strict")), concurrency=concurrency)
        started = time.perf_counter()
        await evaluation.answer(plans)
        return time.perf_counter() - started


def overhead() -> list[Figure]:
    """CPU time of the loop per turn, images excluded: calls that fail, so that nothing is cropped."""
    count, turns = 400, 6
    engine = Scripted(BAD_CALL, turns=turns)
    work = jobs(count, (112, 112), "224")
    before = time.process_time()
    asyncio.run(evaluate(engine, work, 16))
    cpu_ms = (time.process_time() - before) * 1000 / (count * turns)
    return [below("loop overhead per turn", cpu_ms, 5, "ms CPU", f"{count} rollouts of {turns} turns, journals included")]


def ideal() -> list[Figure]:
    """Our throughput against the same generations with all prompts known in advance, on an engine of bounded capacity.

    The engine gives 32 turns a second. As a run does, with more rollouts under way than it takes
    at once; and, without a gate, with just as many: each crop in the making then leaves a place empty.
    """
    slots, count = 16, 320
    share, detail = _share(slots, 2 * slots, count)
    just, just_detail = _share(slots, slots, count)
    return [
        at_least("scripted: fraction of ideal", share, 0.90, "", f"{2 * slots} rollouts for {slots} places, {detail}"),
        Figure("with no rollout to spare", just, "", "", None, f"{slots} rollouts for {slots} places, {just_detail}"),
    ]


def _share(slots: int, concurrency: int, count: int) -> tuple[float, str]:
    """(share of the ideal throughput, how it came about)."""

    async def ours() -> tuple[float, list[float]]:
        engine = Scripted(GOOD_CALL, turns=6, slots=slots, latency_s=0.5)
        return await evaluate(engine, jobs(count, (448, 336), "448"), concurrency), engine.waits

    async def known(waits: list[float]) -> float:
        places = asyncio.Semaphore(slots)

        async def one(wait: float) -> None:
            async with places:
                await asyncio.sleep(wait)

        started = time.perf_counter()
        await asyncio.gather(*(one(wait) for wait in waits))
        return time.perf_counter() - started

    wall, waits = asyncio.run(ours())
    best = asyncio.run(known(waits))
    return best / wall, f"{len(waits)} turns of {count} rollouts: {wall:.1f} s, ideal {best:.1f} s"


def memory() -> list[Figure]:
    """Peak memory for 2,000 questions of 1920x1080 over that for 50, at concurrency 16."""
    peaks = {count: _peak_mb(count) for count in (50, 2000)}
    grown = peaks[2000] - peaks[50]
    return [
        below("memory growth", grown, 1000, "MB", f"peak {peaks[50]:.0f} MB for 50 questions, {peaks[2000]:.0f} MB for 2,000")
    ]


def _peak_mb(count: int) -> float:
    code = f"from bench.scripted import _measure; _measure({count})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return float(json.loads(done.stdout.strip().splitlines()[-1]))


def _measure(count: int) -> None:
    engine = Scripted(GOOD_CALL, turns=3)
    asyncio.run(evaluate(engine, jobs(count, (1920, 1080), "1920"), 16))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps(peak / 1024 if sys.platform != "darwin" else peak / 2**20))
