"""Any OpenAI-compatible servers that show images to a Qwen-VL model: vLLM, SGLang, a hosted API; one or several.

Images travel as PNG, so that the server sees exactly the shown pixels, and to vLLM only once each. Where the server returns
token ids (vLLM does), the visual tokens are counted from them; elsewhere the rows say "pixels unverified".
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from typing import Any

from ..agent.engine import Request, Response
from ..agent.protocols import Protocol
from ..core.errors import (
    ContextFullError,
    EngineError,
    EngineUnusableError,
    NoServerError,
    PromptTooLongError,
    RefusedError,
    ServerError,
    UsageError,
)
from ..core.resolution import PixelLimits
from ..servers import ImageFormat, Pool, RetryPolicy, Server, connect, parse_urls, pool_facts, recall_names, url_file
from . import EngineSettings
from .chat_body import chat_body
from .chat_response import ReplyReader
from .checkpoint import Checkpoint, find_served
from .served_checkpoint import ServedCheckpoint, load_served
from .served_family import find_family
from .wire import Wire, image_id


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedArgs:
    """What `engine_args` can say to this engine; everything else is the server's own business."""

    image_format: ImageFormat
    retry_policy: RetryPolicy


def parse_served_args(arguments: Mapping[str, Any]) -> ServedArgs:
    """Engine arguments as settings.

    Raises:
        UsageError: for an unknown argument (listing the known ones) or a value that cannot be used.
    """
    known = {"image_format", *(f.name for f in fields(RetryPolicy))}
    unknown = sorted(set(arguments) - known)
    if unknown:
        raise UsageError(
            f"engine=openai has no engine argument {', '.join(unknown)}; known: {', '.join(sorted(known))}. Give others to the server"
        )
    name = arguments.get("image_format", ImageFormat.AUTO)
    if name not in set(ImageFormat):
        raise UsageError(f"engine argument image_format={name!r} is unknown; known: {', '.join(ImageFormat)}")
    numbers = {key: value for key, value in arguments.items() if key != "image_format"}
    for key, value in numbers.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or value < 0 or (key == "timeout_s" and not value):
            raise UsageError(f"engine argument {key}={value!r} must be a number, and not negative")
    return ServedArgs(image_format=ImageFormat(name), retry_policy=RetryPolicy(**numbers))


_TOOLS_CURE = "vLLM: start it with --enable-auto-tool-choice --tool-call-parser NAME; or use a protocol whose calls are text"


class OpenAIEngine:
    """An `Engine` over `POST /v1/chat/completions`."""

    def __init__(
        self, pool: Pool, settings: EngineSettings, protocol: Protocol, checkpoint: Checkpoint | ServedCheckpoint | None
    ) -> None:
        contexts = (protocol.context, checkpoint.context if checkpoint else None, pool.context)
        self._pool = pool
        self._settings = settings
        self._checkpoint = checkpoint
        self._wire = Wire()
        self._max_images = protocol.max_images
        self._context = min(context for context in contexts if context)
        self._family = find_family(checkpoint, protocol, (settings.pretrained, pool.model, *pool.roots), settings.max_pixels)
        self._takes_tools = False
        """Whether a request with the protocol's tools was ever taken."""
        self._reader = ReplyReader(
            protocol=protocol,
            image_token_id=checkpoint.image_token_id if checkpoint else None,
            decode=checkpoint.decode if checkpoint and checkpoint.can_decode else None,
            family_known=self._family.known,
        )

    @classmethod
    async def connect(cls, settings: EngineSettings, protocol: Protocol) -> OpenAIEngine:
        """Reach the servers and learn what they serve.

        Raises:
            UsageError: if there is no base URL, the named model is not served, or the folder of that name is no checkpoint.
            EngineUnusableError: if no server answers, or the checkpoint's processor does not load.
        """
        if not settings.base_url:
            raise UsageError("engine=openai needs a base URL, for instance --base-url http://127.0.0.1:8000/v1")
        urls = parse_urls(settings.base_url)
        arguments = parse_served_args(settings.engine_args)
        folder = find_served(settings.pretrained)
        checkpoint = load_served(str(folder)) if folder else None
        try:
            pool = await connect(
                urls,
                api_key=settings.api_key,
                served_name=settings.served_name,
                concurrency=settings.concurrency,
                retry_policy=arguments.retry_policy,
                image_format=arguments.image_format,
                follow=url_file(settings.base_url),
            )
        except NoServerError as error:
            raise EngineUnusableError(
                f"no OpenAI-compatible server answers at {error}; start one, or correct --base-url (it usually ends in /v1)"
            ) from error
        return cls(pool, settings, protocol, checkpoint)

    @property
    def checkpoint(self) -> Checkpoint | None:
        """The checkpoint with its processor, if that was loaded; plain files are read without it (`served_checkpoint`)."""
        return self._checkpoint if isinstance(self._checkpoint, Checkpoint) else None

    @property
    def limits(self) -> PixelLimits:
        """The checkpoint's where its files are at hand, else its family's (`served_family`); `max_pixels` tightens them."""
        return self._family.limits

    @property
    def assumed(self) -> str:
        """What is assumed of the image processor, in words; empty if it is read from the checkpoint's files."""
        return self._family.assumed

    def recall(self, facts: Mapping[str, Any]) -> None:
        """Hold the servers to what earlier sessions of the run recorded of them (`facts`)."""
        recall_names(self._pool, facts)

    @property
    def facts(self) -> dict[str, Any]:
        """What the run should record of its servers; see `servers.pool_facts`."""
        return pool_facts(self._pool, self._reader.mended)

    @property
    def context(self) -> int:
        """The servers' smallest `max_model_len` where they tell, within the protocol's."""
        return self._context

    @property
    def max_images(self) -> int:
        """The protocol's; the server may allow fewer and says so when it does."""
        return self._max_images

    @property
    def served_name(self) -> str:
        """The name under which the servers serve the model."""
        return self._pool.model

    @property
    def troubles(self) -> Mapping[str, int]:
        """How often requests had to be sent again, by what was wrong."""
        return self._pool.troubles

    def text_tokens(self, text: str) -> int:
        """Tokens of a text; without the tokenizer, one for two bytes (from above)."""
        return self._checkpoint.text_tokens(text) if self._checkpoint else len(text.encode()) // 2 + 1

    async def start(self) -> None:
        """Nothing to load: the servers did."""

    async def generate(self, request: Request) -> Response:
        """Generate one turn; see `Engine.generate`."""

        async def body(server: Server, known: Collection[str]) -> dict[str, Any]:
            images = server.images.format
            messages = self._wire.messages(request, ids=server.is_vllm, known=known, image_format=images)
            return chat_body(request, messages, server)

        try:
            done = await self._pool.complete(request.conversation, body)
        except NoServerError as error:
            raise EngineUnusableError(f"no server takes requests any more: {error}") from error
        except PromptTooLongError as error:
            raise ContextFullError(str(error)) from error
        except RefusedError as error:
            if request.tools and not self._takes_tools and "tool" in str(error).lower():
                raise EngineUnusableError(f"the server takes no tools: {error} ({_TOOLS_CURE})") from error
            raise EngineError(f"the server refused the request: {error}") from error
        except ServerError as error:
            raise EngineError(str(error)) from error
        if done.server.is_vllm:
            done.server.remember(image_id(image, done.server.images.format) for image in request.images)
        self._takes_tools = True
        return await self._reader.read(done, request)

    async def close(self) -> None:
        """Close the connections."""
        await self._pool.close()
