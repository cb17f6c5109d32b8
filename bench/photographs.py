"""4K photographs over a served scripted engine: how close to the ideal, what an image costs to send, and the encode's part of it.

PNG, as images travelled before, against `auto`, which is BMP on this machine; both in one run, each in a process of its own.
"""

from __future__ import annotations

import asyncio
import io
import json
import os
import random
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from PIL import Image

from bench.figures import Figure, at_least
from bench.image_server import image_server
from cof_eval.agent.engine import ImagePart, Message, Request, Role, TextPart
from cof_eval.agent.protocols import COF
from cof_eval.core.images import ImageSource
from cof_eval.core.records import Question
from cof_eval.core.resolution import parse_resolution
from cof_eval.core.settings import KeepImages
from cof_eval.engines import EngineSettings, open_engine, wire
from cof_eval.judging import Judge, load_card
from cof_eval.runs.evaluate import Evaluation
from cof_eval.runs.folder import RunFolder
from cof_eval.runs.plan import Job, Planner
from cof_eval.servers import ImageFormat

SIZE = (3840, 2160)
COUNT, SLOTS, LATENCY_S = 32, 8, 4.0
"""Rollouts of two turns; 8 turns at once of 4 s in the mean: two turns a second, so one new photograph."""
FORMATS = ("png", "auto")


def photographs() -> list[Figure]:
    """Fractions of the ideal throughput, and CPU time of an image sent."""
    with image_server(SLOTS, LATENCY_S) as url:
        runs = {name: _in_process("_rollouts", url, name) for name in FORMATS}
        sent = {name: _in_process("_sends", url, name) for name in FORMATS}
    detail = {name: _told(run) for name, run in runs.items()}
    ratio = sent["png"]["cpu_ms"] / sent["auto"]["cpu_ms"]
    both = f"png {sent['png']['cpu_ms']:.0f} ms, auto {sent['auto']['cpu_ms']:.0f} ms; encoding {sent['png']['encode_ms']:.0f} and {sent['auto']['encode_ms']:.0f} ms"
    return [
        Figure("4K photographs, png", runs["png"]["fraction"], "", "", None, detail["png"]),
        at_least("4K photographs, auto", runs["auto"]["fraction"], 0.85, "", detail["auto"]),
        at_least("CPU of an image sent", ratio, 5, "x less", f"a photograph of {SIZE[0]}×{SIZE[1]}: {both}"),
    ]


def _told(run: dict[str, float]) -> str:
    return (
        f"fraction of the ideal, {COUNT} rollouts of 2 turns: {run['wall_s']:.1f} s, ideal {run['ideal_s']:.1f} s; "
        f"{run['cpu_s']:.1f} s CPU, {100 * run['encode_s'] / run['cpu_s']:.0f}% of it to encode; {run['received'] / 1e6:.0f} MB sent"
    )


def _in_process(name: str, url: str, image_format: str) -> dict[str, Any]:
    code = f"from bench.photographs import {name}; {name}({url!r}, {image_format!r})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout.strip().splitlines()[-1]))


@lru_cache(maxsize=1)
def _grain() -> Image.Image:
    return Image.frombytes("RGB", (960, 540), random.Random(0).randbytes(960 * 540 * 3)).resize(SIZE, Image.Resampling.BICUBIC)


def _photograph(number: int) -> Image.Image:
    """An image with the detail of a photograph; each is another."""
    tint = Image.new("RGB", SIZE, (number * 37 % 256, number * 91 % 256, number * 53 % 256))
    return Image.blend(_grain(), tint, 0.3)


def _jobs() -> Iterator[Job]:
    for number in range(COUNT):
        buffer = io.BytesIO()
        _photograph(number).save(buffer, "JPEG", quality=90)
        question = Question(
            str(number), "bench", "c", str(number), f"Question {number}?\n(A) one\n(B) two", ("one", "two"), "B"
        )
        source = ImageSource(data=buffer.getvalue())
        yield Job(task="bench", doc_id=number, question=question, resolution=parse_resolution("4k"), source=source)


@contextmanager
def _encoding() -> Iterator[list[float]]:
    """CPU seconds of every encoding, by its thread's own clock."""
    spent: list[float] = []
    plain = wire.data_url

    def timed(part: ImagePart, image_format: ImageFormat) -> Any:
        begun = time.thread_time()
        try:
            return plain(part, image_format)
        finally:
            spent.append(time.thread_time() - begun)

    wire.data_url = timed
    try:
        yield spent
    finally:
        wire.data_url = plain


def _counted(url: str) -> dict[str, Any]:
    """What the server counted since the last time."""
    with urllib.request.urlopen(url.removesuffix("/v1") + "/counted") as reply:
        return dict(json.load(reply))


def _settings(url: str, image_format: str) -> EngineSettings:
    return EngineSettings(pretrained="local", base_url=url, max_pixels=3840 * 3840, engine_args={"image_format": image_format})


def _rollouts(url: str, image_format: str) -> None:
    """In a process of its own: a run over photographs; prints what it took."""
    jobs = list(_jobs())
    _counted(url)

    async def run() -> tuple[float, float]:
        engine = await open_engine("openai", _settings(url, image_format), COF)
        planner = Planner(checkpoint="bench", protocol=COF, limits=COF.limits(engine.limits))
        plans = [planner.plan(job) for job in jobs]
        with tempfile.TemporaryDirectory() as folder, RunFolder(Path(folder) / "run", {}, keep_images=KeepImages.NONE) as kept:
            work = Evaluation(engine=engine, protocol=COF, run=kept, judge=Judge(load_card("strict")), concurrency=2 * SLOTS)
            begun, cpu = time.perf_counter(), time.process_time()
            await work.answer(plans)
            took = time.perf_counter() - begun, time.process_time() - cpu
            stops = {trajectory.stop.value for trajectory in kept.trajectories.values()}
        await engine.close()
        if stops != {"answered"}:
            raise RuntimeError(f"the rollouts stopped as {stops}")
        return took

    with _encoding() as spent:
        wall, cpu = asyncio.run(run())
    counted = _counted(url)
    ideal = asyncio.run(_ideal(counted["waits"]))
    print(json.dumps({"wall_s": wall, "ideal_s": ideal, "fraction": ideal / wall, "cpu_s": cpu, "encode_s": sum(spent), "received": counted["received"]}))  # fmt: skip


async def _ideal(waits: list[float]) -> float:
    """Seconds of the same generations with all prompts known in advance."""
    places = asyncio.Semaphore(SLOTS)

    async def one(wait: float) -> None:
        async with places:
            await asyncio.sleep(wait)

    begun = time.perf_counter()
    await asyncio.gather(*map(one, waits))
    return time.perf_counter() - begun


def _sends(url: str, image_format: str) -> None:
    """In a process of its own: photographs that are ready are sent one after the other; prints what one takes."""
    count = 8
    parts = [ImagePart(_photograph(number), f"{os.getpid()}-{number}", 0) for number in range(count)]

    def request(*images: ImagePart) -> Request:
        message = Message(Role.USER, (*images, TextPart("What is it?")))
        return Request(conversation="c", messages=(message,), max_tokens=16)

    async def run() -> float:
        engine = await open_engine("openai", _settings(url, image_format), COF)
        await engine.generate(request())
        begun = time.process_time()
        for part in parts:
            await engine.generate(request(part))
        took = time.process_time() - begun
        await engine.close()
        return took

    with _encoding() as spent:
        cpu = asyncio.run(run())
    print(json.dumps({"cpu_ms": 1000 * cpu / count, "encode_ms": 1000 * sum(spent) / count}))
