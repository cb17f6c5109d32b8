"""What servers, proxies and worse can send instead of a reply: a table of modes, each with what must be said of it.

`FakeServer(mode=MODES["gzip bomb"])` acts so on every chat request, `models_mode` on the list of models.
"""

from __future__ import annotations

import gzip
import json
import socket
import struct
import threading
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

MILLION = 2**20


@dataclass(frozen=True, slots=True)
class Wire:
    """A connection that was asked something, and the body that a good server would send."""

    connection: socket.socket
    good: bytes
    stopping: threading.Event

    def send(self, data: bytes) -> None:
        """Bytes as they are."""
        self.connection.sendall(data)

    def reply(self, body: bytes, *headers: str, status: str = "200 OK", length: str | None = None) -> None:
        """A reply with a body; its length is right unless another is given ("" for none)."""
        told = str(len(body)) if length is None else length
        lines = ["content-type: application/json", *([f"content-length: {told}"] if told else []), *headers]
        self.send(f"HTTP/1.1 {status}\r\n{''.join(f'{line}{chr(13)}{chr(10)}' for line in lines)}\r\n".encode() + body)

    def changed(self, change: Callable[[dict[str, Any]], Any]) -> None:
        """A good reply, changed: by what the function gives, or in place if that is None."""
        body = json.loads(self.good)
        given = change(body)
        self.reply(json.dumps(body if given is None else given).encode())

    def chunked(self, *data: bytes) -> None:
        """The head of a reply in chunks, and then these bytes."""
        self.reply(b"".join(data), "transfer-encoding: chunked", length="")

    def forever(self, data: bytes, pause_s: float = 0.0) -> None:
        """The same bytes until the client goes."""
        while not self.stopping.wait(pause_s) if pause_s else not self.stopping.is_set():
            self.send(data)

    def reset(self) -> None:
        """Cut the connection the hard way."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()


@dataclass(frozen=True, slots=True)
class Mode:
    """A way to misbehave."""

    act: Callable[[Wire], object]
    says: str
    """What must be in the error."""
    kind: str = "broken reply"
    """How it is counted."""


def _head(wire: Wire, *data: bytes) -> None:
    wire.send(b"HTTP/1.1 200 OK\r\n" + b"".join(data))


def _then(*steps: Callable[[], object]) -> None:
    for step in steps:
        step()


@cache
def bomb(wbits: int) -> bytes:
    """Twice as many spaces as a body may be long, packed a thousandfold."""
    packer = zlib.compressobj(wbits=wbits)
    block = b" " * MILLION
    return b"".join(packer.compress(block) for _ in range(8)) + packer.flush()


def _set(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    """Change one value of a reply."""

    def change(body: dict[str, Any]) -> None:
        *names, last = path.split(".")
        held: Any = body
        for name in names:
            held = held[int(name) if name.isdecimal() else name]
        held[last] = value

    return change


def _changed(path: str, value: Any, says: str = "no chat completion") -> Mode:
    return Mode(lambda wire: wire.changed(_set(path, value)), says)


def _body(body: bytes, says: str = "no chat completion", *headers: str, status: str = "200 OK") -> Mode:
    return Mode(lambda wire: wire.reply(body, *headers, status=status), says)


def _raw(data: bytes, says: str = "is no HTTP reply") -> Mode:
    return Mode(lambda wire: wire.send(data), says)


def _redirect(status: str, location: str) -> Mode:
    mode = _body(b"", "redirects are not followed", f"location: {location}", status=status)
    return Mode(mode.act, mode.says, "server lost")


FRAMES: dict[str, Mode] = {
    "banner of ssh": _raw(b"SSH-2.0-OpenSSH_9.6\r\n"),
    "banner of a mail server": _raw(b"220 mail.example ESMTP\r\n"),
    "banner of redis": _raw(b"-ERR unknown command\r\n"),
    "a TLS alert": _raw(b"\x15\x03\x01\x00\x02\x02\x46", "with TLS its URL has https://"),
    "HTTP/2 frames": _raw(b"\x00\x00\x12\x04\x00\x00\x00\x00\x00" + bytes(18)),
    "HTTP/0.9": Mode(lambda wire: wire.send(wire.good), "is no HTTP reply"),
    "no bytes": _raw(b"", "closed the connection without a whole reply"),
    "line ends only": _raw(b"\r\n" * 10, "without a whole reply"),
    "half a status line": _raw(b"HTTP/1.", "without a whole reply"),
    "a status that is a word": _raw(b"HTTP/1.1 fine OK\r\n\r\n"),
    "a status of two digits": _raw(b"HTTP/1.1 20 OK\r\n\r\n"),
    "a version that is none": _raw(b"HTTP/x.y 200 OK\r\n\r\n"),
    "an endless status line": Mode(lambda wire: _then(lambda: wire.send(b"HTTP/1.1 200 "), lambda: wire.forever(b"a" * 999)), "is no HTTP reply"),
    "an endless header": Mode(lambda wire: _then(lambda: _head(wire, b"x: "), lambda: wire.forever(b"a" * 999)), "is no HTTP reply"),
    "endless headers": Mode(lambda wire: _then(lambda: _head(wire), lambda: wire.forever(b"x: y\r\n" * 99)), "is no HTTP reply"),
    "endless interim replies": Mode(lambda wire: wire.forever(b"HTTP/1.1 102 Wait\r\n\r\n" * 99), "more than 16 interim replies"),
    "a header without a colon": _raw(b"HTTP/1.1 200 OK\r\nhello\r\n\r\n"),
    "a header with a NUL": _raw(b"HTTP/1.1 200 OK\r\nx: a\x00b\r\n\r\n"),
    "half a header": _raw(b"HTTP/1.1 200 OK\r\ncontent-le", "without a whole reply"),
    "an upgrade": _raw(b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n", ""),
    "a chunk size that is a word": Mode(lambda wire: wire.chunked(b"many\r\n", wire.good, b"\r\n0\r\n\r\n"), "is no HTTP reply"),
    "a negative chunk size": Mode(lambda wire: wire.chunked(b"-5\r\n", wire.good, b"\r\n0\r\n\r\n"), "is no HTTP reply"),
    "a chunk size beyond any number": Mode(lambda wire: wire.chunked(b"F" * 17 + b"\r\n", wire.good), "is no HTTP reply"),
    "a chunk that is shorter than it says": Mode(lambda wire: wire.chunked(b"ffff\r\n", wire.good), "breaks off or is malformed"),
    "a chunk that is longer than it says": Mode(lambda wire: wire.chunked(b"5\r\n", wire.good, b"\r\n0\r\n\r\n"), ""),
    "chunks without an end": Mode(lambda wire: wire.chunked(b"%x\r\n" % len(wire.good), wire.good, b"\r\n"), "breaks off or is malformed"),
    "an endless chunk extension": Mode(lambda wire: _then(lambda: wire.chunked(b"5;x="), lambda: wire.forever(b"a" * 99_999)), ""),
    "endless trailers": Mode(lambda wire: _then(lambda: wire.chunked(b"0\r\n"), lambda: wire.forever(b"x: y\r\n" * 99)), ""),
    "a body that never ends": Mode(lambda wire: _then(lambda: wire.reply(b"", length=""), lambda: wire.forever(b" " * 99_999)), "longer than 4,194,304 bytes"),
    "chunks that never end": Mode(lambda wire: _then(lambda: wire.chunked(), lambda: wire.forever(b"1000\r\n" + b" " * 4096 + b"\r\n")), "longer than 4,194,304 bytes"),
    "a length that is too great": Mode(lambda wire: wire.reply(wire.good, length="999999"), "breaks off or is malformed"),
    "a length that is too small": Mode(lambda wire: wire.reply(wire.good, length="20"), ""),
    "a length that is a word": Mode(lambda wire: wire.reply(wire.good, length="long"), "is no HTTP reply"),
    "a negative length": Mode(lambda wire: wire.reply(wire.good, length="-1"), "is no HTTP reply"),
    "two lengths": Mode(lambda wire: wire.reply(wire.good, "content-length: 7"), "is no HTTP reply"),
    "half a body, then a reset": Mode(lambda wire: _then(lambda: wire.reply(wire.good[:40], length="999"), wire.reset), ""),
    "a reset at once": Mode(lambda wire: wire.reset(), ""),
    "silence": Mode(lambda wire: wire.stopping.wait(), "gave no whole reply within", "timeout"),
    "silence after the head": Mode(lambda wire: _then(lambda: wire.reply(b"", length="9"), wire.stopping.wait), "gave no whole reply within", "timeout"),
    "a body that drips": Mode(lambda wire: _then(lambda: wire.reply(b"", length=""), lambda: wire.forever(b" ", 0.02)), "gave no whole reply within", "timeout"),
    "interim replies that drip": Mode(lambda wire: wire.forever(b"HTTP/1.1 100 Continue\r\n\r\n", 0.1), "", "timeout"),
    "a bomb of gzip": Mode(lambda wire: wire.reply(bomb(31), "content-encoding: gzip"), "longer than 4,194,304 bytes"),
    "a bomb of deflate": Mode(lambda wire: wire.reply(bomb(15), "content-encoding: deflate"), "longer than 4,194,304 bytes"),
    "a bomb of raw deflate": Mode(lambda wire: wire.reply(bomb(-15), "content-encoding: deflate"), "longer than 4,194,304 bytes"),
    "a bomb within a bomb": Mode(lambda wire: wire.reply(gzip.compress(gzip.compress(wire.good)), "content-encoding: gzip, gzip"), "which was not asked for"),
    "a body packed with brotli": Mode(lambda wire: wire.reply(b"\x0b\x02\x80hello\x03", "content-encoding: br"), "which was not asked for"),
    "a body packed with zstd": Mode(lambda wire: wire.reply(b"\x28\xb5\x2f\xfd\x00", "content-encoding: zstd"), "which was not asked for"),
    "gzip that breaks off": Mode(lambda wire: wire.reply(gzip.compress(wire.good)[:-20], "content-encoding: gzip"), "breaks off"),
    "gzip that is none": Mode(lambda wire: wire.reply(wire.good, "content-encoding: gzip"), "not packed as it says"),
    "deflate that is none": Mode(lambda wire: wire.reply(wire.good, "content-encoding: deflate"), "not packed as it says"),
    "gzip that is not told": Mode(lambda wire: wire.reply(gzip.compress(wire.good)), "no chat completion"),
    "gzip with more behind": Mode(lambda wire: wire.reply(gzip.compress(wire.good) + b"more", "content-encoding: gzip"), "after its packed end"),
    "a redirect to another host": _redirect("302 Found", "https://elsewhere.example/v1?token=of-another"),
    "a redirect that keeps the method": _redirect("308 Permanent Redirect", "/v2/chat/completions"),
    "a redirect without a place": _redirect("301 Moved Permanently", ""),
    "a redirect to no URL": _redirect("307 Temporary Redirect", "http://[::1"),
    "not modified": _redirect("304 Not Modified", ""),
}  # fmt: skip
"""Below JSON: what a transport can do."""

BODIES: dict[str, Mode] = {
    "an empty body": _body(b""),
    "no content": _body(b"", status="204 No Content"),
    "a web page": _body(b"<html><title>Welcome</title></html>"),
    "an event stream": _body(b'data: {"choices": []}\n\ndata: [DONE]\n\n'),
    "half of JSON": Mode(lambda wire: wire.reply(wire.good[: len(wire.good) // 2]), "no chat completion"),
    "JSON and more": Mode(lambda wire: wire.reply(wire.good + b"{}"), "no chat completion"),
    "a list": Mode(lambda wire: wire.changed(lambda body: [body, body]), "no chat completion"),
    "a text": _body(b'"hello"'),
    "null": _body(b"null"),
    "a number": _body(b"42"),
    "arrays 1,000 levels deep": _body(b'{"choices": ' + b"[" * 1_000 + b"]" * 1_000 + b"}", "nested too deep"),
    "arrays 100,000 levels deep": _body(b"[" * 100_000, "nested too deep"),
    "a million empty objects": _body(b"[" + b"{}," * MILLION + b"0]", "more than 100,000 objects and lists"),
    "a million texts": _body(b"[" + b'"",' * MILLION + b"0]"),
    "objects 1,000 levels deep": _body(b'{"a":' * 1_000 + b"1" + b"}" * 1_000, "nested too deep"),
    "depth that other readers fail on": Mode(
        lambda wire: wire.reply(
            wire.good.replace(
                b'"content"',
                b'"tool_calls": [{"function": {"name": "f", "arguments": ' + b'{"a":' * 900 + b"1" + b"}" * 900 + b'}}], "content"',
            )
        ),
        "nested too deep",
    ),
    "depth in the content": Mode(lambda wire: wire.reply(wire.good.replace(b'"forty-two"', b"[" * 2_000 + b"]" * 2_000)), "nested too deep"),
    "bytes that are no UTF-8": Mode(lambda wire: wire.reply(wire.good.replace(b"forty", b"\xff\xfe\x80")), "no chat completion"),
    "UTF-16": Mode(lambda wire: wire.reply(wire.good.decode().encode("utf-16")), "no chat completion"),
    "NUL bytes": _body(bytes(100)),
    "half a character": Mode(lambda wire: wire.reply(wire.good.replace(b"forty", b"\\ud83d")), "no chat completion"),
    "a count that is NaN": _changed("usage.prompt_tokens", float("nan")),
    "a count that is infinite": _changed("usage.prompt_tokens", float("inf")),
    "a count of 10**30": _changed("usage.completion_tokens", 10**30),
    "a count of 10**400": _changed("usage.completion_tokens", 10**400),
    "a negative count": _changed("usage.prompt_tokens", -5),
    "a count that is a text": _changed("usage.prompt_tokens", "12"),
    "a count that is true": _changed("usage.prompt_tokens", True),
    "a count that is a list": _changed("usage.completion_tokens", [1]),
    "a negative count of cached tokens": _changed("usage.prompt_tokens_details", {"cached_tokens": -1}),
    "a usage that is a list": _changed("usage", [1, 2]),
    "no usage": _changed("usage", None),
    "no choice": _changed("choices", [], "it has no choice"),
    "choices that are null": _changed("choices", None),
    "choices that are an object": _changed("choices", {"0": {}}),
    "a thousand choices": Mode(lambda wire: wire.changed(lambda body: _set("choices", body["choices"] * 1_000)(body)), "it has 1000 choice"),
    "a choice that is null": _changed("choices", [None]),
    "a message that is null": _changed("choices.0.message", None),
    "a message that is a list": _changed("choices.0.message", []),
    "a finish reason that is a number": _changed("choices.0.finish_reason", 7),
    "a finish reason without end": _changed("choices.0.finish_reason", "x" * MILLION),
    "a model's name without end": _changed("model", "x" * MILLION),
    "a model that is a number": _changed("model", 7),
    "token ids that are texts": _changed("prompt_token_ids", ["a"]),
    "choices twice": Mode(lambda wire: wire.reply(wire.good[:-1] + b', "choices": []}'), "'choices' twice"),
    "a count twice": Mode(lambda wire: wire.reply(wire.good.replace(b'"prompt_tokens"', b'"prompt_tokens": 1, "prompt_tokens"')), "'prompt_tokens' twice"),
}  # fmt: skip
"""JSON, or what stands in its place."""

MODELS: dict[str, Mode] = {
    name: Mode(lambda wire, body=body: wire.reply(body), "no list of models")  # type: ignore[misc]
    for name, body in {
        "a context that is a text": b'{"data": [{"id": "served", "max_model_len": "abc"}]}',
        "a negative context": b'{"data": [{"id": "served", "max_model_len": -1}]}',
        "a context of 10**30": b'{"data": [{"id": "served", "max_model_len": 1' + b"0" * 30 + b"}]}",
        "a model with id null": b'{"data": [{"id": null}]}',
        "a model without an id": b'{"data": [{"object": "model"}]}',
        "a model with an empty id": b'{"data": [{"id": ""}]}',
        "a model that is null": b'{"data": [null]}',
        "a root that is a number": b'{"data": [{"id": "served", "root": 5}]}',
        "an owner that is a list": b'{"data": [{"id": "served", "owned_by": []}]}',
        "data that is null": b'{"data": null}',
        "data that is a text": b'{"data": "served"}',
        "data twice": b'{"data": [{"id": "served"}], "data": []}',
        "no data": b'{"object": "list"}',
        "models 1,000 levels deep": b'{"data": ' + b"[" * 1_000 + b"]" * 1_000 + b"}",
        "a web page for a list": b"<html><body>It works!</body></html>",
    }.items()
}
"""Lists of models that are none."""

MODES = FRAMES | BODIES
"""What a chat request may meet."""
