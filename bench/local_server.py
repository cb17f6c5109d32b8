"""A local OpenAI-compatible server that costs next to nothing: counts what it receives and says what it is told to."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

Say = Callable[[dict[str, Any]], str]
"""Body of a chat request -> the reply's text."""


@dataclass
class LocalServer:
    """The running server."""

    say: Say
    latency_s: float = 0.0
    url: str = ""
    """Base URL, ending in `/v1`."""
    bodies: list[int] = field(default_factory=list)
    """Bytes of each chat request."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                body = await reader.readexactly(_length(head))
                reply = await self._reply(head.split(b" ", 2)[1].decode(), body)
                data = json.dumps(reply).encode()
                writer.write(
                    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(data) + data
                )
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client has gone
        finally:
            writer.close()

    async def _reply(self, path: str, body: bytes) -> dict[str, Any]:
        if path.endswith("/models"):
            model = {"id": "local", "object": "model", "created": 0, "owned_by": "vllm", "max_model_len": 32_768}
            return {"object": "list", "data": [model]}
        self.bodies.append(len(body))
        await asyncio.sleep(self.latency_s)
        message = {"role": "assistant", "content": self.say(json.loads(body))}
        usage = {"prompt_tokens": 24_000, "completion_tokens": 20, "total_tokens": 24_020}
        choice = {"index": 0, "finish_reason": "stop", "message": message}
        return {"id": "1", "object": "chat.completion", "created": 0, "model": "local", "choices": [choice], "usage": usage}


@asynccontextmanager
async def local_server(say: Say, latency_s: float = 0.0) -> AsyncIterator[LocalServer]:
    """A server on a free port of this machine, while the context lasts."""
    server = LocalServer(say, latency_s)
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0, limit=1 << 26, backlog=1024)
    server.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/v1"
    async with listening:
        yield server


def _length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.split(b":")[1])
    return 0
