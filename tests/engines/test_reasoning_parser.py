"""A real vLLM with a reasoning parser: its replies lie in `reasoning`, and every number is that of a server without."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace

import pytest
from fakes import noise, question
from real import Served, serve_vllm

from cof_eval.agent.protocols import COF_FORCED, Protocol
from cof_eval.agent.rollout import Subject, rollout
from cof_eval.agent.showing import look
from cof_eval.core.images import pixel_hash
from cof_eval.core.records import ImageRef, Stop, Trajectory
from cof_eval.core.resolution import RESOLUTIONS
from cof_eval.engines import EngineSettings, open_engine
from cof_eval.engines.openai import OpenAIEngine
from cof_eval.judging import start_judge
from cof_eval.runs.served_notes import served_notes

pytestmark = [pytest.mark.engine, pytest.mark.timeout(900)]

SILENT = replace(COF_FORCED, system="Look.", question="{question}", open_question="", format="")
"""A prompt without `</think>`: where a prompt holds it, vLLM's parser takes everything for content."""
PROTOCOLS = {
    "thoughts, a call, an answer": SILENT,
    "an answer alone, which the parser takes for a thought": replace(SILENT, turn_patterns=("<answer>[A-D]</answer>",)),
}


@pytest.fixture(scope="module")
def parsing(served: Served, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The session's checkpoint behind a server that takes thoughts out of the text."""
    flags = ("--reasoning-parser", "qwen3", "--structured-outputs-config", json.dumps({"enable_in_reasoning": True}))
    with serve_vllm(served.checkpoint, tmp_path_factory.mktemp("parsing"), flags=flags) as (url, _):
        yield url


def rolled(url: str, protocol: Protocol, checkpoint: str) -> tuple[Trajectory, list[str]]:
    """One rollout, and the notes that its run would show."""

    async def run() -> tuple[Trajectory, list[str]]:
        engine = await open_engine("openai", EngineSettings(pretrained=checkpoint, base_url=url), protocol)
        assert isinstance(engine, OpenAIEngine)
        try:
            view = look(noise(448, 336), RESOLUTIONS["336"], protocol, protocol.limits(engine.limits))
            name = pixel_hash(view.shown)
            about = Subject(question=question(), image=ImageRef(name, (448, 336)), view=view, shown_hash=name, key="k")
            return await rollout(about, engine, protocol), [str(note) for note in served_notes(engine.facts)]
        finally:
            await engine.close()

    return asyncio.run(run())


@pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=PROTOCOLS)
@pytest.mark.parametrize("files", [True, False], ids=["files at hand", "known by name"])
def test_a_rollout_is_the_one_of_a_server_without_parser(served: Served, parsing: str, protocol: Protocol, files: bool) -> None:
    known = str(served.checkpoint) if files else "by-name"
    expected, _ = rolled(served.url, protocol, known)
    found, notes = rolled(parsing, protocol, known)
    assert (found.stop, found.answer) == (expected.stop, expected.answer)
    assert expected.stop is Stop.ANSWERED
    assert [turn.text for turn in found.turns] == [turn.text for turn in expected.turns]
    assert [call.box for call in found.calls] == [call.box for call in expected.calls]
    assert any("had moved" in note for note in notes)


def test_a_judge_behind_a_reasoning_parser_decides(parsing: str) -> None:
    async def ask() -> str:
        judge = await start_judge("equivalence", parsing, "EMPTY")
        try:
            asked = replace(question(), text="What is on the roof?", options=(), answer="a red chimney")
            return (await judge.judge_answer(asked, "some chimney, it is red")).by
        finally:
            await judge.close()

    assert asyncio.run(ask()) == "judge"
