"""A batch's verdicts: asked for at once, equal answers once, failures without a reward."""

from __future__ import annotations

import asyncio

from fakes import CARD, ScriptedJudgeClient

from cof_eval.core.records import ImageRef, Question, ShownImage, Stop, Trajectory
from cof_eval.judging import Card, Judge
from cof_eval.judging.judge import JudgeReply
from training.rl.scorer import Scorer


class Together(ScriptedJudgeClient):
    """Answers nobody until eight have asked: whoever asks one after the other waits for ever."""

    async def ask(self, prompt: str, card: Card, image: bytes | None = None) -> JudgeReply:
        label = await super().ask(prompt, card, image)
        while len(self.prompts) < 8:
            await asyncio.sleep(0)
        return label


def answered(answer: str, stop: Stop = Stop.ANSWERED) -> Trajectory:
    question = Question("q", "vstar", "", "", "What is it?", (), "a mug")
    return Trajectory("k", question, ImageRef("", (1, 1)), "cof", ShownImage((1, 1), 1), (), answer, stop)


def scored(client: ScriptedJudgeClient, batch: list[Trajectory]) -> list[float | None]:
    with asyncio.Runner() as runner:
        scorer = Scorer(Judge(CARD, client), runner, gather=list)
        scorer.score(batch, ["group"] * len(batch))
        return scorer.reward("accuracy")(completions=[None] * len(batch))


def test_a_batch_is_judged_concurrently_and_equal_answers_once() -> None:
    client = Together()
    batch = [answered(f"It looks like some vessel, number {i % 8}, or so I think") for i in range(16)]
    assert scored(client, batch) == [1.0] * 16
    assert len(client.prompts) == 8


def test_what_the_judge_fails_on_earns_nothing_and_the_unanswered_is_wrong() -> None:
    client = ScriptedJudgeClient(fail=lambda prompt: "vessel" in prompt)
    assert scored(client, [answered("It is a kind of vessel, I think"), answered("", Stop.MAX_TURNS)]) == [None, 0.0]
