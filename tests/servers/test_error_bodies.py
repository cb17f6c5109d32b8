"""The reason is shown: each shape in which servers, routers and proxies say what is wrong, in one line and without secrets."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from fake_server import serve
from hostile import Mode
from test_pool import HASTY, say, with_pool

from cof_eval.core.errors import RefusedError, ServerError

BRIEF = replace(HASTY, patience_s=0.05)


def answer(body: Any, status: str = "400 Bad Request", *headers: str) -> Mode:
    """An error with this body: JSON, or bytes as they are."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Mode(lambda wire: wire.reply(data, *headers, status=status), "")


def reason(mode: Mode, error: type[ServerError] = ServerError, **options: Any) -> str:
    with serve(mode=mode) as server, pytest.raises(error) as caught:
        with_pool([server], say, BRIEF, **options)
    return str(caught.value)


SHAPES: dict[str, Any] = {
    "OpenAI": {"error": {"message": "the image is bad", "type": "invalid_request_error", "code": None}},
    "Ollama": {"error": "the image is bad"},
    "FastAPI text": {"detail": "the image is bad"},
    "FastAPI list": {"detail": [{"loc": ["body", "max_tokens"], "msg": "the image is bad", "type": "value_error"}]},
    "older vLLM": {"object": "error", "message": "the image is bad", "type": "BadRequestError", "code": 400},
    "TGI": {"error": "the image is bad", "error_type": "validation"},
    "Gemini": [{"error": {"code": 400, "message": "the image is bad", "status": "INVALID_ARGUMENT"}}],
    "Mistral": {"message": "the image is bad", "request_id": "7"},
    "errors": {"errors": [{"message": "the image is bad"}]},
    "nested": {"error": {"message": {"detail": "the image is bad"}}},
    "OpenRouter": {"error": {"code": 400, "message": "Provider returned error", "metadata": {"raw": "the image is bad"}}},
    "plain text": b"the image is bad\n",
    "a web page": b"<!DOCTYPE html><html><head><title>the image is bad</title></head><body>much more</body></html>",
    "a web page without a title": b"<html><body><h1>the image</h1> is bad</body></html>",
}


@pytest.mark.parametrize("body", SHAPES.values(), ids=SHAPES)
def test_the_reason_is_the_servers_own(body: Any) -> None:
    assert "the image is bad" in " ".join(reason(answer(body), RefusedError).split())


@pytest.mark.parametrize("depth", [100, 700, 900, 960, 2_000])
@pytest.mark.parametrize("status", ["400 Bad Request", "200 OK"])
def test_an_error_that_is_nested_deep_is_still_an_error(status: str, depth: int) -> None:
    assert reason(answer(b'{"error": ' + b'{"a": ' * depth + b"1" + b"}" * depth + b"}", status))


@pytest.mark.slow
def test_the_cut_of_a_long_message_shows_no_part_of_a_key() -> None:
    key = "sk-live-0123456789"
    for before in range(230, 310, 7):
        for body in ({"error": {"message": "x" * before + key, "code": "some_code"}}, b"x" * before + key.encode()):
            assert "sk-live" not in reason(answer(body), api_key=key)


def test_an_error_without_a_word_is_told_by_its_status() -> None:
    assert "Bad Request" in reason(answer(b""))
    assert "Bad Gateway" in reason(answer({}, "502 Bad Gateway"))


def test_the_name_of_an_error_is_told_with_its_message() -> None:
    said = reason(answer({"error": {"message": "no", "code": "model_is_loading_now"}}))
    assert "no (model_is_loading_now)" in said


@pytest.mark.parametrize(
    "change",
    [
        {"error": {"message": "quota is used up", "code": 402}},
        {"error": "quota is used up"},
        {"choices": [{"error": {"message": "quota is used up", "code": 502}, "finish_reason": "error", "message": {}}]},
        {"error": {"message": "quota is used up"}, "choices": None},
    ],
)
def test_an_error_inside_a_reply_with_a_good_status_is_told(change: dict[str, Any]) -> None:
    said = reason(Mode(lambda wire: wire.changed(lambda body: body | change), ""))
    assert "quota is used up" in said


@pytest.mark.parametrize("code", [429, "503"])
def test_an_inner_error_counts_as_the_status_that_it_names(code: int | str) -> None:
    body = {"error": {"message": "slow down", "code": code}}
    with serve(mode=answer(body, "200 OK")) as server, pytest.raises(ServerError):
        with_pool([server], say, HASTY)
    assert len(server.log) > 1 + HASTY.retries  # busy, not broken: asked until the patience ends


def test_an_error_that_is_null_is_none() -> None:
    with serve(mode=Mode(lambda wire: wire.changed(lambda body: body | {"error": None}), "")) as server:
        assert with_pool([server], say) == "forty-two"


@pytest.mark.parametrize("seconds", ["nan", "-1", "1e400", "tomorrow", ""])
def test_a_wait_that_is_no_time_is_not_waited_for(seconds: str) -> None:
    assert "slow down" in reason(answer(b"slow down", "429 Too Many Requests", f"retry-after-ms: {seconds}"))


@pytest.mark.parametrize("hidden", ["\x1b[31mred", "\u202eevil", "\x07", "\r\n\x00", "\x9b2J"])
def test_no_text_of_a_server_can_steer_a_terminal(hidden: str) -> None:
    for body in ({"error": f"bad {hidden} image"}, f"bad {hidden} image".encode()):
        assert reason(answer(body)).isprintable()


@pytest.mark.parametrize("spelt", [json.dumps, lambda body: json.dumps(body).replace("sk-", "\\u0073\\u006b\\u002d")])
@pytest.mark.parametrize("status", ["400 Bad Request", "401 Unauthorized", "500 Internal Server Error", "200 OK"])
def test_a_key_that_a_server_echoes_is_masked(status: str, spelt: Any) -> None:
    key = "sk-live-0123456789/+"
    body = spelt({"error": {"message": f"Incorrect API key provided: {key}. Header: Bearer {key}"}}).encode()
    said = reason(answer(body, status), api_key=key)
    assert "0123456789" not in said
    assert "***" in said


def test_a_key_in_a_models_own_words_is_masked_too() -> None:
    key = "sk-live-0123456789"
    with serve(reply=lambda asked: f"your key is {key}") as server:
        assert with_pool([server], say, api_key=key) == "your key is ***"


def test_a_plain_word_that_is_a_key_leaves_the_models_words_alone() -> None:
    with serve(reply=lambda asked: "a greenhouse") as server:
        assert with_pool([server], say, api_key="greenhouse") == "a greenhouse"
