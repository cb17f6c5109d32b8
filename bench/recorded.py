"""An engine whose requests are kept."""

from __future__ import annotations

from typing import Any

from cof_eval.agent.engine import Engine, Request, Response


class Recorded:
    """Another engine, and every request that it was given."""

    def __init__(self, engine: Engine, requests: list[Request]) -> None:
        self._engine, self._requests = engine, requests

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    async def generate(self, request: Request) -> Response:
        """Keep the request and pass it on."""
        self._requests.append(request)
        return await self._engine.generate(request)
