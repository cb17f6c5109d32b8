"""A scripted server in a process of its own that takes images and looks at none: one zoom, then an answer."""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

CALL = '<tool_call>{"name": "image_zoom_in_tool", "arguments": {"bbox_2d": [1200, 800, 1900, 1400]}}</tool_call>'
ANSWER = "<think>It is the second.</think> <answer>B</answer>"
_PIECE = 1 << 20


@dataclass
class ImageServer:
    """Takes `slots` requests at once, each for a random time."""

    slots: int
    latency_s: float
    """Mean; a request takes between half and one and a half of it."""
    waits: list[float] = field(default_factory=list)
    received: int = 0
    """Bytes of chat requests."""
    random: random.Random = field(default_factory=lambda: random.Random(0))

    async def serve(self) -> None:
        """Answer until the process ends; the port is printed."""
        self.places = asyncio.Semaphore(self.slots)
        server = await asyncio.start_server(self.connection, "127.0.0.1", 0, limit=1 << 22, backlog=256)
        print(server.sockets[0].getsockname()[1], flush=True)
        await server.serve_forever()

    async def connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while head := await reader.readuntil(b"\r\n\r\n"):
                path = head.split(b" ", 2)[1].decode()
                reply = await self.chat(reader, head) if path.endswith("/completions") else self.facts(path)
                data = json.dumps(reply).encode()
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(data))
                writer.write(data)
                await writer.drain()
        writer.close()

    def facts(self, path: str) -> object:
        """The list of models, or what was counted since the last time."""
        if path.endswith("/models"):
            return {"data": [{"id": "local", "owned_by": "vllm", "max_model_len": 32_768}]}
        counted = {"waits": self.waits, "received": self.received, "cpu_s": sum(os.times()[:2])}
        self.waits, self.received, self.random = [], 0, random.Random(0)
        return counted

    async def chat(self, reader: asyncio.StreamReader, head: bytes) -> object:
        """Read a request without looking at its images, wait, and speak."""
        left = next(int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        self.received += left
        answered, tail = False, b""
        while left:
            piece = await reader.read(min(left, _PIECE))
            answered = answered or b'"assistant"' in tail + piece
            left, tail = left - len(piece), piece[-16:]
        wait = self.random.uniform(0.5, 1.5) * self.latency_s
        self.waits.append(wait)
        async with self.places:
            await asyncio.sleep(wait)
        message = {"role": "assistant", "content": ANSWER if answered else CALL}
        usage = {"prompt_tokens": 17_000, "completion_tokens": 20}
        return {"model": "local", "choices": [{"finish_reason": "stop", "message": message}], "usage": usage}


@contextmanager
def image_server(slots: int, latency_s: float) -> Iterator[str]:
    """A server in a process of its own: its base URL."""
    code = f"import asyncio; from bench.image_server import ImageServer; asyncio.run(ImageServer({slots}, {latency_s}).serve())"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        try:
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}/v1" if process.stdout else ""
        finally:
            process.kill()
