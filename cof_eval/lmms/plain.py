"""Plain answers of models other than `cof`: read as the protocol `direct` reads, judged, and kept where `COF_RUN` says.

Such a model is asked by lmms-eval in its own way, so its trajectories have one turn and their pixels are unverified.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
from loguru import logger

from ..agent.protocols import DIRECT
from ..agent.reply import parse_reply
from ..agent.reply.points import native_point
from ..core.errors import RunError, UsageError
from ..core.geometry import Frame
from ..core.provenance import versions
from ..core.records import AnswerKind, Finish, ShownImage, Stop, Trajectory, Turn, Verdict
from ..core.resolution import PixelLimits
from ..core.settings import KeepImages, image_view, judge_api_key, judge_url, option_order
from ..engines.chat_response import HIDDEN_TOKENS, REASONING_FLAG, TOOL_FLAGS
from ..judging import Judge, judge_many, judge_settings, load_card, start_judge
from ..runs.folder import RunFolder
from ..runs.plan import Job, PlannedJob, Planner
from ..runs.prepare import failed_trajectory

CARD = "equivalence"
PLAIN = replace(DIRECT, name="plain")
"""How plain answers are read; the rest of the model's prompt, apart from the question, is not known here."""
POINT_FRAME = Frame.milli()
"""Of points that such a model is asked for."""
LIMITS = PixelLimits(28, PLAIN.min_pixels, PLAIN.max_pixels)
"""Sizes shown to models whose processors are not known here: Qwen2.5-VL's factor."""

_NO_REPLY = ("[LMMS_EVAL_REQUEST_FAILED", "[LMMS_EVAL_BUDGET_EXCEEDED")
"""Begin what lmms-eval's models for served APIs return instead of an answer that they did not get."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainAnswer:
    """What a model said to one row."""

    job: Job
    text: str
    error: str | None = None
    """Why the model was not shown the image: unscored, even if it answered."""
    prompt_tokens: int = 0
    output_tokens: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainResult:
    """A row that is done: its plan, its trajectory and the verdict on it."""

    plan: PlannedJob
    trajectory: Trajectory
    verdict: Verdict


def judge_plain(said: Sequence[PlainAnswer], *, model: str, run: Path | None, notes: Sequence[str] = ()) -> list[PlainResult]:
    """Judge plain answers, all at once.

    Args:
        said: rows of one task.
        model: what names the model; equal names are one model.
        run: where the trajectories are kept; None to keep none. A folder that cannot be used is said, and no reason to fail.
        notes: caveats about the data.
    """
    planner = Planner(checkpoint=model, protocol=PLAIN, limits=LIMITS)
    plans = [planner.plan(each.job) for each in said]
    trajectories = [_trajectory(plan, each) for plan, each in zip(plans, said, strict=True)]
    judge, verdicts = asyncio.run(_judge(trajectories))
    ended = [PlainResult(plan=p, trajectory=t, verdict=v) for p, t, v in zip(plans, trajectories, verdicts, strict=True)]
    if run is not None:
        try:
            _keep(ended, judge, model, run, notes)
        except RunError as error:
            logger.error(f"the answers are not kept: {error}")
    return ended


def _trajectory(plan: PlannedJob, said: PlainAnswer) -> Trajectory:
    """The one turn of a row."""
    stop, answer = _read(said.text)
    if plan.job.question.kind is AnswerKind.POINT and not plan.error:
        answer = native_point(answer, POINT_FRAME, Frame.native(*plan.image.size))
    error = plan.error or said.error or (said.text[:300] if stop is Stop.ERROR else None) or _kept_back(said)
    if error:
        return failed_trajectory(plan, PLAIN, error)
    turn = Turn(said.text, Finish.STOP, said.prompt_tokens, 0, said.output_tokens, None, 0.0)
    shown = ShownImage(plan.shown, plan.visual_tokens)
    return Trajectory(plan.key, plan.job.question, plan.image, PLAIN.name, shown, (turn,), answer, stop)


def _kept_back(said: PlainAnswer) -> str | None:
    """What it means that many tokens are an empty text: lmms-eval's models read `content` alone."""
    if said.text.strip() or said.output_tokens <= HIDDEN_TOKENS:
        return None
    return (
        f"the reply has no text, but {said.output_tokens:,} tokens were generated: a parser of the server moved it out of `content`. Start the "
        f"server without {REASONING_FLAG} and without its tool parser ({TOOL_FLAGS}), or use --model cof with engine=openai"
    )


def _read(text: str) -> tuple[Stop, str]:
    if text.startswith(_NO_REPLY):
        return Stop.ERROR, ""
    answer = parse_reply(text, PLAIN.call_syntax, PLAIN.answer_syntax).answer
    return (Stop.ANSWERED, answer) if answer else (Stop.NO_ANSWER, "")


async def _judge(trajectories: Sequence[Trajectory]) -> tuple[Judge, list[Verdict]]:
    """Every verdict; where the judge's server is not to be had, the rules' alone."""
    try:
        judge = await start_judge(CARD, judge_url(), judge_api_key(judge_url()))
    except UsageError as error:
        logger.error(f"{error}; what the rules leave undecided stays unscored")
        judge = Judge(load_card(CARD))
    try:
        return judge, await judge_many(trajectories, judge.judge)
    finally:
        await judge.close()


def _keep(ended: Sequence[PlainResult], judge: Judge, model: str, run: Path, notes: Sequence[str]) -> None:
    settings = {
        "label": f"{model} · plain",
        "model": {"pretrained": model, "fingerprint": model},
        "protocol": msgspec.to_builtins(PLAIN),
        "engine": {"name": "lmms-eval", "limits": msgspec.to_builtins(LIMITS)},
        "view": image_view().value,
        "seed": 0,
        "option_order": str(option_order()),
        "repeats": 1 + max(each.plan.job.repeat for each in ended),
        "judge": judge_settings(judge),
        "tasks": {ended[0].plan.job.task: len(ended)},
        "notes": [
            "plain answers of a model that lmms-eval ran: pixels unverified",
            *notes,
            *option_order().notes,
            *image_view().notes,
        ],
        "versions": versions(),
    }
    with RunFolder(run, settings, keep_images=KeepImages.NONE) as folder:
        folder.add_questions(each.plan.job.question for each in ended)
        folder.add_rows(each.plan.row for each in ended)
        for each in ended:
            if folder.trajectories.get(each.trajectory.key) != each.trajectory:
                folder.add_trajectory(each.trajectory)
            if each.trajectory.stop is Stop.ANSWERED and folder.verdicts.get(each.verdict.key) != each.verdict:
                folder.add_verdict(each.verdict)
