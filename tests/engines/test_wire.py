"""Images on the wire: every pixel arrives in every lossless format, the format suits the server, and bodies are not held."""

from __future__ import annotations

import asyncio
import base64
import io
import json
from typing import Any

import msgspec
import pytest
from fake_server import ChatRequest, Refusal, serve
from fakes import noise
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from test_openai import HASTY, generate, image_part, request, with_engine

from cof_eval.agent.engine import Engine, ImagePart
from cof_eval.core.errors import EngineError
from cof_eval.core.images import pixel_hash
from cof_eval.engines.wire import ImageUrl, Wire, data_url
from cof_eval.servers import ImageFormat

LOSSLESS = [ImageFormat.BMP, ImageFormat.PNG]


def received(part: ImagePart, image_format: ImageFormat) -> Image.Image:
    """What a server makes of an image's data URL, as vLLM reads it: Pillow, then RGB."""
    head, _, data = json.loads(bytes(data_url(part, image_format))).partition(",")
    image = Image.open(io.BytesIO(base64.b64decode(data, validate=True)))
    assert head == f"data:image/{image_format.value};base64"
    return image.convert("RGB")


@pytest.mark.parametrize("image_format", LOSSLESS)
@pytest.mark.parametrize("mode", ["RGB", "L", "LA", "RGBA", "P", "1", "CMYK", "I;16"])
def test_every_pixel_arrives_from_every_mode(mode: str, image_format: ImageFormat) -> None:
    image = noise(37, 23).convert("L" if mode == "I;16" else mode)
    image = image.convert("I").convert(mode) if mode == "I;16" else image
    if mode == "RGBA":
        image.putalpha(noise(37, 23, 1).convert("L"))
    part = ImagePart(image, pixel_hash(image), 1)
    there = received(part, image_format)
    assert there.size == image.size
    assert pixel_hash(there) == part.hash


@pytest.mark.parametrize("image_format", LOSSLESS)
@given(width=st.integers(1, 40), height=st.integers(1, 9), seed=st.integers(0, 9))
def test_every_size_arrives_with_and_without_padded_lines(
    image_format: ImageFormat, width: int, height: int, seed: int
) -> None:
    image = noise(width, height, seed)
    assert received(ImagePart(image, "h", 1), image_format).tobytes() == image.tobytes()


def test_a_data_url_is_never_larger_than_what_is_set_aside_for_it() -> None:
    for width, height in ((1, 1), (1, 500), (640, 480), (33, 77)):
        part = ImagePart(noise(width, height), "h", 1)
        for image_format in LOSSLESS:
            url = ImageUrl(part, lambda each, by=image_format: data_url(each, by))  # type: ignore[misc]
            assert memoryview(url.json()).nbytes <= url.most_bytes


def test_encodings_are_kept_within_their_bytes_and_only_where_they_are_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cof_eval.engines.wire._CACHE_BYTES", 3 * 4 * 84 * 56)
    wire, parts = Wire(), [image_part(seed=seed) for seed in range(6)]
    for ids in (True, False):
        body = wire.messages(request(*parts), ids=ids, known=(), image_format=ImageFormat.BMP)
        msgspec.json.encode(body, enc_hook=lambda url: url.json())
        assert len(wire._urls) == (0 if ids else 2)
    first, again = (wire.url(parts[-1], ImageFormat.BMP) for _ in range(2))
    assert first is again
    assert wire.url(parts[-1], ImageFormat.PNG) is not first


NAMED: list[Refusal] = [
    (400, "Failed to load image: cannot identify image file <_io.BytesIO object>"),
    (400, "image: unknown format"),
    (400, "You uploaded an unsupported image. Please make sure your image has one of the following formats: ['png', 'jpeg']."),
    (413, "Request Entity Too Large"),
    (500, "Failed to load image or audio file"),
]
"""(vLLM, Ollama, OpenAI, nginx, llama.cpp)."""


def formats(asked: ChatRequest) -> list[str | None]:
    return [image.format for image, sent in zip(asked.images, asked.sent, strict=True) if sent]


def refusing(refusal: Refusal) -> Any:
    return lambda asked: refusal if "BMP" in formats(asked) else None


async def three_turns(engine: Any) -> tuple[dict[str, int], str]:
    for turns in range(3):
        await engine.generate(request(image_part(), turns=turns))
    (told,) = engine.facts["asked"].values()
    return dict(engine.troubles), told["images"]


@pytest.mark.slow
class TestChoice:
    @pytest.mark.parametrize("owner", ["vllm", "some-company"])
    def test_a_server_on_this_machine_gets_bmp_and_the_run_says_so(self, owner: str) -> None:
        with serve(owner=owner) as server:
            troubles, told = with_engine(server, three_turns)
        assert {kind for asked in server.log for kind in formats(asked)} == {"BMP"}
        assert (troubles, told) == ({}, "bmp")

    @pytest.mark.parametrize("owner", ["vllm", "some-company"])
    @pytest.mark.parametrize("refusal", [*NAMED, (400, "Bad Request")])
    def test_one_that_refuses_bmp_gets_png_from_then_on(self, refusal: Refusal, owner: str) -> None:
        with serve(owner=owner, fault=refusing(refusal)) as server:
            troubles, told = with_engine(server, three_turns)
        assert troubles["image format refused"] == 1
        assert [formats(asked)[0] for asked in server.log if asked.fault is None and formats(asked)] == ["PNG"] * 3
        assert told == f"png (bmp was refused: {refusal[1]})"

    def test_each_server_is_remembered_for_itself(self) -> None:
        async def use(engine: Any) -> list[str]:
            await asyncio.gather(*(engine.generate(request(image_part(), conversation=str(n))) for n in range(24)))
            return [told["images"].partition(" ")[0] for told in engine.facts["asked"].values()]

        with serve() as one, serve(fault=refusing(NAMED[0])) as other:
            assert with_engine(one, use, base_url=f"{one.url},{other.url}") == ["bmp", "png"]
        assert {kind for asked in one.log for kind in formats(asked)} == {"BMP"}
        assert {kind for asked in other.log if asked.fault is None for kind in formats(asked)} == {"PNG"}

    def test_a_refusal_for_another_reason_is_told_and_changes_nothing(self) -> None:
        async def use(engine: Engine) -> None:
            for _ in range(3):
                with pytest.raises(EngineError, match="At most 1 image"):
                    await engine.generate(request(image_part(), image_part(seed=1)))
                await engine.generate(request(image_part(seed=2)))

        with serve(
            fault=lambda asked: (400, "At most 1 image(s) may be provided in one prompt.") if len(asked.images) > 1 else None
        ) as server:
            with_engine(server, use)
        assert sum("PNG" in formats(asked) for asked in server.log) == 1  # the first time it might have been the format
        assert formats(server.log[-2])[0] == "BMP"

    @pytest.mark.parametrize("image_format", ["bmp", "png", "jpeg"])
    def test_a_format_that_was_asked_for_never_changes(self, image_format: str) -> None:
        with serve(fault=lambda asked: NAMED[0]) as server, pytest.raises(EngineError, match="cannot identify"):
            generate(server, request(image_part()), engine_args=HASTY | {"image_format": image_format})
        assert [formats(asked) for asked in server.log] == [[image_format.upper()]]
