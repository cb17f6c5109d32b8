"""Whatever a server sends: a counted error of that server, in words; the rows go to another server, and nothing grows."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fake_server import FakeServer, serve
from hostile import FRAMES, MODELS, MODES, Mode
from test_pool import say, with_pool

from cof_eval.core.errors import NoServerError, ServerError
from cof_eval.servers import Pool, RetryPolicy

SOME_FRAMES = {name: FRAMES[name] for name in ("banner of ssh", "endless headers", "a bomb of gzip", "silence", "not modified")}


def tried(modes: Mapping[str, Mode]) -> list[Any]:
    """Modes to try: slow are those whose time limit must pass."""
    return [pytest.param(m, id=name, marks=pytest.mark.slow if m.kind == "timeout" else ()) for name, m in modes.items()]


def limit_s(mode: Mode) -> float:
    """A time limit that only a reply which never comes reaches."""
    return 1.5 if mode.kind == "timeout" else 60.0


def alone(server: FakeServer, policy: RetryPolicy) -> str:
    """What is said of a request that only this server could answer."""
    with pytest.raises(ServerError) as caught:
        with_pool([server], say, replace(policy, retries=0, patience_s=0.2))
    return str(caught.value)


@pytest.mark.parametrize("mode", tried(MODES))
def test_whatever_a_server_sends_is_its_own_counted_error_and_another_server_answers(mode: Mode) -> None:
    async def use(pool: Pool) -> tuple[list[str], dict[str, int]]:
        names = [name for name in map(str, range(99)) if pool.home(name) is pool.servers[0]][:1]
        return [await say(pool, name) for name in names], dict(pool.troubles)

    policy = RetryPolicy(retries=5, timeout_s=limit_s(mode), backoff_s=0.001, patience_s=60)
    with serve(mode=mode) as bad, serve() as good:
        said, troubles = with_pool([bad, good], use, policy)
        assert said == ["forty-two"]
        assert troubles
        assert set(troubles) == {mode.kind}
        assert len(good.log) == 1 or mode.kind == "timeout"  # a busy machine may reach the limit too
        message = alone(bad, policy)
    assert mode.says in message
    assert bad.url in message
    assert message.isprintable()


@pytest.mark.parametrize("mode", tried(SOME_FRAMES | MODELS))
def test_a_list_of_models_that_is_none_leaves_the_other_server_alone(mode: Mode) -> None:
    async def use(pool: Pool) -> tuple[str, list[bool]]:
        return await say(pool), [server.is_up() for server in pool.servers]

    with serve(models_mode=mode) as bad, serve() as good:
        assert with_pool([bad, good], use, meet_s=limit_s(mode)) == ("forty-two", [False, True])
        with pytest.raises(NoServerError) as caught:
            with_pool([bad], say, meet_s=limit_s(mode))
    assert mode.says in str(caught.value)


def test_the_rows_of_the_docs_are_modes_and_say_what_is_said() -> None:
    page = (Path(__file__).parents[2] / "docs" / "servers.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([^`]+)` \| (.+) \| (.+) \|$", page, re.MULTILINE)
    assert len(rows) > 15
    assert [(name, MODES[name].says, MODES[name].kind) for name, *_ in rows] == rows


CLIENT = """
import asyncio, sys
from pathlib import Path
from cof_eval.servers import RetryPolicy, connect

async def body(server, known):
    return {"messages": [{"role": "user", "content": "x"}], "max_tokens": 4}

async def run():
    pool = await connect([sys.argv[1]], retry_policy=RetryPolicy(retries=0))
    failed = await asyncio.gather(*(pool.complete(str(i), body) for i in range(64)), return_exceptions=True)
    await pool.close()
    return failed

failed = asyncio.run(run())
most_kib = next(line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
print(sum(isinstance(each, Exception) for each in failed), int(most_kib) // 1024)
"""


@pytest.mark.slow
@pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="the peak of a process without its parent's is told by Linux"
)
@pytest.mark.parametrize("name", ["a body that never ends", "a bomb of gzip", "a million empty objects", "a million texts"])
def test_64_large_replies_at_once_do_not_fill_the_memory(name: str) -> None:
    with serve(mode=MODES[name]) as server:
        done = subprocess.run([sys.executable, "-c", CLIENT, server.url], capture_output=True, text=True, check=True)
    failed, most_mib = map(int, done.stdout.split())
    assert failed == 64
    assert most_mib < 400
