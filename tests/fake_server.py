"""A hand-written OpenAI-compatible server: says what a script says about the images it really received, and keeps a log.

One instance stands for a served Qwen-VL model, for a judge, or for a server in trouble. It runs in threads of the test's own
process, so that a client which is killed in another process can be asked about afterwards.
"""

from __future__ import annotations

import base64
import io
import json
import re
import socket
import struct
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from fakes import call
from hostile import Mode, Wire
from PIL import Image

from cof_eval.core.images import pixel_hash

FACTOR = 28


class Fault(StrEnum):
    """What a server can do instead of answering."""

    CONTEXT = "context"
    TOO_MANY_IMAGES = "too many images"
    UNAUTHORIZED = "401"
    UNKNOWN_MODEL = "404"
    BUSY = "429"
    BROKEN = "500"
    DROP = "drop"
    FILTERED = "content_filter"
    NO_CHOICE = "no choice"
    NO_USAGE = "no usage"
    WEB_PAGE = "web page"
    BAD_JSON = "bad JSON"
    OVERLOADED = "503"
    HANG = "hang"
    DRIP = "slow drip"
    TRUNCATED = "truncated body"
    RESET = "connection reset"
    REDIRECT = "302"
    ABORTED = "abort"


_STATUS = {
    Fault.CONTEXT: (400, "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens."),
    Fault.TOO_MANY_IMAGES: (400, "At most 1 image(s) may be provided in one prompt."),
    Fault.UNAUTHORIZED: (401, "Incorrect API key provided."),
    Fault.UNKNOWN_MODEL: (404, "The model does not exist."),
    Fault.BUSY: (429, "Too many requests.\nCome back later."),
    Fault.BROKEN: (500, "Internal server error\nin two lines"),
    Fault.OVERLOADED: (503, "The engine is overloaded."),
}


_HURT = (Fault.HANG, Fault.DRIP, Fault.TRUNCATED, Fault.RESET)


Refusal = tuple[int, str]
"""(status, message) of an error of one's own."""


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """One chat request as the server understood it."""

    body: dict[str, Any]
    turn: int
    """Assistant messages in it."""
    system: str
    text: str
    """All text of the first user message."""
    images: tuple[Image.Image, ...]
    hashes: tuple[str, ...]
    """Of the images' pixels."""
    sent: tuple[bool, ...]
    """For each image, whether its data came with this request."""
    fault: Fault | Refusal | None = None

    @property
    def name(self) -> tuple[str, str, int]:
        """Equal for requests that ask for the same turn of the same rollout."""
        return self.text, self.hashes[0] if self.hashes else "", self.turn

    @property
    def visual_tokens(self) -> int:
        """What a Qwen2.5-VL processor makes of the images if it leaves their size alone."""
        return sum((image.width // FACTOR) * (image.height // FACTOR) for image in self.images)


def scripted(asked: ChatRequest, zooms: int = 1) -> str:
    """Zooms into the image's centre as often as told if there is a tool, then answers with a letter that the pixels decide."""
    if not asked.images:
        return "forty-two"
    if "image_zoom_in_tool" in asked.system and asked.turn < zooms:
        width, height = asked.images[0].size
        return f"<think>closer</think> {call(width // 4, height // 4, width // 2, height // 2)}"
    letters = re.findall(r"^\(([A-Z])\)", asked.text, re.MULTILINE) or ["A"]
    return f"<think>seen</think> <answer>{letters[int(asked.hashes[0][:8], 16) % len(letters)]}</answer>"


@dataclass
class FakeServer:
    """The running server. Everything may be changed while it runs."""

    url: str
    """Base URL, ending in /v1."""
    models: list[str] = field(default_factory=lambda: ["served"])
    owner: str = "vllm"
    """`owned_by` of every model."""
    context: int | None = 32_768
    """`max_model_len` of every model; None to keep silent about it."""
    root: str = ""
    """`root` of every model; empty to keep silent about it."""
    version: str = ""
    """What `/version` tells; empty for no such page."""
    image_pad: int | None = None
    """Id of the image token in `prompt_token_ids`; None to return no token ids."""
    extra_visual: int = 0
    """Image tokens beyond those of the images received: a processor that resizes again."""
    seen: Callable[[ChatRequest], int] | None = None
    """Visual tokens that the prompt is said to have; by default those of the images received."""
    beside: dict[str, Any] = field(default_factory=dict)
    """Further fields of every reply."""
    token_ids: Callable[[], list[int]] | None = None
    """The ids of a reply's tokens, where it is asked for them."""
    detokenize: Callable[[list[int]], str] | None = None
    """Their text, as `/detokenize` tells it; None for no such page."""
    reply: Callable[[ChatRequest], str | dict[str, Any]] = scripted
    """The text of a reply; or its message, with its `finish_reason` and number of `tokens` if they are others than usual."""
    label: Callable[[str], str | dict[str, Any]] = lambda prompt: "0" if "painted green" in prompt else "1"
    """As a judge: prompt -> what it says. By default all is right but the doctor's wrong pair."""
    finish: str = "stop"
    answers_as: Callable[[ChatRequest], str | None] = lambda asked: str(asked.body["model"])
    """The model's name in replies."""
    location: str = "http://elsewhere.invalid/v1/chat/completions?token=of-another"
    """Where a redirect leads."""
    fault: Callable[[ChatRequest], Fault | Refusal | None] = lambda asked: None
    models_fault: Fault | None = None
    mode: Mode | None = None
    """What it does instead of answering a chat request (`hostile.MODES`)."""
    models_mode: Mode | None = None
    """The same for its list of models."""
    headers: list[dict[str, str]] = field(default_factory=list)
    """Of all requests."""
    paths: list[str] = field(default_factory=list)
    """Of all requests, with their queries."""
    keep_alive: bool = True
    latency_s: Callable[[ChatRequest], float] = lambda asked: 0.0
    memory: dict[str, Image.Image] = field(default_factory=dict)
    """Images by uuid, as vLLM's cache holds them."""
    bytes_received: int = 0
    log: list[ChatRequest] = field(default_factory=list)
    judged: list[str] = field(default_factory=list)
    """Prompts that it was asked to judge."""
    running: int = 0
    most_running: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)
    stopping: threading.Event = field(default_factory=threading.Event)

    def answered(self) -> Counter[tuple[str, str, int]]:
        """How often each turn of each rollout was asked for and not refused."""
        with self.lock:
            return Counter(asked.name for asked in self.log if asked.fault is None)


@contextmanager
def serve(port: int = 0, **options: Any) -> Iterator[FakeServer]:
    """A server on a free (or the given) port of this machine; options are `FakeServer`'s."""
    http = _Server(("127.0.0.1", port), _Handler)
    http.fake = fake = FakeServer(f"http://127.0.0.1:{http.server_address[1]}/v1", **options)  # type: ignore[attr-defined]
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield fake
    finally:
        fake.stopping.set()
        http.shutdown()
        http.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256  # connections that wait; more would be refused

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that were killed are no news; anything else is."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def fake(self) -> FakeServer:
        return self.server.fake  # type: ignore[attr-defined, no-any-return]

    def log_message(self, *_: object) -> None:
        """Stay silent."""

    def do_GET(self) -> None:
        fake = self.fake
        if fake.stopping.is_set():
            return self._fail(Fault.DROP)
        fake.headers.append(dict(self.headers))
        fake.paths.append(self.path)
        self.path = self.path.partition("?")[0]
        if fake.models_fault:
            return self._fail(fake.models_fault)
        if fake.models_mode:
            return self._misbehave(fake.models_mode, b"")
        if self.path == "/version" and fake.version:
            return self._send(200, {"version": fake.version})
        if self.path != "/v1/models":
            return self._send(404, {"detail": "Not Found"})
        extra: dict[str, Any] = {} if fake.context is None else {"max_model_len": fake.context}
        extra |= {"root": fake.root} if fake.root else {}
        data = [{"id": name, "object": "model", "created": 0, "owned_by": fake.owner, **extra} for name in fake.models]
        self._send(200, {"object": "list", "data": data})

    def do_POST(self) -> None:
        fake = self.fake
        data = self.rfile.read(int(self.headers["content-length"]))
        body = json.loads(data)
        query, self.path = self.path, self.path.partition("?")[0]
        if fake.stopping.is_set():
            return self._fail(Fault.DROP)
        if self.path == "/detokenize" and fake.detokenize:
            return self._send(200, {"prompt": fake.detokenize(body["tokens"])})
        if self.path != "/v1/chat/completions":
            return self._send(404, {"detail": "Not Found"})
        choices = (body.get("structured_outputs") or {}).get("choice")
        try:
            asked = understood(body, fake.memory)
        except KeyError as unknown:
            return self._send(400, {"error": {"message": f"unknown uuid {unknown}", "type": "error", "code": 400}})
        fault = fake.fault(asked)
        with fake.lock:
            fake.headers.append(dict(self.headers))
            fake.paths.append(query)
            fake.bytes_received += len(data)
            if choices:
                fake.judged.append(asked.text)
            else:
                fake.log.append(replace(asked, fault=fault))
            fake.running += 1
            fake.most_running = max(fake.most_running, fake.running)
        try:
            time.sleep(fake.latency_s(asked))
            if fake.mode:
                body = completion(fake, asked, fake.label(asked.text) if choices else fake.reply(asked), fault)
                self._misbehave(fake.mode, json.dumps(body).encode())
            elif (
                isinstance(fault, tuple)
                or fault in _STATUS
                or fault in (Fault.DROP, Fault.WEB_PAGE, Fault.BAD_JSON, Fault.REDIRECT)
            ):
                self._fail(fault)
            else:
                body = completion(fake, asked, fake.label(asked.text) if choices else fake.reply(asked), fault)
                self._hurt(fault, json.dumps(body).encode()) if fault in _HURT else self._send(200, body)
        finally:
            with fake.lock:
                fake.running -= 1

    def _misbehave(self, mode: Mode, good: bytes) -> None:
        """Act as a mode says; the connection ends with it."""
        self.close_connection = True
        with suppress(OSError):  # the client had enough
            mode.act(Wire(self.connection, good, self.fake.stopping))

    def _fail(self, fault: Fault | Refusal | None) -> None:
        if fault is Fault.DROP:
            self.close_connection = True
            return
        if fault is Fault.WEB_PAGE:
            return self._write(200, b"<html>\n<body>It works!</body>\n</html>", "text/html")
        if fault is Fault.REDIRECT:
            return self._write(302, b"", "text/plain", location=self.fake.location)
        if fault is Fault.BAD_JSON:
            return self._write(200, b'{"choices": [', "application/json")
        status, message = fault if isinstance(fault, tuple) else _STATUS[fault]  # type: ignore[index]
        self._send(status, {"error": {"message": message, "type": "error", "code": status}})

    def _hurt(self, fault: Fault | None, data: bytes) -> None:
        """A reply that never arrives whole."""
        self.close_connection = True
        if fault is Fault.RESET:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return self.connection.close()
        if fault is Fault.HANG:
            self.fake.stopping.wait()
            return None
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        if fault is Fault.TRUNCATED:
            self.wfile.write(data[: len(data) // 2])
            return None
        for byte in data:  # slow drip
            if self.fake.stopping.wait(0.05):
                return None
            try:
                self.wfile.write(bytes([byte]))
            except OSError:
                return None
        return None

    def _send(self, status: int, body: dict[str, Any]) -> None:
        self._write(status, json.dumps(body).encode(), "application/json")

    def _write(self, status: int, data: bytes, kind: str, **headers: str) -> None:
        try:
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(data)))
            self.send_header("retry-after-ms", "1")  # clients try again at once
            for name, value in headers.items():
                self.send_header(name, value)
            if not self.fake.keep_alive:
                self.send_header("connection", "close")
            self.end_headers()
            self.wfile.write(data)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True  # the client was killed


def understood(body: dict[str, Any], memory: dict[str, Image.Image]) -> ChatRequest:
    """What a chat request says.

    Args:
        body: the request.
        memory: images by uuid, to take from and to add to.

    Raises:
        KeyError: if an image is named by a uuid that is not in memory.
    """
    messages = body["messages"]
    pictures = [part for message in messages for part in _parts(message) if part["type"] == "image_url"]
    images = []
    for part in pictures:
        image = memory[part["uuid"]] if part["image_url"] is None else _image(part["image_url"]["url"])
        if "uuid" in part:
            memory[part["uuid"]] = image
        images.append(image)
    system = "".join(_text(message) for message in messages if message["role"] == "system")
    user = next((_text(message) for message in messages if message["role"] == "user"), "")
    turn = sum(message["role"] == "assistant" for message in messages)
    sent = tuple(part["image_url"] is not None for part in pictures)
    return ChatRequest(body, turn, system, user, tuple(images), tuple(map(pixel_hash, images)), sent)


def completion(
    fake: FakeServer, asked: ChatRequest, said: str | dict[str, Any], fault: Fault | Refusal | None = None
) -> dict[str, Any]:
    """The body of a successful reply."""
    words = sum(len(part.get("text", "")) for message in asked.body["messages"] for part in _parts(message)) // 4
    visual = fake.seen(asked) if fake.seen else asked.visual_tokens + fake.extra_visual
    finish = fault.value if fault in (Fault.FILTERED, Fault.ABORTED) else fake.finish
    message = {"content": said} if isinstance(said, str) else dict(said)
    finish = message.pop("finish_reason", finish)
    tokens = message.pop("tokens", len(str(message.get("content") or "")) // 4 + 1)
    choice = {"index": 0, "finish_reason": finish, "message": {"role": "assistant", **message}}
    if fake.token_ids and asked.body.get("return_token_ids"):
        choice["token_ids"] = fake.token_ids()
    usage: dict[str, Any] = {
        "prompt_tokens": visual + words,
        "completion_tokens": tokens,
        "total_tokens": visual + words + tokens,
    }
    if asked.turn:
        usage["prompt_tokens_details"] = {"cached_tokens": 16 * asked.turn}
    reply: dict[str, Any] = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 0,
        "model": fake.answers_as(asked),
        "choices": [] if fault is Fault.NO_CHOICE else [choice],
        "usage": None if fault is Fault.NO_USAGE else usage,
        **fake.beside,
    }
    if fake.image_pad is not None and asked.body.get("return_token_ids"):
        reply["prompt_token_ids"] = [1] * words + [fake.image_pad] * visual
    return reply


def _parts(message: dict[str, Any]) -> list[dict[str, Any]]:
    content = message["content"] or []
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _text(message: dict[str, Any]) -> str:
    return "".join(part["text"] for part in _parts(message) if part["type"] == "text")


def _image(url: str) -> Image.Image:
    head, _, data = url.partition(",")
    image = Image.open(io.BytesIO(base64.b64decode(data)))
    assert head == f"data:image/{str(image.format).lower()};base64", head
    image.load()
    return image


_TINY: list[Path] = []


def tiny_checkpoint(folders: pytest.TempPathFactory) -> Path:
    """A random Qwen2.5-VL, written once for all test modules of a session."""
    if not _TINY:
        from cof_eval.engines.tiny_checkpoint import write_checkpoint

        _TINY.append(write_checkpoint(folders.mktemp("checkpoint") / "tiny-qwen2.5-vl"))
    return _TINY[0]


def image_pad(checkpoint: Path) -> int:
    """The id of a checkpoint's image token."""
    return int(json.loads((checkpoint / "config.json").read_text())["image_token_id"])
