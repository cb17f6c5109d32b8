"""What can go wrong with one attempt to ask a server, in words: each failure of the HTTP client becomes a `FaultError`.

The client's own errors, and whatever breaks inside it while it reads what a server sent, end here.
"""

from __future__ import annotations

import errno
import os
import ssl
from collections.abc import Iterator
from enum import StrEnum

from ..core.errors import ServerError, flat_message

_SAID_CHARS = 300


class Fault(StrEnum):
    """Kinds of failed attempts, as they are counted."""

    NO_CONNECTION = "no connection"
    TIMEOUT = "timeout"
    BROKEN = "broken reply"
    """What came is no HTTP, breaks off, is too large, or cannot be read."""
    REDIRECT = "redirect"
    STATUS = "status"
    """An HTTP error status, or an error inside a reply with status 200."""
    FILES = "too many open files"
    """This machine's own limit."""


class FaultError(ServerError):
    """One attempt to ask a server failed."""

    def __init__(self, fault: Fault, says: str) -> None:
        super().__init__(says[:_SAID_CHARS])
        self.fault = fault


class StatusError(FaultError):
    """The server answered with an error."""

    def __init__(self, status: int, says: str, *, wait_s: float = 0.0, code: str = "") -> None:
        super().__init__(Fault.STATUS, says)
        self.status = status
        self.wait_s = wait_s
        """Seconds that it asks to wait; 0 if it does not say."""
        self.code = code
        """Its own name of the error, where it has one."""


def fault_of(error: Exception, host: str) -> FaultError:
    """The fault behind an error of the HTTP client.

    Args:
        error: what the client raised.
        host: the server's, for messages.
    """
    import aiohttp

    numbers = {cause.errno for cause in _causes(error) if isinstance(cause, OSError)}
    if numbers & {errno.EMFILE, errno.ENFILE}:
        return FaultError(Fault.FILES, "Too many open files: raise the limit with `ulimit -n 65536`, or lower --concurrency")
    match error:
        case aiohttp.ClientConnectorDNSError():
            return FaultError(Fault.NO_CONNECTION, f"the host name {host!r} is not known ({_system(error)}); check the URL")
        case aiohttp.ClientConnectorCertificateError():
            return FaultError(
                Fault.NO_CONNECTION,
                f"its certificate is not trusted ({_certificate(error)}); "
                "name a file with its authority's certificate in SSL_CERT_FILE",
            )
        case aiohttp.ClientSSLError():
            return FaultError(Fault.NO_CONNECTION, f"TLS fails ({_system(error)}); a server without TLS has a URL with http://")
        case aiohttp.ClientHttpProxyError():
            return FaultError(Fault.NO_CONNECTION, f"the proxy refuses the connection with status {error.status}")
        case aiohttp.ClientConnectorError() | aiohttp.ConnectionTimeoutError():
            return FaultError(Fault.NO_CONNECTION, _system(error))
        case aiohttp.ServerDisconnectedError():
            return FaultError(Fault.BROKEN, "it closed the connection without a whole reply")
        case aiohttp.ClientResponseError() | aiohttp.http.HttpProcessingError():
            return FaultError(Fault.BROKEN, f"what it sent is no HTTP reply ({_message(error)}); with TLS its URL has https://")
        case aiohttp.ClientPayloadError():
            return FaultError(Fault.BROKEN, f"the body of its reply breaks off or is malformed ({_system(error)})")
    return FaultError(Fault.BROKEN, _system(error))


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or getattr(cause, "os_error", None)


def _system(error: BaseException) -> str:
    """An error's message on one line; the system's own where it has one."""
    if type(error).__name__ == "ConnectionTimeoutError":
        return os.strerror(errno.ETIMEDOUT)
    for cause in _causes(error):
        if isinstance(cause, OSError) and cause.errno and cause.strerror and not isinstance(cause, ssl.SSLError):
            return os.strerror(cause.errno) if cause.errno > 0 else cause.strerror
    return flat_message(error)


def _certificate(error: BaseException) -> str:
    cause = getattr(error, "certificate_error", error)
    return str(getattr(cause, "verify_message", "")) or flat_message(cause)


def _message(error: BaseException) -> str:
    """The first line of what the parser says; further lines point into what was sent."""
    said = str(getattr(error, "message", "") or error)
    return (said.strip().splitlines() or [type(error).__name__])[0].rstrip(": ")
