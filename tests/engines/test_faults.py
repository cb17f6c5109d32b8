"""Runs on servers in every kind of trouble: the same answers as without trouble, exact counts, nothing lost or done twice."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fake_server import ChatRequest, FakeServer, Fault, image_pad, serve, tiny_checkpoint
from fakes import answer, call, sample, session

from cof_eval.agent.engine import Engine
from cof_eval.agent.protocols import COF
from cof_eval.core.errors import EngineUnusableError
from cof_eval.core.journal import read_journal
from cof_eval.core.records import Stop, Trajectory
from cof_eval.engines import EngineSettings, open_engine
from cof_eval.runs.evaluate import Progress
from cof_eval.runs.folder import load_run

pytestmark = pytest.mark.slow

PLANS = sample(5, ("224", "448", "4k"))
KEYS = {plan.key for plan in PLANS}
STURDY = {"retries": 30, "timeout_s": 30.0, "backoff_s": 0.001, "patience_s": 60}
"""Many retries, since faults come often here; a time limit that a reply which comes does not reach."""
IMPATIENT = STURDY | {"timeout_s": 2.0}
"""For replies that never come whole; a busy machine gives the others in time."""


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_checkpoint(tmp_path_factory)


def script(asked: ChatRequest) -> str:
    """Up to three zooms, one of them useless; then an answer that the pixels decide."""
    number = int(asked.hashes[0][:8], 16)
    if asked.turn < number % 4:
        return call(2 + asked.turn, 2, 50, 60 if number % 5 else 2)
    return answer("ABCD"[number % 4])


def run_on(
    servers: Sequence[FakeServer], path: Path, tiny: Path, *, concurrency: int = 6, **engine_args: Any
) -> tuple[Progress, dict[str, int]]:
    """One session on these servers: its counts, and what had to be sent again."""

    async def run() -> tuple[Progress, dict[str, int]]:
        urls = ",".join(server.url for server in servers)
        settings = EngineSettings(
            pretrained=str(tiny), base_url=urls, engine_args=STURDY | engine_args, concurrency=concurrency
        )
        engine: Engine = await open_engine("openai", settings, COF)
        progress = Progress(len(KEYS))
        try:
            await session(path, PLANS, engine, concurrency=concurrency, progress=progress)
        finally:
            await engine.close()
        return progress, dict(engine.troubles)  # type: ignore[attr-defined]

    return asyncio.run(run())


@contextlib.contextmanager
def healthy(tiny: Path, **options: Any) -> Iterator[FakeServer]:
    with serve(**{"image_pad": image_pad(tiny), "reply": script} | options) as server:
        yield server


def content(path: Path) -> dict[str, Any]:
    """What a run found, without times and cached tokens."""
    return {
        key: replace(t, wall_s=0.0, ended=0.0, turns=tuple(replace(turn, engine_s=0.0, cached_tokens=0) for turn in t.turns))
        for key, t in load_run(path).trajectories.items()
    }


def journalled(path: Path) -> Counter[str]:
    return Counter(t.key for t in read_journal(path / "trajectories.jsonl", Trajectory))


@pytest.fixture(scope="module")
def faultless(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    path = tmp_path_factory.mktemp("faultless") / "run"
    with healthy(tiny) as server:
        progress, troubles = run_on([server], path, tiny)
    assert (progress.done, progress.errors, troubles) == (len(KEYS), 0, {})
    found = content(path)
    assert {t.zooms for t in found.values()} >= {0, 1, 2, 3}
    return found


def every(number: int, *faults: Fault) -> Callable[[ChatRequest], Fault | None]:
    """Each n-th request meets one of these faults, in turn."""
    asked, turn = itertools.count(1), itertools.cycle(faults)
    return lambda _: next(turn) if next(asked) % number == 0 else None


def faults(server: FakeServer) -> int:
    """How many requests it did not answer."""
    return sum(asked.fault is not None for asked in server.log)


AT_ONCE = (
    *(Fault.BUSY, Fault.OVERLOADED, Fault.BROKEN, Fault.DROP, Fault.RESET, Fault.TRUNCATED, Fault.BAD_JSON),
    *(Fault.WEB_PAGE, Fault.NO_CHOICE, Fault.NO_USAGE, Fault.ABORTED),
)
SLOW = (Fault.HANG, Fault.DRIP)
PASSING = (*AT_ONCE, *SLOW)


@pytest.mark.parametrize("fault", PASSING, ids=[fault.name for fault in PASSING])
def test_a_server_with_a_fault_gives_the_answers_of_one_without(
    fault: Fault, tiny: Path, tmp_path: Path, faultless: dict[str, Any]
) -> None:
    number, patience = (12, IMPATIENT) if fault in SLOW else (2, STURDY)
    with healthy(tiny, fault=every(number, fault)) as server:
        progress, troubles = run_on([server], tmp_path / "run", tiny, **patience)
    assert faults(server)
    assert sum(troubles.values()) == faults(server)
    assert content(tmp_path / "run") == faultless
    assert (progress.done, progress.errors) == (len(KEYS), 0)
    assert journalled(tmp_path / "run") == dict.fromkeys(KEYS, 1)


def test_two_servers_with_every_fault_at_once_give_the_answers_of_one_without(
    tiny: Path, tmp_path: Path, faultless: dict[str, Any]
) -> None:
    with healthy(tiny, fault=every(2, *PASSING)) as first, healthy(tiny, fault=every(2, *AT_ONCE[::-1], *SLOW)) as second:
        progress, troubles = run_on([first, second], tmp_path / "run", tiny, **IMPATIENT)
    assert min(faults(first), faults(second)) > 0  # ports decide which conversations each gets
    assert sum(troubles.values()) == faults(first) + faults(second)
    assert len(troubles) > 3
    assert content(tmp_path / "run") == faultless
    assert (progress.done, progress.errors) == (len(KEYS), 0)
    assert journalled(tmp_path / "run") == dict.fromkeys(KEYS, 1)


def test_a_server_that_forgets_images_is_sent_them_again(tiny: Path, tmp_path: Path, faultless: dict[str, Any]) -> None:
    def forgetful(asked: ChatRequest) -> str:
        if random.random() < 0.5:
            server.memory.clear()
        return script(asked)

    with healthy(tiny, reply=forgetful) as server:
        _, troubles = run_on([server], tmp_path / "run", tiny)
    assert set(troubles) == {"image id unknown"}
    assert content(tmp_path / "run") == faultless


def turncoat(replies: int) -> Callable[[ChatRequest], str | None]:
    """Gives the model another name after some replies."""
    given = itertools.count()
    return lambda asked: "another" if next(given) >= replies else str(asked.body["model"])


def test_a_server_that_answers_as_another_model_than_before_is_left_for_the_other(
    tiny: Path, tmp_path: Path, faultless: dict[str, Any]
) -> None:
    with healthy(tiny, answers_as=turncoat(2)) as wrong, healthy(tiny) as right:
        progress, _ = run_on([wrong, right], tmp_path / "run", tiny)
        assert len(wrong.log) <= 2 + 6  # what was under way at once
    assert content(tmp_path / "run") == faultless
    assert progress.errors == 0


def test_if_the_only_server_answers_as_another_model_than_before_the_run_stops_and_keeps_nothing_of_it(
    tiny: Path, tmp_path: Path
) -> None:
    with (
        healthy(tiny, answers_as=turncoat(1)) as server,
        pytest.raises(EngineUnusableError, match="answers as model 'another' now"),
    ):
        run_on([server], tmp_path / "run", tiny)
    assert not journalled(tmp_path / "run")


class Mortal:
    """A server that dies after some replies: from then on it refuses connections, or accepts and drops them."""

    def __init__(self, tiny: Path, replies: int, *, refuses: bool = True) -> None:
        self._left, self._tiny, self._refuses = replies, tiny, refuses
        self._stack = contextlib.ExitStack()
        self.server = self._stack.enter_context(healthy(tiny, reply=self._reply))
        self.port = int(self.server.url.split(":")[2].split("/")[0])

    def _reply(self, asked: ChatRequest) -> str:
        self._left -= 1
        if self._left == 0:
            self._stack.close() if self._refuses else self.server.stopping.set()
        return script(asked)

    async def come_back(self, after_s: float) -> None:
        """Start again on the same port, some time after the death."""
        while not self.server.stopping.is_set():
            await asyncio.sleep(0.01)
        await asyncio.sleep(after_s)
        self._stack.enter_context(healthy(self._tiny, port=self.port))

    def close(self) -> None:
        self._stack.close()


@pytest.mark.parametrize("refuses", [True, False], ids=["refuses connections", "drops connections"])
def test_when_one_of_two_servers_dies_for_good_the_other_finishes(
    refuses: bool, tiny: Path, tmp_path: Path, faultless: dict[str, Any]
) -> None:
    mortal = Mortal(tiny, 2, refuses=refuses)  # ports decide how many conversations it gets
    with contextlib.closing(mortal), healthy(tiny) as other:
        progress, troubles = run_on([mortal.server, other], tmp_path / "run", tiny)
    assert troubles
    assert content(tmp_path / "run") == faultless
    assert (progress.done, progress.errors) == (len(KEYS), 0)
    assert journalled(tmp_path / "run") == dict.fromkeys(KEYS, 1)


def test_a_server_that_dies_and_comes_back_finishes_the_run(tiny: Path, tmp_path: Path, faultless: dict[str, Any]) -> None:
    mortal = Mortal(tiny, 8)

    async def run() -> Progress:
        settings = EngineSettings(pretrained=str(tiny), base_url=mortal.server.url, engine_args=STURDY, concurrency=6)
        engine = await open_engine("openai", settings, COF)
        back = asyncio.create_task(mortal.come_back(0.5))
        progress = Progress(len(KEYS))
        await session(tmp_path / "run", PLANS, engine, concurrency=6, progress=progress)
        await back
        await engine.close()
        return progress

    with contextlib.closing(mortal):
        progress = asyncio.run(run())
    assert content(tmp_path / "run") == faultless
    assert (progress.done, progress.errors) == (len(KEYS), 0)


def test_when_the_last_server_dies_rollouts_stop_as_error_and_a_resume_completes_them(
    tiny: Path, tmp_path: Path, faultless: dict[str, Any]
) -> None:
    mortal = Mortal(tiny, 8)
    with contextlib.closing(mortal):
        progress, _ = run_on([mortal.server], tmp_path / "run", tiny, concurrency=2, patience_s=0.3, retries=1)
    stopped = content(tmp_path / "run")
    failed = {key for key, t in stopped.items() if t.stop is Stop.ERROR}
    assert 0 < len(failed) < len(KEYS)
    assert set(stopped) == KEYS
    assert (progress.done, progress.errors, progress.unscored) == (len(KEYS), len(failed), len(failed))
    assert all(stopped[key] == faultless[key] for key in KEYS - failed)
    with healthy(tiny) as server:
        again, _ = run_on([server], tmp_path / "run", tiny)
        begun = [asked for asked in server.log if asked.turn == 0]
    assert len(begun) == again.done == len(failed)
    assert content(tmp_path / "run") == faultless
    assert journalled(tmp_path / "run") == {key: 2 if key in failed else 1 for key in KEYS}
