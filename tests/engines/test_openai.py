"""The served engine: what travels to the server, what is counted, and what every failure of a server means."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest
from fake_server import ChatRequest, FakeServer, Fault, image_pad, serve, tiny_checkpoint
from fakes import noise, subject
from PIL import Image

from cof_eval.agent.engine import Engine, ImagePart, Message, Request, Response, Role, TextPart
from cof_eval.agent.protocols import COF, DIRECT, Protocol
from cof_eval.agent.rollout import rollout
from cof_eval.core.errors import CofError, ContextFullError, EngineError, EngineUnusableError, UsageError
from cof_eval.core.images import pixel_hash
from cof_eval.core.records import Finish, Stop
from cof_eval.core.resolution import PixelLimits, visual_tokens
from cof_eval.engines import EngineSettings, open_engine

pytestmark = pytest.mark.slow

T = TypeVar("T")


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_checkpoint(tmp_path_factory)


HASTY = {"retries": 0, "backoff_s": 0.001, "patience_s": 0.3}
"""Gives up at once."""


def with_engine(server: FakeServer, use: Callable[[Engine], Awaitable[T]], *, protocol: Protocol = COF, **settings: Any) -> T:
    """What `use` gives for an engine that meets this server."""

    async def run() -> T:
        given = {"pretrained": "by-name", "base_url": server.url, "engine_args": HASTY} | settings
        engine = await open_engine("openai", EngineSettings(**given), protocol)
        try:
            await engine.start()
            return await use(engine)
        finally:
            await engine.close()

    return asyncio.run(run())


def image_part(width: int = 84, height: int = 56, seed: int = 0, mode: str = "RGB") -> ImagePart:
    image = noise(width, height, seed).convert(mode)
    return ImagePart(image, pixel_hash(image), visual_tokens(image.size, 28))


def request(*images: ImagePart, turns: int = 0, **changes: Any) -> Request:
    """A conversation: system, user with images, then `turns` pairs of an assistant's and a user's message."""
    messages = [
        Message(Role.SYSTEM, (TextPart("Look."),)),
        Message(Role.USER, (*images, TextPart("What is it?\n(A) a\n(B) b"))),
    ]
    for turn in range(turns):
        messages += [Message(Role.ASSISTANT, (TextPart(f"call {turn}"),)), Message(Role.USER, (image_part(28, 28, turn),))]
    return Request(**{"conversation": "c", "messages": tuple(messages), "max_tokens": 64} | changes)


def generate(server: FakeServer, asked: Request | None = None, **settings: Any) -> Response:
    return with_engine(server, lambda engine: engine.generate(asked or request(image_part())), **settings)


class TestWhatTravels:
    def test_images_arrive_with_exactly_the_shown_pixels(self) -> None:
        first, second = image_part(112, 84, 1), image_part(28, 280, 2)
        with serve() as server:
            generate(server, request(first, second))
        (asked,) = server.log
        assert [image.size for image in asked.images] == [(112, 84), (28, 280)]
        assert [image.tobytes() for image in asked.images] == [first.image.tobytes(), second.image.tobytes()]
        assert asked.hashes == (first.hash, second.hash)

    def test_the_conversation_keeps_its_roles_and_the_order_of_its_parts(self) -> None:
        with serve() as server:
            generate(server, request(image_part(), turns=2))
        messages = server.log[0].body["messages"]
        kinds = [(m["role"], [part["type"] for part in m["content"]]) for m in messages]
        assert kinds == [
            ("system", ["text"]),
            ("user", ["image_url", "text"]),
            ("assistant", ["text"]),
            ("user", ["image_url"]),
            ("assistant", ["text"]),
            ("user", ["image_url"]),
        ]
        assert messages[2]["content"][0]["text"] == "call 0"

    def test_decoding_is_the_requests(self) -> None:
        with serve() as server:
            given = {"max_tokens": 7, "temperature": 0.5, "top_p": 0.9, "repetition_penalty": 1.05, "seed": 3}
            generate(server, request(pattern="[AB]", **given))
            generate(server, request())
        special, plain = (asked.body for asked in server.log)
        assert {name: special[name] for name in given} == given
        assert special["structured_outputs"] == {"regex": "[AB]"}
        assert "structured_outputs" not in plain

    def test_the_checkpoints_own_decoding_defaults_never_apply(self) -> None:
        with serve() as server:
            generate(server)
        body = server.log[0].body
        expected = {"temperature": 0.0, "top_p": 1.0, "top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0}
        expected |= {"presence_penalty": 0.0, "frequency_penalty": 0.0}
        assert {name: body[name] for name in expected} == expected
        assert not {"stop", "chat_template_kwargs"} & set(body)

    def test_stop_strings_penalties_and_the_templates_arguments_travel(self) -> None:
        more = {"top_k": 20, "min_p": 0.1, "presence_penalty": 1.5, "frequency_penalty": 0.5, "stop": ("</grounding>", "END")}
        for owner in ("vllm", "some-company"):
            with serve(owner=owner) as server:
                generate(server, request(stop_kept=False, template_kwargs={"enable_thinking": True}, **more))
            body = server.log[0].body
            assert (body["stop"], body["presence_penalty"], body["frequency_penalty"]) == (["</grounding>", "END"], 1.5, 0.5)
            assert body["chat_template_kwargs"] == {"enable_thinking": True}
            assert (body["top_k"], body["min_p"]) == (20, 0.1)
            assert body.get("include_stop_str_in_output") is (False if owner == "vllm" else None)

    @pytest.mark.parametrize(("owner", "ids"), [("vllm", True), ("sglang", False), ("openai", False), ("some-company", False)])
    def test_every_server_is_told_all_of_decoding_and_only_vllm_what_it_alone_understands(self, owner: str, ids: bool) -> None:
        with serve(owner=owner) as server:
            generate(server)
        body = server.log[0].body
        assert {"repetition_penalty", "top_k", "min_p", "presence_penalty", "frequency_penalty"} <= set(body)
        assert ("return_token_ids" in body) is ids
        assert all(("uuid" in part) is ids for part in body["messages"][1]["content"] if part["type"] == "image_url")

    def test_each_image_travels_once_to_a_server_that_remembers(self) -> None:
        part = image_part()

        async def use(engine: Engine) -> None:
            for turns in range(4):
                await engine.generate(request(part, turns=turns))

        with serve() as server:
            with_engine(server, use)
        assert [asked.sent for asked in server.log] == [
            (True,),
            (False, True),
            (False, False, True),
            (False, False, False, True),
        ]
        assert [asked.hashes[0] for asked in server.log] == [part.hash] * 4

    def test_an_image_that_the_server_forgot_is_sent_again(self) -> None:
        part = image_part()

        async def use(engine: Any) -> dict[str, int]:
            await engine.generate(request(part))
            server.memory.clear()
            await engine.generate(request(part, turns=1))
            await engine.generate(request(part, turns=2))
            return dict(engine.troubles)

        with serve() as server:
            troubles = with_engine(server, use)
        assert [asked.sent for asked in server.log] == [(True,), (True, True), (False, False, True)]
        assert troubles == {"image id unknown": 1}

    def test_a_server_that_remembers_nothing_gets_every_image_with_each_turn(self) -> None:
        async def use(engine: Engine) -> None:
            for turns in range(3):
                await engine.generate(request(image_part(), turns=turns))

        with serve(owner="some-company") as server:
            with_engine(server, use)
        assert [asked.sent for asked in server.log] == [(True,), (True, True), (True, True, True)]

    def test_images_may_travel_as_jpeg_under_ids_of_their_own(self) -> None:
        part = image_part(112, 84)
        with serve() as server:
            generate(server, request(part), engine_args=HASTY | {"image_format": "jpeg"})
            generate(server, request(part), engine_args=HASTY | {"image_format": "png"})
        jpeg, png = server.log
        assert jpeg.images[0].format == "JPEG"
        assert jpeg.images[0].size == png.images[0].size == part.image.size
        assert (jpeg.hashes[0] == part.hash, png.hashes[0] == part.hash) == (False, True)
        assert len(server.memory) == 2

    def test_many_threads_may_encode_at_the_same_time(self) -> None:
        async def use(engine: Engine) -> list[Response]:
            asked = [request(*(image_part(28, 28, seed + i) for i in range(4))) for seed in range(24)]
            return list(await asyncio.gather(*map(engine.generate, asked)))

        with serve() as server:
            replies = with_engine(server, use, concurrency=2)
        assert len(replies) == len(server.log) == 24


class TestCounts:
    def test_tokens_are_the_servers_and_visual_tokens_are_counted_from_its_prompt(self, tiny: Path) -> None:
        with serve(image_pad=image_pad(tiny)) as server:
            reply = generate(server, request(image_part(84, 56), turns=1), pretrained=str(tiny))
        text = "<think>seen</think> <answer>"
        assert reply.text.startswith(text)
        assert reply.visual_tokens == 3 * 2 + 1
        assert reply.prompt_tokens > reply.visual_tokens
        assert (reply.cached_tokens, reply.output_tokens, reply.finish) == (16, len(reply.text) // 4 + 1, Finish.STOP)
        assert reply.engine_s > 0

    def test_no_cache_details_count_as_nothing_cached(self) -> None:
        with serve() as server:
            assert generate(server).cached_tokens == 0

    def test_pixels_are_unverified_if_the_server_returns_no_token_ids(self, tiny: Path) -> None:
        with serve(image_pad=None) as server:
            assert generate(server, pretrained=str(tiny)).visual_tokens is None

    def test_pixels_are_unverified_if_the_image_token_is_unknown(self) -> None:
        with serve(image_pad=151655) as server:
            assert generate(server).visual_tokens is None

    def test_a_turn_cut_at_its_limit_says_so(self) -> None:
        with serve(finish="length") as server:
            assert generate(server).finish is Finish.LENGTH

    def test_an_empty_reply_is_an_empty_text(self) -> None:
        with serve(reply=lambda asked: "") as server:
            assert generate(server).text == ""

    def test_a_whole_rollout_zooms_and_answers(self, tiny: Path) -> None:
        with serve(image_pad=image_pad(tiny)) as server:
            result = with_engine(server, lambda engine: rollout(subject(), engine, COF), pretrained=str(tiny))
        assert (result.stop, result.zooms, len(result.turns), result.verified) == (Stop.ANSWERED, 1, 2, True)
        assert server.log[1].hashes == (server.log[0].hashes[0], result.calls[0].crop.hash)  # type: ignore[union-attr]

    def test_a_server_that_resizes_again_stops_the_run(self, tiny: Path) -> None:
        with serve(image_pad=image_pad(tiny), extra_visual=5) as server, pytest.raises(EngineUnusableError, match="max_pixels"):
            with_engine(server, lambda engine: rollout(subject(), engine, COF), pretrained=str(tiny))


class TestLimits:
    @pytest.mark.parametrize(("said", "expected"), [(2048, 2048), (1_000_000, COF.context), (None, COF.context)])
    def test_the_context_is_the_servers_within_the_protocols(self, said: int | None, expected: int) -> None:
        async def context(engine: Engine) -> int:
            return engine.context

        with serve(context=said) as server:
            assert with_engine(server, context) == expected

    def test_limits_are_the_checkpoints_if_it_is_at_hand_else_the_stock_ones_and_can_be_lowered(self, tiny: Path) -> None:
        async def limits(engine: Engine) -> PixelLimits:
            return engine.limits

        with serve() as server:
            stock = with_engine(server, limits)
            local = with_engine(server, limits, pretrained=str(tiny))
            lowered = with_engine(server, limits, pretrained=str(tiny), max_pixels=200_000)
        assert stock == PixelLimits(28, 3136, 12_845_056)
        assert local == PixelLimits(28, 3136, 3840 * 3840)
        assert lowered == PixelLimits(28, 3136, 200_000)

    def test_text_is_never_counted_too_short_without_a_tokenizer(self, tiny: Path) -> None:
        async def count(engine: Engine) -> int:
            return engine.text_tokens(COF.system)

        with serve() as server:
            assert with_engine(server, count) >= with_engine(server, count, pretrained=str(tiny))

    def test_images_are_limited_by_the_protocol(self) -> None:
        async def most(engine: Engine) -> int:
            return engine.max_images

        with serve() as server:
            assert (with_engine(server, most), with_engine(server, most, protocol=DIRECT)) == (6, 1)


FAULTS: list[tuple[Fault, type[CofError], str]] = [
    (Fault.CONTEXT, ContextFullError, "maximum context length"),
    (Fault.TOO_MANY_IMAGES, EngineError, "At most 1 image"),
    (Fault.UNAUTHORIZED, EngineUnusableError, "refuses model 'served'"),
    (Fault.UNKNOWN_MODEL, EngineUnusableError, "refuses model 'served'"),
    (Fault.BUSY, EngineError, "Too many requests. Come back later."),
    (Fault.BROKEN, EngineError, "Internal server error in two lines"),
    (Fault.OVERLOADED, EngineError, "The engine is overloaded."),
    (Fault.DROP, EngineError, "the server failed"),
    (Fault.RESET, EngineError, "the server failed"),
    (Fault.TRUNCATED, EngineError, "the server failed"),
    (Fault.HANG, EngineError, "gave no whole reply within 2 s"),
    (Fault.DRIP, EngineError, "gave no whole reply within 2 s"),
    (Fault.ABORTED, EngineError, "aborted the request"),
    (Fault.REDIRECT, EngineUnusableError, "redirects (status 302) to elsewhere.invalid; redirects are not followed"),
    (Fault.FILTERED, EngineError, "content_filter"),
    (Fault.NO_CHOICE, EngineError, "no chat completion"),
    (Fault.NO_USAGE, EngineError, "no chat completion"),
    (Fault.WEB_PAGE, EngineError, "no chat completion"),
    (Fault.BAD_JSON, EngineError, "the server failed"),
]


class TestFailures:
    @pytest.mark.parametrize(("fault", "kind", "message"), FAULTS, ids=[f.name for f, *_ in FAULTS])
    def test_what_a_failure_means(self, fault: Fault, kind: type[CofError], message: str) -> None:
        with serve(fault=lambda asked: fault) as server, pytest.raises(CofError) as caught:
            generate(server, engine_args=HASTY | {"timeout_s": 2})
        assert type(caught.value) is kind
        assert message in str(caught.value)
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize("fault", [Fault.BUSY, Fault.BROKEN])
    def test_a_passing_failure_is_tried_again(self, fault: Fault) -> None:
        left = [fault, fault]
        with serve(fault=lambda asked: left.pop() if left else None) as server:
            assert generate(server, engine_args=HASTY | {"retries": 2}).text
        assert [asked.fault for asked in server.log] == [fault, fault, None]

    def test_a_prompt_that_is_too_long_is_not_sent_twice(self) -> None:
        with serve(fault=lambda asked: Fault.CONTEXT) as server, pytest.raises(ContextFullError):
            generate(server, engine_args=HASTY | {"retries": 4})
        assert len(server.log) == 1

    def test_one_failed_rollout_leaves_the_others_alone(self) -> None:
        def fault(asked: ChatRequest) -> Fault | None:
            return Fault.BROKEN if asked.hashes[0] == pixel_hash(subject(28).view.shown) else None  # type: ignore[union-attr]

        async def both(engine: Engine) -> list[Stop]:
            done = await asyncio.gather(rollout(subject(28), engine, COF), rollout(subject(56), engine, COF))
            return [result.stop for result in done]

        with serve(fault=fault) as server:
            assert with_engine(server, both) == [Stop.ERROR, Stop.ANSWERED]

    def test_a_server_that_is_gone_fails_the_rollout_not_the_run(self) -> None:
        async def use(engine: Engine) -> Stop:
            gone.__exit__(None, None, None)
            return (await rollout(subject(), engine, COF)).stop

        gone = serve()
        server = gone.__enter__()
        assert with_engine(server, use) is Stop.ERROR


def connect(server: FakeServer, **settings: Any) -> str:
    async def use(engine: Any) -> str:
        return str(engine.served_name)

    return with_engine(server, use, **settings)


class TestStart:
    def test_the_only_model_needs_no_name(self) -> None:
        with serve(models=["mine"]) as server:
            assert connect(server) == "mine"

    def test_one_of_several_models_is_chosen_by_name(self) -> None:
        with serve(models=["a", "b"]) as server:
            assert connect(server, served_name="b") == "b"

    @pytest.mark.parametrize(
        ("models", "settings", "message"),
        [
            (["a", "b"], {}, "serves 2 models; choose one with served_name: a, b"),
            ([], {}, "serves 0 models"),
            (["a"], {"served_name": "c"}, "does not serve 'c'; it serves: a"),
            (["a"], {"base_url": None}, "engine=openai needs a base URL"),
            (["a"], {"base_url": "127.0.0.1:8000"}, "holds no base URL that can be used"),
            (["a"], {"engine_args": {"max_model_len": 1}}, "no engine argument max_model_len; known: backoff_s, image_format"),
            (["a"], {"engine_args": {"image_format": "gif"}}, "image_format='gif' is unknown; known: auto, bmp, png, jpeg"),
            (["a"], {"engine_args": {"timeout_s": 0}}, "timeout_s=0 must be a number"),
        ],
    )
    def test_a_model_that_is_not_served_is_refused(self, models: list[str], settings: dict[str, Any], message: str) -> None:
        with serve(models=models) as server, pytest.raises(UsageError, match=message):
            connect(server, **settings)

    def test_a_closed_port_is_said_in_one_line(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{probe.getsockname()[1]}/v1"
        with pytest.raises(EngineUnusableError, match=r"no OpenAI-compatible server answers at http://127\.0\.0\.1") as caught:
            connect(FakeServer(url))
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize("fault", [Fault.WEB_PAGE, Fault.BAD_JSON, Fault.UNAUTHORIZED, Fault.BROKEN])
    def test_something_else_behind_the_url_is_said_in_one_line(self, fault: Fault) -> None:
        with serve(models_fault=fault) as server, pytest.raises(EngineUnusableError, match="correct --base-url") as caught:
            connect(server)
        assert "\n" not in str(caught.value)

    def test_a_url_without_its_last_part_is_recognised(self) -> None:
        with serve() as server, pytest.raises(EngineUnusableError, match="usually ends in /v1"):
            connect(server, base_url=server.url.removesuffix("/v1"))

    def test_a_folder_that_is_no_qwen_vl_is_refused_even_if_a_server_answers(self, tmp_path: Path) -> None:
        (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama"}))
        with serve() as server, pytest.raises(UsageError, match="holds a 'llama' model"):
            connect(server, pretrained=str(tmp_path))

    def test_a_path_of_the_servers_own_machine_is_known_by_name_only(self) -> None:
        with serve(models=["/models/cof-7b"]) as server:
            assert connect(server, pretrained="/models/cof-7b") == "/models/cof-7b"

    def test_the_key_is_sent_and_never_logged(self) -> None:
        with serve(fault=lambda asked: Fault.UNAUTHORIZED) as server, pytest.raises(EngineUnusableError) as caught:
            generate(server, api_key="sk-secret")
        assert "sk-secret" not in str(caught.value)

    def test_an_unknown_engine_lists_the_known_ones(self) -> None:
        with pytest.raises(UsageError, match="unknown engine 'sglang'; known: vllm, openai, transformers"):
            asyncio.run(open_engine("sglang", EngineSettings(pretrained="x"), replace(COF)))


def test_grey_and_palette_images_arrive_with_the_pixels_that_were_hashed() -> None:
    grey = image_part(56, 56, 3, "L")
    with serve() as server:
        generate(server, request(grey))
    (asked,) = server.log
    assert asked.hashes == (pixel_hash(Image.merge("RGB", [grey.image] * 3)),)
