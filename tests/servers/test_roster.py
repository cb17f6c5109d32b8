"""Servers named in a file: two come and one goes while requests run, and a file that cannot be used changes nothing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from fake_server import FakeServer, serve

from cof_eval.agent.engine import Message, Request, Role, TextPart
from cof_eval.agent.protocols import COF
from cof_eval.core.errors import UsageError
from cof_eval.engines import EngineSettings, open_engine
from cof_eval.servers import parse_urls

pytestmark = pytest.mark.slow

HASTY = {"retries": 0, "backoff_s": 0.001, "patience_s": 0.3}
"""Gives up at once."""


def request(conversation: str) -> Request:
    return Request(conversation=conversation, messages=(Message(Role.USER, (TextPart("What is it?"),)),), max_tokens=8)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cof_eval.servers.roster.LOOK_S", 0.0)
    monkeypatch.setattr("cof_eval.servers.roster._AGAIN_S", 0.0)


def with_file(path: Path, use: Callable[[Any], Awaitable[None]], **settings: Any) -> None:
    async def run() -> None:
        engine = await open_engine(
            "openai", EngineSettings(pretrained="by-name", base_url=f"@{path}", engine_args=HASTY, **settings), COF
        )
        try:
            await use(engine)
        finally:
            await engine.close()

    asyncio.run(run())


def write(path: Path, *lines: str) -> None:
    """As one step, and another file each time: its time may not tell two writes apart."""
    new = path.with_suffix(".new")
    new.write_text("\n".join(lines))
    new.replace(path)


async def ask(engine: Any, *servers: FakeServer) -> list[int]:
    """How many of 40 conversations each server gets, once a change of the file was followed."""
    await engine.generate(request("look"))
    await engine._pool.roster.settle()
    before = [len(server.log) for server in servers]
    await asyncio.gather(*(engine.generate(request(str(n))) for n in range(40)))
    return [len(server.log) - count for server, count in zip(servers, before, strict=True)]


def test_two_come_and_one_goes(tmp_path: Path) -> None:
    path = tmp_path / "servers.txt"

    async def use(engine: Any) -> None:
        assert await ask(engine, *servers) == [40, 0, 0]
        write(path, "# all three", first.url, f"{second.url}  # new", third.url)
        counts = await ask(engine, *servers)
        assert sum(counts) == 40
        assert min(counts) > 0
        write(path, second.url, third.url)
        left, *others = await ask(engine, *servers)
        assert (left, sum(others)) == (0, 40)
        write(path, first.url)
        assert await ask(engine, *servers) == [40, 0, 0]
        assert len(engine.facts["asked"]) == 3

    with serve() as first, serve() as second, serve() as third:
        servers = [first, second, third]
        write(path, first.url)
        with_file(path, use)


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (["# nobody"], "names none"),
        ([""], "names none"),
        (["http://127.0.0.1:1/v1", "http://user:secret@[/v1"], "line 2 of"),
        (["ftp://127.0.0.1/v1\x1b[31m"], "line 1 of"),
        (["\x00\xff"], "line 1 of"),
    ],
)
def test_a_file_that_cannot_be_used_changes_nothing_and_is_told_once(
    lines: list[str], says: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "servers.txt"

    async def use(engine: Any) -> None:
        for _ in range(2):
            write(path, *lines)
            assert await ask(engine, server) == [40]
        path.unlink()
        assert await ask(engine, server) == [40]

    with serve() as server:
        write(path, server.url)
        with_file(path, use)
    told = [record.getMessage() for record in caplog.records if "stay as they were" in record.getMessage()]
    assert len(told) == 2  # the file, and that it is gone
    assert says in told[0]
    assert "cannot be read" in told[1]
    assert not any("secret" in each or "\x1b" in each for each in told)


@pytest.mark.parametrize(
    ("other", "says"),
    [
        ({"models": ["another"]}, "does not serve 'served'; it serves: another"),
        ({"root": "/models/another"}, "serves '/models/another' under that name, not '/models/one'"),
        ({"root": "/models/one", "context": 1024}, "a context of 1,024 tokens, and the run 32,768"),
    ],
)
def test_a_server_of_another_model_is_named_and_not_used(
    other: dict[str, Any], says: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "servers.txt"

    async def use(engine: Any) -> None:
        write(path, mine.url, stranger.url)
        for _ in range(2):
            assert await ask(engine, mine, stranger) == [40, 0]
        write(path, stranger.url)  # nobody is left to leave to
        assert await ask(engine, mine, stranger) == [40, 0]

    with serve(root="/models/one") as mine, serve(**other) as stranger:
        write(path, mine.url)
        with_file(path, use)
    assert any(says in record.getMessage() for record in caplog.records)


def test_a_server_that_does_not_answer_yet_joins_later(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    path = tmp_path / "servers.txt"

    async def use(engine: Any) -> None:
        write(path, mine.url, gone.url)
        assert await ask(engine, mine) == [40]
        with serve(port=int(gone.url.rpartition(":")[2].removesuffix("/v1"))) as back:
            await engine.generate(request("look"))
            counts = await ask(engine, mine, back)
            assert sum(counts) == 40
            assert counts[1] > 0

    with serve() as gone:
        pass
    with serve() as mine:
        write(path, mine.url)
        with_file(path, use)
    assert sum("does not answer" in record.getMessage() for record in caplog.records) == 1


@pytest.mark.parametrize(("text", "says"), [("@", "cannot be read"), ("@missing.txt", "cannot be read: No such file")])
def test_a_file_that_is_not_there_is_said_at_the_start(
    text: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=says):
        parse_urls(text)


def test_lines_hold_one_url_or_several_and_comments(tmp_path: Path) -> None:
    path = tmp_path / "servers.txt"
    path.write_text("#all\n\nhttp://a/v1/ # one\r\nhttp://b/v1, http://c/v1#part\nhttp://a/v1\n")
    assert parse_urls(f" @{path} ") == ("http://a/v1", "http://b/v1", "http://c/v1#part")
