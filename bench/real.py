"""On a real vLLM: against the released way of asking, and against the ideal with all prompts known in advance.

Every way runs in a process of its own, loads the same tiny model, warms up, and answers the same questions at the same
resolution with the same forced calls; only the answering is timed.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from bench.figures import Figure, at_least
from bench.recorded import Recorded
from cof_eval.agent.engine import ImagePart, Message, Request, Response
from cof_eval.agent.protocols import COF_FORCED as PROTOCOL
from cof_eval.agent.rollout import Subject, rollout
from cof_eval.benchmarks.synthetic.scenes import write_scenes
from cof_eval.core.images import encode_png
from cof_eval.core.records import Finish
from cof_eval.core.resolution import PixelLimits, parse_resolution
from cof_eval.core.settings import KeepImages
from cof_eval.engines import EngineSettings, open_engine
from cof_eval.engines.tiny_checkpoint import write_checkpoint
from cof_eval.judging import Judge, load_card
from cof_eval.runs.evaluate import Evaluation
from cof_eval.runs.folder import RunFolder
from cof_eval.runs.plan import Job, Planner

ENGINE_ARGS = {"enforce_eager": True, "max_num_seqs": 32} | ({} if os.path.exists("/dev/nvidia0") else {"dtype": "float32"})
CONCURRENCY = 64
ROUNDS = 3


def real(count: int = 96, resolution: str = "448") -> list[Figure]:
    """Our wall time against the released way's and the ideal's."""
    with tempfile.TemporaryDirectory() as folder:
        data, model = Path(folder, "vstar"), Path(folder, "tiny-qwen2.5-vl")
        write_scenes(data, count=count, seed=1)
        write_checkpoint(model)
        (released,) = _timed("released", model, data, resolution)
        rounds = _timed("ours", model, data, resolution)
    gate = 3.0 if os.path.exists("/dev/nvidia0") else 2.0
    ours, share = median(ours for ours, _ in rounds), median(ideal / ours for ours, ideal in rounds)
    what = f"{count} questions at {resolution}, three turns each"
    seconds = ", ".join(f"{ours:.1f} s against {ideal:.1f} s" for ours, ideal in rounds)
    return [
        at_least("faster than the released way", released / ours, gate, "x", f"{what}: {ours:.1f} s against {released:.1f} s"),
        at_least("real engine: fraction of ideal", share, 0.90, "", f"{what}, median of {seconds}"),
    ]


def _timed(way: str, model: Path, data: Path, resolution: str) -> Any:
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "VLLM_LOGGING_LEVEL": "ERROR", "TORCHDYNAMO_DISABLE": "1"}
    environment.setdefault("OMP_NUM_THREADS", "1")
    environment.setdefault("VLLM_CPU_KVCACHE_SPACE", "2")
    command = [sys.executable, "-m", "bench.real", way, str(model), str(data), resolution]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"bench {way} failed:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def _jobs(data: Path, resolution: str) -> list[Job]:
    from cof_eval.benchmarks import BENCHMARKS

    return [
        Job(task="bench", doc_id=i, question=item.question, resolution=parse_resolution(resolution), source=item.image)
        for i, item in enumerate(BENCHMARKS["vstar"].load(data))
    ]


async def _ours_and_ideal(model: Path, jobs: Sequence[Job]) -> list[tuple[float, float]]:
    """Seconds of our rollouts, and of the same generations with all prompts known in advance and submitted at once.

    By turns on one engine, its caches emptied before each, so that both meet the same machine.
    """
    settings = EngineSettings(pretrained=str(model), engine_args=ENGINE_ARGS, concurrency=CONCURRENCY)
    engine = await open_engine("vllm", settings, PROTOCOL)
    await engine.start()
    planner = Planner(checkpoint="bench", protocol=PROTOCOL, limits=PROTOCOL.limits(engine.limits))
    plans = [planner.plan(job) for job in jobs]
    await _answer(engine, plans[:1])
    rounds = []
    for _ in range(ROUNDS):
        requests: list[Request] = []
        await _empty_caches(engine)
        ours = await _answer(Recorded(engine, requests), plans[1:])
        await _empty_caches(engine)
        started = time.perf_counter()
        await asyncio.gather(*(engine.generate(request) for request in requests))
        rounds.append((ours, time.perf_counter() - started))
    await engine.close()
    return rounds


async def _empty_caches(engine: Any) -> None:
    """Make vLLM forget every prompt and every image."""
    await engine._llm.reset_prefix_cache()
    await engine._llm.reset_mm_cache()
    await engine._llm.reset_encoder_cache()


async def _answer(engine: Any, plans: Sequence[Any]) -> float:
    with tempfile.TemporaryDirectory() as folder, RunFolder(Path(folder) / "run", {}, keep_images=KeepImages.NONE) as run:
        work = Evaluation(engine=engine, protocol=PROTOCOL, run=run, judge=Judge(load_card("strict")), concurrency=CONCURRENCY)
        started = time.perf_counter()
        await work.answer(plans)
        return time.perf_counter() - started


class _Released:
    """The released way: one blocking chat per turn, no multimodal cache, the whole conversation sent again as PNG."""

    context, max_images = PROTOCOL.context, PROTOCOL.max_images

    def __init__(self, model: Path, limits: PixelLimits) -> None:
        from vllm import LLM

        limit = {"image": PROTOCOL.max_images, "video": 0}
        self.limits = limits
        self._llm = LLM(
            str(model), max_model_len=PROTOCOL.context, limit_mm_per_prompt=limit, mm_processor_cache_gb=0, **ENGINE_ARGS
        )

    def text_tokens(self, text: str) -> int:
        return len(text) // 4

    async def generate(self, request: Request) -> Response:
        from vllm.sampling_params import SamplingParams, StructuredOutputsParams

        sampling = SamplingParams(
            max_tokens=request.max_tokens, temperature=0, structured_outputs=StructuredOutputsParams(regex=request.pattern)
        )
        (output,) = self._llm.chat([_wire(m) for m in request.messages], sampling, use_tqdm=False)
        return Response(text=output.outputs[0].text, finish=Finish.STOP, prompt_tokens=len(output.prompt_token_ids), cached_tokens=0,
                        output_tokens=len(output.outputs[0].token_ids), visual_tokens=None, engine_s=0.0)  # fmt: skip


def _wire(message: Message) -> Any:
    parts = [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64," + base64.b64encode(encode_png(p.image)).decode()}}
        if isinstance(p, ImagePart)
        else {"type": "text", "text": p.text}
        for p in message.parts
    ]
    return {"role": message.role.value, "content": parts}


async def _one_by_one(model: Path, jobs: Sequence[Job]) -> float:
    from cof_eval.agent.zoom import View
    from cof_eval.core.images import load_native, pixel_hash, resize

    limits = PixelLimits(28, 3136, PROTOCOL.max_pixels)
    engine = _Released(model, limits)
    planner = Planner(checkpoint="bench", protocol=PROTOCOL, limits=PROTOCOL.limits(limits))
    plans = [planner.plan(job) for job in jobs]
    started = 0.0
    for i, plan in enumerate(plans):
        if i == 1:  # the first warms up
            started = time.perf_counter()
        assert plan.job.source is not None
        native = load_native(plan.job.source.read())
        shown = resize(native, plan.shown)
        view = View(shown, native.size)
        subject = Subject(question=plan.job.question, image=plan.image, view=view, shown_hash=pixel_hash(shown), key=plan.key)
        await rollout(subject, engine, PROTOCOL)  # type: ignore[arg-type]
    return time.perf_counter() - started


def main() -> None:
    """One way, timed; the last line printed says its seconds."""
    way, model, data, resolution = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4]
    jobs = _jobs(data, resolution)
    if way == "released":
        print(json.dumps([asyncio.run(_one_by_one(model, jobs))]))
    else:
        print(json.dumps(asyncio.run(_ours_and_ideal(model, jobs))))


if __name__ == "__main__":
    main()
