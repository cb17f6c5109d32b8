"""In which format images travel to a server: by where it is, and otherwise where it refuses that.

A PNG of a photograph costs more CPU time than decoding and resizing it, here and again at the server. A BMP is as lossless, costs a
tenth, and is two to five times as large: right on this machine and on a private network. vLLM and SGLang read it (Pillow), llama.cpp
too (stb_image); TIFF would be no cheaper, and only Pillow reads it.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import urlsplit

_RESOLVE_S = 5.0
_BLAMED = re.compile(
    r"\bbmp\b|unknown format|cannot identify|"
    r"(unsupported|invalid|unrecogni[sz]ed|load|decode|process|parse)\w*\W+(an? |the )?(image|media|mime)|"
    r"(image|media|mime)\b.{0,40}\b(format|type|decod|unsupported|invalid|corrupt)",
    re.IGNORECASE | re.DOTALL,
)
_TOO_LARGE = 413


class ImageFormat(StrEnum):
    """How images travel."""

    AUTO = "auto"
    """BMP to servers on this machine and on private networks, PNG elsewhere and where a server refuses BMP."""
    BMP = "bmp"
    """Every pixel as shown, not compressed."""
    PNG = "png"
    """Every pixel as shown, compressed lightly."""
    JPEG = "jpeg"
    """A quarter of a PNG's bytes, but other pixels: quality 95, recorded in run.yaml."""


@dataclass(eq=False)
class ImageChoice:
    """The format for one server, and what is known of it."""

    format: ImageFormat = ImageFormat.PNG
    may_change: bool = False
    """Whether PNG may take its place."""
    taken: bool = False
    """Whether the server took an image in it."""
    tried: bool = False
    """Whether a refused request was refused as PNG as well: only a refusal that names the format counts then."""
    refused: str = ""
    """The server's words when it refused another format."""

    def suspects(self, status: int, says: str) -> bool:
        """Whether a refusal may be about the format."""
        if not self.may_change or self.format is ImageFormat.PNG:
            return False
        return self.blames(status, says) or (status < 500 and not self.taken and not self.tried)

    def blames(self, status: int, says: str) -> bool:
        """Whether a refusal names the format, or the size that comes with it."""
        return self.may_change and (status == _TOO_LARGE or _BLAMED.search(says) is not None)

    def fall_back(self, says: str) -> None:
        """PNG from now on."""
        self.format, self.refused, self.taken = ImageFormat.PNG, says, False

    def recant(self) -> None:
        """PNG is refused as well, so the format is not at fault."""
        if not self.taken:
            self.format, self.refused, self.tried = ImageFormat.BMP, "", True

    def told(self) -> str:
        """What the run records; empty before any image was taken."""
        if not self.taken:
            return ""
        return f"{self.format.value} (bmp was refused: {self.refused})" if self.refused else self.format.value


async def choose_format(url: str, wanted: ImageFormat, *, proxied: bool) -> ImageChoice:
    """The format in which images begin to travel to a server.

    Args:
        url: the server's.
        wanted: as the user has it.
        proxied: whether requests go through a proxy, wherever that sends them.
    """
    if wanted is not ImageFormat.AUTO:
        return ImageChoice(wanted)
    near = not proxied and await is_near(urlsplit(url).hostname or "")
    return ImageChoice(ImageFormat.BMP, may_change=True) if near else ImageChoice(ImageFormat.PNG)


async def is_near(host: str) -> bool:
    """Whether a host is this machine, or all its addresses are on private networks."""
    try:
        addresses = [ipaddress.ip_address(host)]
    except ValueError:
        addresses = await _addresses(host)
    return bool(addresses) and all(one.is_loopback or one.is_private for one in addresses)


async def _addresses(host: str) -> list[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    """The addresses of a name; none if it has none, or nobody tells in time."""
    try:
        async with asyncio.timeout(_RESOLVE_S):
            found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
        return [ipaddress.ip_address(str(address[0]).partition("%")[0]) for *_, address in found]
    except (OSError, ValueError, UnicodeError):  # a TimeoutError is an OSError
        return []
