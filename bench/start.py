"""The start of a run: CPU time until the first request, over that of importing torch."""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
from pathlib import Path

from bench.figures import Figure, below
from bench.local_server import local_server
from cof_eval.benchmarks.synthetic.scenes import write_scenes
from cof_eval.engines.tiny_checkpoint import write_checkpoint

ROUNDS = 3
_CPU = (
    "import resource; used = resource.getrusage(resource.RUSAGE_SELF); print('\\n', used.ru_utime + used.ru_stime, flush=True)"
)
TORCH = f"import torch\n{_CPU}"
FIRST_REQUEST = f"""
import os, sys
from cof_eval.cli import main
from cof_eval.engines.{{module}} import {{engine}} as Engine
async def generate(self, request):
    {_CPU}
    os._exit(0)
Engine.generate = generate
main()
"""


def start() -> list[Figure]:
    """A served model and one on transformers; each measurement in a process of its own, by turns, medians."""
    with tempfile.TemporaryDirectory() as folder:
        torch, served, local = asyncio.run(_rounds(Path(folder)))
    detail = f"CPU seconds until the first request over those of importing torch ({torch:.2f} s), median of {ROUNDS}"
    return [
        below("start: served", served / torch, 2.6, "x", f"{served:.2f} s; {detail}"),
        below("start: transformers", local / torch, 5.5, "x", f"{local:.2f} s; {detail}"),
    ]


async def _rounds(folder: Path) -> tuple[float, float, float]:
    data = write_scenes(folder / "vstar", count=1, seed=2)
    checkpoint = write_checkpoint(folder / "tiny-qwen2.5-vl")
    found = []
    async with local_server(lambda body: "<answer>B</answer>") as server:
        served = ["--engine", "openai", "--base-url", server.url]
        for number in range(ROUNDS + 1):
            run = ["run", "--model", str(checkpoint), "--data", f"vstar={data}", "--resolutions", "224", "--out"]
            found.append(
                (
                    await _cpu_s(TORCH),
                    await _cpu_s(
                        FIRST_REQUEST.format(module="openai", engine="OpenAIEngine"),
                        *run,
                        str(folder / f"served{number}"),
                        *served,
                    ),
                    await _cpu_s(
                        FIRST_REQUEST.format(module="transformers", engine="TransformersEngine"),
                        *(*run, str(folder / f"local{number}"), "--engine", "transformers"),
                    ),
                )
            )
    torch, served_s, local_s = (
        statistics.median(column) for column in zip(*found[1:], strict=True)
    )  # the first warms the disk
    return torch, served_s, local_s


async def _cpu_s(code: str, *arguments: str) -> float:
    """The CPU seconds that a process says it has used."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, *arguments, stdout=pipe, stderr=pipe)
    out, err = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"bench start failed:\n{err.decode()[-3000:]}")
    return float(out.split()[-1])
