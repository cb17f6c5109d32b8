"""Every row of the table in docs/servers.md has a fake that behaves so, and a run on it gives the numbers of a bare server."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest
from fake_server import FakeServer, serve
from fakes import subject
from served_kinds import KINDS, Kind, reply

from cof_eval.agent.protocols import COF
from cof_eval.agent.rollout import rollout
from cof_eval.core.errors import EngineUnusableError
from cof_eval.core.records import Stop, Trajectory
from cof_eval.engines import EngineSettings, open_engine
from cof_eval.runs.served_notes import served_notes

pytestmark = pytest.mark.slow

PAGE = Path(__file__).parents[2] / "docs" / "servers.md"


def ended(server: FakeServer, kind: Kind) -> tuple[Trajectory, dict[str, Any]]:
    """One rollout on a server, and what the run records of it."""

    async def run() -> tuple[Trajectory, dict[str, Any]]:
        settings = {"pretrained": "by-name", "base_url": server.url, "engine_args": {"retries": 0, "backoff_s": 0.001}}
        engine: Any = await open_engine("openai", EngineSettings(**{**settings, **kind.settings}), COF)
        try:
            return await rollout(subject(), engine, COF), engine.facts
        finally:
            await engine.close()

    return asyncio.run(run())


def test_the_table_has_a_row_for_every_fake_and_a_fake_for_every_row() -> None:
    table = re.findall(r"^\| \*\*(.+?)\*\* \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert table == list(KINDS)


@pytest.mark.parametrize("name", [name for name, kind in KINDS.items() if not kind.error])
def test_a_rollout_is_the_same_on_every_server_and_what_differs_is_recorded(name: str) -> None:
    kind = KINDS[name]
    with serve(**{**kind.options, "reply": reply(kind.shape)}) as server:
        trajectory, facts = ended(server, kind)
    with serve(reply=reply(KINDS["vLLM"].shape)) as bare:
        expected, _ = ended(bare, KINDS["vLLM"])
    assert (trajectory.stop, trajectory.zooms, trajectory.answer) == (Stop.ANSWERED, 1, expected.answer), trajectory.error
    same = [re.sub(r"\s+", "", turn.text) for turn in trajectory.turns]
    assert same == [re.sub(r"\s+", "", turn.text) for turn in expected.turns]
    notes = [str(note) for note in served_notes(facts)]
    assert len(notes) == len(kind.notes)
    assert all(note.startswith(beginning) for note, beginning in zip(notes, kind.notes, strict=True)), notes
    (told,) = facts["asked"].values()
    assert {key: told[key] for key in kind.recorded} == kind.recorded


@pytest.mark.parametrize("name", [name for name, kind in KINDS.items() if kind.error])
def test_a_server_that_shows_less_than_it_was_sent_ends_the_run(name: str) -> None:
    kind = KINDS[name]
    with serve(**{**kind.options, "reply": reply(kind.shape)}) as server, pytest.raises(EngineUnusableError, match=kind.error):
        ended(server, kind)
