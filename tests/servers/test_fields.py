"""All of decoding is sent; what a server refuses is found out once, left out or sent otherwise, and said."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from fake_server import ChatRequest, FakeServer, Fault, serve

from cof_eval.core.errors import RefusedError
from cof_eval.runs.served_notes import served_notes
from cof_eval.servers import Pool, RetryPolicy, Server, connect, decoding_fields, pool_facts
from cof_eval.servers import fields as fields_taken

pytestmark = pytest.mark.slow

DECODING = {"temperature", "top_p", "top_k", "min_p", "repetition_penalty", "presence_penalty", "frequency_penalty"}
FURTHER = {"seed": 3, "stop": ["END"], "chat_template_kwargs": {"enable_thinking": True}}


def asked(server: FakeServer, times: int = 1, *, at_once: bool = False, **changes: Any) -> dict[str, Any]:
    """What the run records after so many requests."""

    async def body(to: Server, known: Any) -> dict[str, Any]:
        fields = {**decoding_fields(to, max_tokens=4, **changes), **FURTHER}
        return {"messages": [{"role": "user", "content": "What is it?"}], **fields}

    async def run() -> dict[str, Any]:
        hasty = RetryPolicy(retries=0, backoff_s=0.001, patience_s=0.3)
        pool: Pool = await connect([server.url], retry_policy=hasty)
        try:
            if at_once:
                await asyncio.gather(*(pool.complete(str(n), body) for n in range(times)))
            else:
                for n in range(times):
                    await pool.complete(str(n), body)
            return pool_facts(pool)
        finally:
            await pool.close()

    return asyncio.run(run())


def told(facts: dict[str, Any]) -> dict[str, Any]:
    """Of the one server."""
    (one,) = facts["asked"].values()
    return dict(one)


def refuses(
    *names: str, says: str = "Unrecognized request argument supplied: {}", status: int = 400
) -> Callable[[ChatRequest], Any]:
    """Refuses the first of these fields that a request has."""

    def fault(request: ChatRequest) -> tuple[int, str] | None:
        found = next((name for name in names if name in request.body), None)
        return (status, says.format(found)) if found else None

    return fault


def taken(server: FakeServer) -> list[dict[str, Any]]:
    """Bodies of the requests that were answered."""
    return [each.body for each in server.log if each.fault is None]


@pytest.mark.parametrize("owner", ["vllm", "sglang", "openai", "llamacpp", "some-company"])
def test_everything_about_decoding_is_sent_to_every_server(owner: str) -> None:
    with serve(owner=owner) as server:
        facts = asked(server, presence_penalty=1.5, frequency_penalty=0.5)
    (body,) = taken(server)
    assert body.keys() >= DECODING | FURTHER.keys() | {"max_tokens"}
    assert (body["presence_penalty"], body["frequency_penalty"], body["top_k"]) == (1.5, 0.5, -1)
    assert "left_out" not in told(facts)


@pytest.mark.parametrize(("owner", "name"), [("llamacpp", "repeat_penalty"), ("organization_owner", "repeat_penalty")])
def test_a_server_with_a_name_of_its_own_for_a_field_is_told_under_both(owner: str, name: str) -> None:
    with serve(owner=owner) as server:
        asked(server, repetition_penalty=1.3)
    assert (taken(server)[0][name], taken(server)[0]["repetition_penalty"]) == (1.3, 1.3)


REFUSALS: list[tuple[str, dict[str, Any], set[str]]] = [
    ("OpenAI", {"names": ("top_k", "min_p", "repetition_penalty", "chat_template_kwargs")}, {"top_k", "min_p", "repetition_penalty", "chat_template_kwargs"}),
    ("one field", {"names": ("min_p",), "says": "min_p is not supported"}, {"min_p"}),
    ("pydantic", {"names": ("top_k",), "says": "body.{}: Extra inputs are not permitted", "status": 422}, {"top_k"}),
    ("quoted", {"names": ("seed",), "says": "Unsupported parameter: 'seed' is not supported with this model."}, {"seed"}),
    ("fixed temperature", {"names": ("temperature",), "says": "Unsupported value: '{}' does not support 0 with this model. Only the default (1) value is supported."}, {"temperature"}),
    ("penalties", {"names": ("presence_penalty", "frequency_penalty"), "says": "property '{}' is unsupported"}, {"presence_penalty", "frequency_penalty"}),
    ("no word", {"names": ("top_k",), "says": "Bad request", "status": 422}, {"top_k", "min_p", "repetition_penalty", "chat_template_kwargs"}),
]  # fmt: skip


@pytest.mark.parametrize(("refusal", "left_out"), [row[1:] for row in REFUSALS], ids=[row[0] for row in REFUSALS])
def test_a_refused_field_is_left_out_from_then_on_and_said(refusal: dict[str, Any], left_out: set[str]) -> None:
    names = refusal.pop("names")
    with serve(owner="openai", fault=refuses(*names, **refusal)) as server:
        facts = asked(server, 3)
    assert set(told(facts)["left_out"]) == left_out
    first, second, third = taken(server)
    assert not left_out & first.keys()
    assert first.keys() == second.keys() == third.keys()
    assert first.keys() >= (DECODING | FURTHER.keys()) - left_out
    assert len(server.log) - 3 <= len(names)  # each field once, not once a request
    note = " ".join(map(str, served_notes(facts)))
    assert f"the server may have used its own {', '.join(told(facts)['left_out'])}" in note


def test_many_first_requests_find_it_out_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fields_taken, "_SETTLE_S", 600.0)  # however busy this machine is
    with serve(owner="openai", fault=refuses("top_k")) as server:
        asked(server, 16, at_once=True)
    assert sum(each.fault is not None for each in server.log) == 1


def test_what_is_recorded_is_what_was_sent() -> None:
    """Fields that run.yaml does not tell of were in every request that was answered, with the values that were meant."""
    with serve(owner="openai", fault=refuses("min_p", "seed", says="unknown field '{}'")) as server:
        facts = asked(server, 4, temperature=0.7, top_p=0.9, repetition_penalty=1.1)
    meant = {"temperature": 0.7, "top_p": 0.9, "repetition_penalty": 1.1, "presence_penalty": 0.0, "frequency_penalty": 0.0}
    recorded = {
        name: value for name, value in {**meant, "min_p": 0.0, "seed": 3}.items() if name not in told(facts)["left_out"]
    }
    assert all({name: body[name] for name in recorded} == recorded for body in taken(server))
    assert not {"min_p", "seed"} & {name for body in taken(server) for name in body}


def test_a_field_goes_under_another_name_or_with_another_value_where_that_is_taken() -> None:
    def fault(request: ChatRequest) -> tuple[int, str] | None:
        if "max_tokens" in request.body:
            return (
                400,
                "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
            )
        return (400, "The top_k `-1` cannot be a negative integer.") if request.body["top_k"] < 0 else None

    with serve(owner="lmdeploy", fault=fault) as server:
        facts = asked(server, 2)
    assert [(body["max_completion_tokens"], body["top_k"]) for body in taken(server)] == [(4, 0), (4, 0)]
    assert told(facts)["sent_as"] == {"max_tokens": "max_completion_tokens", "top_k": {"top_k": 0}}
    assert served_notes(facts) == []


@pytest.mark.parametrize("owner", ["vllm", "openai"])
@pytest.mark.parametrize(
    "says", ["At most 1 image(s) may be provided in one prompt.", "max_tokens is too large: at most 2 completion tokens"]
)
def test_a_refusal_for_another_reason_is_that_error_and_nothing_is_left_out(owner: str, says: str) -> None:
    with serve(owner=owner, fault=lambda request: (400, says)) as server, pytest.raises(RefusedError) as caught:
        asked(server)
    assert says in str(caught.value)
    assert len(server.log) <= 3


def test_a_server_that_took_all_fields_once_is_not_suspected_later() -> None:
    left = [None, Fault.TOO_MANY_IMAGES]
    with serve(owner="openai", fault=lambda request: left.pop(0) if left else None) as server, pytest.raises(RefusedError):
        asked(server, 2)
    assert len(server.log) == 2


def test_fields_that_a_server_is_known_not_to_use_are_said() -> None:
    with serve(owner="library") as server:
        facts = asked(server)
    assert [note.says for note in served_notes(facts)] == [
        "the server may have used its own top_k, min_p, repetition_penalty, chat_template_kwargs: it takes these fields and does not use them"
    ]


def test_stop_texts_that_a_server_refuses_are_said_to_be_cut_here() -> None:
    with serve(owner="openai", fault=refuses("stop", says="Unsupported parameter: 'stop'")) as server:
        facts = asked(server)
    assert any("turns were cut here" in note.says for note in served_notes(facts))
