"""What travels to a server: six turns with a new crop each."""

from __future__ import annotations

import asyncio
import base64
import io
import random
from collections.abc import Sequence

from PIL import Image

from bench.figures import Figure, below
from bench.local_server import local_server
from bench.recorded import Recorded
from cof_eval.agent.engine import ImagePart, Request
from cof_eval.agent.protocols import COF
from cof_eval.agent.rollout import Subject, rollout
from cof_eval.agent.zoom import View
from cof_eval.core.images import encode_png, pixel_hash
from cof_eval.core.records import ImageRef, Question
from cof_eval.engines import EngineSettings, open_engine

CALL = '<tool_call>{{"name": "image_zoom_in_tool", "arguments": {{"bbox_2d": [{0}, {0}, 700, 500]}}}}</tool_call>'
SIZE = (1008, 756)


def served() -> list[Figure]:
    """Bytes of all requests of one rollout over the bytes of its images."""
    bodies, images = asyncio.run(_six_turns())
    once = sum(_wire_bytes(image) for image in images)
    again = sum(_wire_bytes(image) * (len(images) - i) for i, image in enumerate(images))
    detail = f"{sum(bodies) / 1e6:.2f} MB over {len(bodies)} turns and {len(images)} images; sent with every turn: {again / once:.2f} x"
    return [below("bytes sent / bytes of images", sum(bodies) / once, 1.05, "x", detail)]


async def _six_turns() -> tuple[Sequence[int], Sequence[ImagePart]]:
    """(bytes of each request, all images of the conversation)."""

    def say(body: object) -> str:
        turn = len(server.bodies)
        return CALL.format(20 * turn) if turn < COF.max_turns else "<answer>B</answer>"

    async with local_server(say) as server:
        engine = await open_engine(
            "openai", EngineSettings(pretrained="local", base_url=server.url, engine_args={"image_format": "png"}), COF
        )
        requests: list[Request] = []
        await rollout(_subject(), Recorded(engine, requests), COF)
        await engine.close()
        return server.bodies, requests[-1].images


def _subject() -> Subject:
    """A question about an image with the detail of a photograph."""
    noise = Image.frombytes("RGB", (252, 189), random.Random(0).randbytes(252 * 189 * 3))
    shown = noise.resize(SIZE, Image.Resampling.BICUBIC)
    buffer = io.BytesIO()
    shown.save(buffer, "JPEG", quality=85)
    shown = Image.open(buffer).convert("RGB")
    name = pixel_hash(shown)
    question = Question("0", "bench", "c", "0", "Which?\n(A) one\n(B) two", ("one", "two"), "B")
    return Subject(question=question, image=ImageRef(name, SIZE), view=View(shown, SIZE), shown_hash=name, key="0")


def _wire_bytes(part: ImagePart) -> int:
    return len(base64.b64encode(encode_png(part.image)))
