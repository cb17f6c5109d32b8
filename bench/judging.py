"""Many undecided answers against a judge that takes 50 ms: wall time over the ideal, and memory over the number."""

from __future__ import annotations

import asyncio
import json
import math
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from bench.figures import Figure, below
from cof_eval.core.records import ImageRef, Question, ShownImage, Stop, Trajectory, Verdict
from cof_eval.judging import start_judge
from cof_eval.runs.rejudge import RejudgeProgress, judge_all

CONCURRENCY = 64
LATENCY_S = 0.05
_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s"
_MODELS = {"object": "list", "data": [{"id": "judge", "object": "model", "created": 0, "owned_by": "vllm"}]}
_REPLY = {
    "id": "1",
    "object": "chat.completion",
    "created": 0,
    "model": "judge",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "1"}}],
    "usage": {"prompt_tokens": 9, "completion_tokens": 1, "total_tokens": 10},
}


def judging() -> list[Figure]:
    """Wall time of 10,000 undecided answers over the ideal, and the memory that they add over 1,000."""
    few, many = _measured(1_000), _measured(10_000)
    ideal = math.ceil(10_000 / CONCURRENCY) * LATENCY_S
    detail = f"10,000 answers, {CONCURRENCY} at once: {many['wall_s']:.1f} s ({many['cpu_s']:.1f} s CPU), ideal {ideal:.1f} s"
    grown = many["peak_mb"] - few["peak_mb"]
    return [
        below("judging: times the ideal", many["wall_s"] / ideal, 2, "x", detail),
        below(
            "judging: memory growth",
            grown,
            50,
            "MB",
            f"peak {few['peak_mb']:.0f} MB for 1,000, {many['peak_mb']:.0f} MB for 10,000",
        ),
    ]


def _measured(count: int) -> dict[str, float]:
    code = f"from bench.judging import _measure; _measure({count})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout.strip().splitlines()[-1]))


def _measure(count: int) -> None:
    with _server() as url:
        wall = asyncio.run(_judge(url, count))
    usage = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps({"wall_s": wall, "cpu_s": usage.ru_utime + usage.ru_stime, "peak_mb": usage.ru_maxrss / 1024}))


async def _judge(url: str, count: int) -> float:
    judge = await start_judge("equivalence", url, "EMPTY", concurrency=CONCURRENCY)
    counts = RejudgeProgress(total=count)
    started = time.perf_counter()
    await judge_all(_answers(count), judge, _forget, CONCURRENCY, counts)
    wall = time.perf_counter() - started
    await judge.close()
    scored = sum(n for outcome, n in counts.outcomes.items() if outcome != "unscored")
    if scored != count:
        raise SystemExit(f"{scored} of {count} answers were scored")
    return wall


def _forget(*verdicts: Verdict) -> None:
    """Where verdicts go."""


def _answers(count: int) -> Iterator[Trajectory]:
    """Distinct answers that no rule decides."""
    asked = Question("1", "vstar", "", "1", "What is the material?\n(A) rubber\n(B) cotton", ("rubber", "cotton"), "B")
    for number in range(count):
        said = f"some yarn, number {number} of its sort"
        yield Trajectory(str(number), asked, ImageRef("h", (1, 1)), "cof", ShownImage((28, 28), 1), (), said, Stop.ANSWERED)


@contextmanager
def _server() -> Iterator[str]:
    """A judge in a process of its own, on which no client's work weighs."""
    command = [sys.executable, "-c", "from bench.judging import _serve; import asyncio; asyncio.run(_serve())"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}/v1"
        finally:
            process.terminate()


async def _serve() -> None:
    server = await asyncio.start_server(_talk, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await server.serve_forever()


async def _talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One connection: any GET lists the model, any POST is answered after the latency."""
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = next((int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.startswith(b"content-length:")), 0)
            await reader.readexactly(length)
            if not head.startswith(b"get"):
                await asyncio.sleep(LATENCY_S)
            body = json.dumps(_MODELS if head.startswith(b"get") else _REPLY).encode()
            writer.write(_HEAD % (len(body), body))
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()
