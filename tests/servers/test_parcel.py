"""Bodies on their way: encoded when they are sent, within a budget, and let go of before the reply comes."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import msgspec
import pytest

from cof_eval.core.byte_budget import ByteBudget
from cof_eval.servers.parcel import LateJson, packed


class Image(LateJson):
    """An image of so many bytes that counts where it is encoded."""

    def __init__(self, size: int = 3_000_000, error: Exception | None = None) -> None:
        self.size, self.error = size, error
        self.threads: list[int] = []

    @property
    def most_bytes(self) -> int:
        return self.size + 2

    def json(self) -> msgspec.Raw:
        self.threads.append(threading.get_ident())
        if self.error:
            raise self.error
        return msgspec.Raw(b'"' + b"x" * self.size + b'"')


def body(*images: LateJson) -> dict[str, Any]:
    parts = [{"type": "image_url", "image_url": {"url": image}, "uuid": "a"} for image in images]
    known = {"type": "image_url", "image_url": None, "uuid": "b"}
    return {
        "messages": [
            {"role": "user", "content": [*parts, known, {"type": "text", "text": "ü"}]},
            {"role": "assistant", "content": None},
        ]
    }


def test_a_body_is_whole_and_its_bytes_are_free_once_it_is_sent() -> None:
    image, budget = Image(), ByteBudget(1 << 30)

    async def run() -> bytes:
        async with packed(body(image), budget) as parcel:
            assert budget.held == image.most_bytes
            assert parcel.whole is None
            sent = b"".join([piece async for piece in parcel.pieces()])
            assert budget.held == 0  # the reply is still to come
            assert parcel.size == len(sent)
        return sent

    sent = asyncio.run(run())
    assert msgspec.json.decode(sent)["messages"][0]["content"][0]["image_url"]["url"] == "x" * image.size
    assert image.threads != [threading.get_ident()]


def test_one_that_is_never_sent_is_let_go_of_too() -> None:
    async def run() -> int:
        budget = ByteBudget(1 << 30)
        async with packed(body(Image()), budget):
            pass
        with pytest.raises(OSError, match="no more"):
            async with packed(body(Image(error=OSError("no more"))), budget):
                pass
        return budget.held

    assert asyncio.run(run()) == 0


def test_only_so_many_bytes_are_under_way_at_once() -> None:
    budget = ByteBudget(7_000_000)

    async def send(image: Image) -> int:
        async with packed(body(image), budget) as parcel:
            held = budget.held
            async for _ in parcel.pieces():
                await asyncio.sleep(0)
            return held

    async def run() -> list[int]:
        return await asyncio.gather(*(send(Image()) for _ in range(8)))

    assert max(asyncio.run(run())) == 2 * Image().most_bytes


def test_a_small_body_goes_at_once_and_needs_no_budget() -> None:
    async def run() -> bytes | None:
        async with packed({"messages": [{"role": "user", "content": "hello"}]}, ByteBudget(1)) as parcel:
            return parcel.whole

    assert asyncio.run(run()) == b'{"messages":[{"role":"user","content":"hello"}]}'


def test_what_is_no_json_is_an_error() -> None:
    async def run() -> None:
        async with packed(
            {"messages": [{"content": [{"image_url": {"url": Image()}}, {"text": object()}]}]}, ByteBudget(1 << 30)
        ):
            pass

    with pytest.raises(TypeError, match="object objects cannot be sent"):
        asyncio.run(run())
