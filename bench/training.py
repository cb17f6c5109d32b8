"""Tiny SFT and GRPO steps: tokens a second, where a GRPO step's time goes, and whether a batch is judged concurrently."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.figures import Figure, at_least
from cof_eval.core.records import ImageRef, Outcome, Question, ShownImage, Stop, Trajectory
from cof_eval.judging import Card, Judge
from cof_eval.judging.judge import JudgeReply
from training.rl.scorer import Scorer
from training.session.metrics import Metrics, load_metrics
from training.tiny import write_tiny

LATENCY_S = 0.05
ANSWERS = 32


def training() -> list[Figure]:
    """Both stages on their tiny recipes, and the judgement of a batch."""
    with tempfile.TemporaryDirectory() as folder:
        tiny, sft, grpo = (Path(folder, name) for name in ("tiny", "sft", "grpo"))
        write_tiny(tiny, count=12)
        conversations = tiny / "conversations" / "conversations.jsonl"
        _run("sft", f"model={tiny / 'checkpoint'}", f"out={sft}", f"data=[{{format: messages, path: {conversations}}}]")
        _run("grpo", f"model={sft / 'model'}", f"out={grpo}", f"data=[{{format: questions, path: {tiny / 'vstar'}}}]")
        return [*_sft(load_metrics(sft)), *_grpo(load_metrics(grpo)), _judged()]


def _run(stage: str, *changes: str) -> None:
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    environment.setdefault("OMP_NUM_THREADS", "1")
    command = [sys.executable, "-m", f"training.{stage}", f"{stage}_tiny", *changes]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"bench training failed at {stage}:\n{done.stderr[-3000:]}")


def _mean(metrics: list[Metrics], name: str) -> float:
    """Over the steps after the first, which warms up."""
    values = [record.values[name] for record in metrics[1:] if name in record.values]
    return sum(values) / len(values)


def _sft(metrics: list[Metrics]) -> list[Figure]:
    return [
        Figure("SFT: tokens a second", _mean(metrics, "tokens_per_s"), "1/s", "", None, "tiny recipe, image tokens included")
    ]


def _grpo(metrics: list[Metrics]) -> list[Figure]:
    step = _mean(metrics, "step_time")
    shares = {stage: _mean(metrics, f"time/{stage}_s") / step for stage in ("generation", "reward")}
    shares["update"] = 1 - sum(shares.values())
    detail = f"tiny recipe, of {step:.2f} s a step"
    return [
        Figure("GRPO: tokens a second", _mean(metrics, "tokens_per_s"), "1/s", "", None, "tiny recipe, prompts included"),
        *(Figure(f"GRPO: fraction of {stage}", share, "", "", None, detail) for stage, share in shares.items()),
    ]


class _SlowJudgeClient:
    """A judge that takes its time."""

    model = "slow"

    async def ask(self, prompt: str, card: Card, image: bytes | None = None) -> JudgeReply:
        await asyncio.sleep(LATENCY_S)
        return JudgeReply("1")

    async def close(self) -> None:
        return None


def _judged() -> Figure:
    """A batch's judgement against its answers judged one after the other."""
    labels = {"1": Outcome.CORRECT, "0": Outcome.WRONG}
    card = Card(name="bench", decides="nothing", labels=labels, prompt="{question} {reference} {answer}")
    with asyncio.Runner() as runner:
        scorer = Scorer(Judge(card, _SlowJudgeClient()), runner, gather=list)
        batch = [_answered(f"It looks like some vessel, number {i}, or so I think") for i in range(ANSWERS)]
        started = time.perf_counter()
        verdicts = scorer.score(batch, list(range(ANSWERS)))
        seconds = time.perf_counter() - started
    if any(verdict.by != "judge" for verdict in verdicts):
        raise RuntimeError("bench training: the rules decided answers that were meant for the judge")
    detail = f"{ANSWERS} answers, {LATENCY_S:g} s each: {seconds:.2f} s"
    return at_least("judging a batch at once", ANSWERS * LATENCY_S / seconds, 8, "x", detail)


def _answered(answer: str) -> Trajectory:
    question = Question("q", "bench", "", "", "What is it?", (), "a mug")
    return Trajectory("k", question, ImageRef("", (1, 1)), "cof", ShownImage((1, 1), 1), (), answer, Stop.ANSWERED)
