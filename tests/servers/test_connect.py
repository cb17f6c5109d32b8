"""Meeting servers: base URLs, names, contexts, and those that are silent or serve something else."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from typing import Any

import pytest
from fake_server import Fault, serve

from cof_eval.core.errors import NoServerError, UsageError
from cof_eval.servers import Pool, connect, parse_urls

A, B = "http://a:8000/v1", "https://b/v1"


@pytest.mark.parametrize("text", [f"{A},{B}", f"{A};{B}", f" {A}  {B}/ ", f"{A},{B},{A}", f"{A} , {B};"])
def test_urls_are_separated_by_commas_semicolons_or_spaces_and_named_once(text: str) -> None:
    assert parse_urls(text) == (A, B)


@pytest.mark.parametrize("text", ["", " ,;", "localhost:8000/v1", f"{A},ftp://x", "http:///v1"])
def test_what_is_no_url_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="holds no base URL"):
        parse_urls(text)


def met(urls: Sequence[str], **options: Any) -> Pool:
    async def run() -> Pool:
        pool = await connect(urls, **options)
        await pool.close()
        return pool

    return asyncio.run(run())


def closed() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}/v1"


def test_the_smallest_context_counts() -> None:
    with serve(context=8192) as first, serve(context=4096) as second, serve(context=None) as third:
        assert met([first.url, second.url, third.url]).context == 4096
        assert met([third.url]).context is None


def test_a_silent_server_is_tried_again_later_and_told(caplog: pytest.LogCaptureFixture) -> None:
    away = closed()
    with serve(models=["m"]) as server:
        pool = met([away, server.url])
    assert [(s.model, s.owner, s.is_up()) for s in pool.servers] == [("m", "vllm", False), ("m", "vllm", True)]
    assert [record.message for record in caplog.records] == [
        f"{away} does not answer (Connection refused); it is tried again later"
    ]


def test_if_none_answers_each_is_named_with_its_reason() -> None:
    first, second = closed(), closed()
    with pytest.raises(NoServerError) as caught:
        met([first, second])
    assert str(caught.value) == f"{first} (Connection refused); {second} (Connection refused)"


def test_servers_of_different_models_are_refused() -> None:
    with serve(models=["a"]) as first, serve(models=["b"]) as second:
        with pytest.raises(UsageError, match="serve different models"):
            met([first.url, second.url])
        with pytest.raises(UsageError, match="does not serve 'a'; it serves: b"):
            met([first.url, second.url], served_name="a")


def test_one_of_several_models_is_chosen_by_name() -> None:
    with serve(models=["a", "b"]) as first, serve(models=["b"]) as second:
        assert met([first.url, second.url], served_name="b").model == "b"
        with pytest.raises(UsageError, match="serves 2 models; choose one with served_name: a, b"):
            met([first.url, second.url])


def test_what_lists_no_models_is_no_server() -> None:
    with serve(models_fault=Fault.WEB_PAGE) as server, pytest.raises(NoServerError):
        met([server.url])
