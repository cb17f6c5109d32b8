"""Several servers as one: who is asked, what is sent again, who is given up, and when."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import pytest
from fake_server import ChatRequest, FakeServer, Fault, serve

from cof_eval.core.errors import NoServerError, RefusedError, ServerError
from cof_eval.servers import Pool, RetryPolicy, Server, connect, pool_facts, recall_names

T = TypeVar("T")
HASTY = RetryPolicy(retries=2, timeout_s=5, backoff_s=0.001, patience_s=0.5)


def with_pool(
    servers: Sequence[FakeServer], use: Callable[[Pool], Awaitable[T]], retry_policy: RetryPolicy = HASTY, **options: Any
) -> T:
    async def run() -> T:
        pool = await connect([server.url for server in servers], retry_policy=retry_policy, **options)
        try:
            return await use(pool)
        finally:
            await pool.close()

    return asyncio.run(run())


async def body(server: Server, known: Collection[str]) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": "What is it?"}], "max_tokens": 4}


async def say(pool: Pool, conversation: str = "c") -> str:
    """What the servers reply."""
    return str((await pool.complete(conversation, body)).reply.choices[0].message.content)


def once(*faults: Fault | None) -> Callable[[ChatRequest], Fault | None]:
    """These faults, one a request, and then none."""
    left = iter(faults)
    return lambda asked: next(left, None)


class TestHome:
    @pytest.mark.slow
    def test_a_conversation_stays_on_one_server_and_all_get_some(self) -> None:
        async def use(pool: Pool) -> None:
            for name in [*map(str, range(40)), *map(str, range(40))]:
                done = await pool.complete(name, body)
                assert done.server is pool.home(name)

        with serve() as first, serve() as second, serve() as third:
            with_pool([first, second, third], use)
            counts = [len(server.log) for server in (first, second, third)]
        assert sum(counts) == 80
        assert min(counts) > 0
        assert all(count % 2 == 0 for count in counts)

    def test_when_one_goes_only_its_own_conversations_move(self) -> None:
        async def use(pool: Pool) -> tuple[list[Any], list[Any]]:
            names = list(map(str, range(60)))
            before = [pool.home(name) for name in names]
            pool.servers[1].rest(time.monotonic())
            return before, [pool.home(name) for name in names]

        with serve() as first, serve() as second, serve() as third:
            before, after = with_pool([first, second, third], use)
        lost = before[next(i for i, (a, b) in enumerate(zip(before, after, strict=True)) if a is not b)]
        moved = [new for old, new in zip(before, after, strict=True) if old is lost]
        assert all(old is new for old, new in zip(before, after, strict=True) if old is not lost)
        assert len({id(new) for new in moved}) == 2


SENT_AGAIN = [Fault.BROKEN, Fault.DROP, Fault.RESET, Fault.TRUNCATED, Fault.BAD_JSON, Fault.WEB_PAGE, Fault.NO_CHOICE, Fault.NO_USAGE]  # fmt: skip


class TestAgain:
    @pytest.mark.parametrize("fault", [*SENT_AGAIN, Fault.ABORTED, Fault.BUSY, Fault.OVERLOADED])
    def test_a_passing_fault_is_sent_again_and_counted(self, fault: Fault) -> None:
        async def use(pool: Pool) -> tuple[str, int]:
            return await say(pool), pool.troubles.total()

        with serve(fault=once(fault, fault)) as server:
            assert with_pool([server], use) == ("forty-two", 2)
            assert len(server.log) == 3

    @pytest.mark.parametrize("fault", SENT_AGAIN)
    def test_a_lasting_fault_fails_the_request_after_its_retries(self, fault: Fault) -> None:
        with serve(fault=lambda asked: fault) as server:
            with pytest.raises(ServerError, match="the server failed"):
                with_pool([server], say)
            assert len(server.log) == 1 + HASTY.retries

    @pytest.mark.parametrize("fault", [Fault.BUSY, Fault.OVERLOADED])
    def test_a_busy_server_does_not_use_retries_up_while_it_answers_others(self, fault: Fault) -> None:
        turn = itertools.count()

        async def use(pool: Pool) -> list[str]:
            return list(await asyncio.gather(*(say(pool, str(i)) for i in range(20))))

        with serve(fault=lambda asked: fault if next(turn) % 3 else None) as server:
            assert with_pool([server], use) == ["forty-two"] * 20
            assert Counter(asked.fault for asked in server.log)[None] == 20

    def test_a_server_that_is_busy_for_good_is_given_up_after_the_patience(self) -> None:
        with serve(fault=lambda asked: Fault.BUSY) as server:
            with pytest.raises(ServerError, match="Too many requests"):
                with_pool([server], say)
            assert len(server.log) > 1 + HASTY.retries

    def test_concurrency_falls_to_what_the_server_takes(self) -> None:
        def fault(asked: ChatRequest) -> Fault | None:
            return Fault.BUSY if servers[0].running > 4 else None

        async def use(pool: Pool) -> float:
            await asyncio.gather(*(say(pool, str(i)) for i in range(120)))
            return pool.servers[0].limit.limit

        servers: list[FakeServer] = []
        with serve(fault=fault, latency_s=lambda asked: 0.01) as server:
            servers.append(server)
            limit = with_pool([server], use, concurrency=64)
            refused = sum(asked.fault is not None for asked in server.log)
        assert limit < 16
        assert refused < 3 * 120  # 64 + 32 + 16 + 8 until it is found; without adapting, thousands

    @pytest.mark.parametrize("fault", [Fault.CONTEXT, Fault.TOO_MANY_IMAGES])
    def test_a_refused_request_is_not_sent_again(self, fault: Fault) -> None:
        with serve(fault=lambda asked: fault) as server:
            with pytest.raises(RefusedError):
                with_pool([server], say)
            assert len(server.log) == 1

    def test_the_arguments_are_made_anew_for_each_attempt_without_ids_after_a_fault(self) -> None:
        known: list[tuple[str, ...]] = []

        async def told(server: Server, ids: Collection[str]) -> dict[str, Any]:
            known.append(tuple(ids))
            return await body(server, ids)

        async def use(pool: Pool) -> None:
            pool.servers[0].remember(["a", "b"])
            await pool.complete("c", told)

        with serve(fault=once(Fault.BROKEN)) as server:
            with_pool([server], use)
        assert known == [("a", "b"), ()]


@pytest.mark.slow
class TestGone:
    @pytest.mark.parametrize("fault", [Fault.UNAUTHORIZED, Fault.UNKNOWN_MODEL, Fault.REDIRECT])
    def test_a_server_that_refuses_the_model_is_asked_no_more_and_others_go_on(self, fault: Fault) -> None:
        async def use(pool: Pool) -> list[str]:
            return [await say(pool, str(i)) for i in range(20)]

        with serve(fault=lambda asked: fault) as bad, serve() as good:
            assert with_pool([bad, good], use) == ["forty-two"] * 20
            assert (len(bad.log), len(good.log)) == (1, 20)

    def test_a_server_may_call_the_model_otherwise_but_always_the_same(self) -> None:
        """Several served names, dated names, deployments, prefixes, none: what was asked for is not always what is said."""

        async def use(pool: Pool) -> tuple[list[str], str, str]:
            said = [await say(pool) for _ in range(3)]
            server = pool.servers[0]
            with pytest.raises(NoServerError, match="answers as model 'third' now, and as 'another' before"):
                await say(pool)
            return said, server.model, server.answers_as

        names = iter(["another", None, "another", "third"])
        with serve(answers_as=lambda asked: next(names)) as server:
            assert with_pool([server], use) == (["forty-two"] * 3, "served", "another")

    def test_the_name_is_recorded_and_a_later_session_is_held_to_it(self) -> None:
        async def first(pool: Pool) -> dict[str, Any]:
            await say(pool)
            return pool_facts(pool)

        async def later(pool: Pool) -> None:
            recall_names(pool, facts)
            with pytest.raises(NoServerError, match="answers as model 'served' now, and as 'another' before"):
                await say(pool)

        with serve(answers_as=lambda asked: "another") as server:
            facts = with_pool([server], first)
            assert facts["asked"][server.url]["answers_as"] == "another"
            server.answers_as = lambda asked: "served"
            with_pool([server], later)

    def test_if_all_refuse_the_run_cannot_go_on(self) -> None:
        with serve(fault=lambda asked: Fault.UNAUTHORIZED) as first, serve(fault=lambda asked: Fault.REDIRECT) as second:
            with pytest.raises(NoServerError) as caught:
                with_pool([first, second], say)
            assert first.url in str(caught.value)
            assert second.url in str(caught.value)

    @pytest.mark.parametrize("fault", [Fault.HANG, Fault.DRIP])
    def test_a_hanging_servers_conversations_go_on_elsewhere(self, fault: Fault) -> None:
        async def use(pool: Pool) -> list[str]:
            return list(await asyncio.gather(*(say(pool, str(i)) for i in range(20))))

        retry_policy = RetryPolicy(retries=2, timeout_s=2, backoff_s=0.001, patience_s=60)
        with serve(fault=lambda asked: fault) as bad, serve() as good:
            assert with_pool([bad, good], use, retry_policy) == ["forty-two"] * 20
            assert len(good.log) == 20

    def test_a_server_that_only_fails_is_left_to_others(self) -> None:
        """As a proxy does before a dead server: 502 for ever."""

        async def use(pool: Pool) -> list[str]:
            return list(await asyncio.gather(*(say(pool, str(i)) for i in range(40))))

        retry_policy = RetryPolicy(retries=2, backoff_s=0.01)
        with serve(fault=lambda asked: Fault.BROKEN) as bad, serve() as good:
            assert with_pool([bad, good], use, retry_policy) == ["forty-two"] * 40
            assert len(good.log) == 40

    def test_a_dead_servers_conversations_go_on_elsewhere(self) -> None:
        with serve() as good, contextlib.ExitStack() as stack:
            dead = stack.enter_context(serve())

            async def use(pool: Pool) -> list[str]:
                first = [await say(pool, str(i)) for i in range(20)]
                stack.close()
                return first + [await say(pool, str(i)) for i in range(20)]

            assert with_pool([dead, good], use) == ["forty-two"] * 40
            assert len(dead.log) + len(good.log) == 40

    def test_requests_wait_for_a_server_that_comes_back(self) -> None:
        async def use(pool: Pool) -> str:
            assert await say(pool) == "forty-two"
            stack.close()
            waiting = asyncio.create_task(say(pool))
            await asyncio.sleep(0.3)
            assert not waiting.done()
            with serve(port=port) as again:
                said = await waiting
                assert len(again.log) == 1
            return said

        retry_policy = RetryPolicy(backoff_s=0.001, patience_s=30)
        with contextlib.ExitStack() as stack:
            server = stack.enter_context(serve())
            port = int(server.url.split(":")[2].split("/")[0])
            assert with_pool([server], use, retry_policy) == "forty-two"

    def test_when_none_comes_back_each_request_fails_and_later_ones_at_once(self) -> None:
        async def use(pool: Pool) -> list[str]:
            stack.close()
            failed = await asyncio.gather(*(say(pool, str(i)) for i in range(8)), return_exceptions=True)
            assert {type(error) for error in failed} == {ServerError}
            assert pool.silent_since is not None
            pool.silent_since, pool.retry_policy = pool.silent_since - 600, replace(pool.retry_policy, patience_s=600)
            async with asyncio.timeout(60):  # far less than the patience
                with pytest.raises(ServerError):
                    await say(pool, "later")
            return [str(error) for error in failed]

        with contextlib.ExitStack() as stack:
            server = stack.enter_context(serve())
            says = with_pool([server], use)
        assert all("answer" in each and server.url in each for each in says)
