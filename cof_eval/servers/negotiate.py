"""One request to one server, sent again where the server refuses a part of it: image ids, a field, the format of images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from ..core.errors import PromptTooLongError, RefusedError
from .images import ImageFormat
from .parcel import late_parts
from .server import Server

Body = Callable[[Server, Collection[str]], Awaitable[Mapping[str, Any]]]
"""(server, ids of images that it has) -> the body of a chat request, the model's name aside."""

Done = TypeVar("Done")


class StatusRefusedError(RefusedError):
    """A refusal with its HTTP status."""

    def __init__(self, says: str, status: int) -> None:
        super().__init__(says)
        self.status = status


@dataclass(slots=True)
class Negotiated(Generic[Done]):
    """One request."""

    server: Server
    body: Body
    ask: Callable[[Server, Mapping[str, Any]], Awaitable[Done]]
    """Sends a body once."""
    troubles: Counter[str]
    """Requests that had to be sent again, by cause."""

    async def send(self, known: Collection[str]) -> Done:
        """The reply; `known` are the ids of images that the server has.

        Raises:
            RefusedError: if the request itself is refused.
        """
        images, used = self.server.images, self.server.images.format
        written = await self.body(self.server, known)
        try:
            done = await self._without_refused_fields(written)
        except PromptTooLongError:
            raise
        except RefusedError as error:
            if known:  # it may have forgotten some: everything once more
                self.server.known.clear()
                self.troubles["image id unknown"] += 1
                return await self.send(())
            status = error.status if isinstance(error, StatusRefusedError) else 0
            changed = used is not images.format  # another request has found it out meanwhile
            if not _with_images(written) or not (changed or images.suspects(status, str(error))):
                raise
            return await self._as_png(error)
        if used is images.format and _with_images(written):
            images.taken = True
        return done

    async def _as_png(self, refused: RefusedError) -> Done:
        """The same with images as PNG; where that is refused too, the format is not at fault."""
        images = self.server.images
        if images.format is not ImageFormat.PNG:
            images.fall_back(str(refused))
            self.troubles["image format refused"] += 1
        try:
            done = await self._without_refused_fields(await self.body(self.server, ()))
        except RefusedError as error:
            images.recant()
            raise (error if isinstance(error, PromptTooLongError) else refused) from None
        images.taken = True
        return done

    async def _without_refused_fields(self, body: Mapping[str, Any]) -> Done:
        """Where the server refuses fields of the request, again with others or without them. What it takes is remembered."""
        negotiation, first = self.server.negotiation, None
        base = fields = negotiation.fields
        while True:
            try:
                done = await self.ask(self.server, fields.adapt(body))
            except PromptTooLongError:
                raise
            except RefusedError as error:
                first, says = first or error, str(error)
                if base is not negotiation.fields:  # another request has found it out meanwhile
                    base = fields = negotiation.fields
                    continue
                guess = not (negotiation.settled or self.server.samples_freely or self.server.images.blames(0, says))
                refused = fields.blamed(body, says) or (fields.suspects(body) if guess else [])
                if not refused:
                    raise first from None
                fields = fields.without(refused, says)
                self.troubles["field refused"] += 1
                continue
            negotiation.settle(fields)
            return done


def _with_images(body: Mapping[str, Any]) -> bool:
    return next(late_parts(body), None) is not None
