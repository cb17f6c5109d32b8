"""The log of a run: what libraries and engine processes write goes into a file, and the terminal stays ours.

File descriptors 1 and 2 are replaced, not only Python's streams: engines write from C++ and from processes of their own. They lead into a
pipe that a thread reads. So a full disk never makes another program's write fail, a bar that is redrawn is one line, and the file has
an upper size.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import sys
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TextIO

from ..core.text import log_line, say

TAIL = 200
"""Lines that are kept in memory, and at the end of a log that has reached its size."""
_LIMIT_BYTES = 8 * 2**20
"""Of one session's log."""
_LINE_BYTES = 16_384
"""Longest line; a longer one is cut."""
_PIPE_BYTES = 2**20
"""A library that writes without Python's lock released must not wait for the thread, which needs it."""
_F_SETPIPE_SZ = 1031
"""Linux's `fcntl` command."""


class LogCapture:
    """Takes all that this process and its children write to standard output and standard error, while it is entered.

    `out` and `err` still lead to where both went before.
    """

    out: TextIO
    err: TextIO

    def __init__(self, *, echo: bool = False, limit_bytes: int = _LIMIT_BYTES) -> None:
        """Nothing is taken before it is entered.

        Args:
            echo: also write every line to `err`.
            limit_bytes: of the file; of what follows, only the last `TAIL` lines are written.
        """
        self._echo = echo
        self._log = _Log(limit_bytes)
        self._marked = 0

    def __enter__(self) -> LogCapture:
        _flush()
        _open_closed()
        self._before = os.dup(1), os.dup(2)
        self.out, self.err = (_stream(fd, like) for fd, like in zip(self._before, (sys.stdout, sys.stderr), strict=True))
        source, write = os.pipe()
        _widen(write)
        for fd in (1, 2):
            os.dup2(write, fd)
        os.close(write)
        end, self._end = os.pipe()
        self._reader = threading.Thread(target=self._read, args=(source, end), name="log", daemon=True)
        self._reader.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        _flush()
        for fd, original in zip(self._before, (1, 2), strict=True):
            os.dup2(fd, original)
        os.close(self._end)
        self._reader.join()
        self._log.close()
        for stream in (self.out, self.err):
            with contextlib.suppress(OSError):
                stream.close()

    @property
    def path(self) -> Path | None:
        """The file, once there is one."""
        return self._log.path

    def write_to(self, path: Path, heading: str) -> None:
        """Write the log to this file from now on, after what was taken already; a file that is there grows."""
        self._log.open(path, heading)

    def mark(self) -> None:
        """Say that a new step begins: `tail` tells only of it."""
        _flush()
        self._marked = self._log.count

    def tail(self, lines: int = 15) -> list[str]:
        """The last lines of the step; all of them are there once the capture has ended."""
        return self._log.last(min(lines, self._log.count - self._marked))

    def _read(self, source: int, end: int) -> None:
        """Read until the capture ends, and then what the pipe still holds; children may keep it open for longer."""
        lines, ended, left = _Lines(self._take), False, _PIPE_BYTES
        with selectors.DefaultSelector() as waiting:
            waiting.register(source, selectors.EVENT_READ)
            waiting.register(end, selectors.EVENT_READ)
            while left > 0:
                ready = {key.fd for key, _ in waiting.select(0 if ended else None)}
                data = os.read(source, 65_536) if source in ready else b""
                lines.feed(data)
                if ended and not data:
                    break
                left -= len(data) if ended else 0
                ended = ended or end in ready
        lines.end()
        os.close(source)
        os.close(end)

    def _take(self, line: str) -> None:
        self._log.add(line)
        if self._echo:
            with contextlib.suppress(OSError, ValueError):
                say(line, to=self.err)


class _Lines:
    """Bytes to lines. Of a line that was redrawn with carriage returns, only the last state counts."""

    def __init__(self, take: Callable[[str], None]) -> None:
        self._take, self._open = take, b""

    def feed(self, data: bytes) -> None:
        *whole, rest = (self._open + data).split(b"\n")
        for line in whole:
            self._emit(line)
        self._open = rest[max(0, rest.rfind(b"\r", 0, len(rest) - 1)) :]
        if len(self._open) > _LINE_BYTES:
            self.end()

    def end(self) -> None:
        """Write the last line, even without an end of line."""
        if self._open.strip():
            self._emit(self._open)
        self._open = b""

    def _emit(self, line: bytes) -> None:
        self._take(log_line(line.rstrip(b"\r").rpartition(b"\r")[2].decode("utf-8", errors="replace")))


class _Log:
    """Lines in memory, and in a file of bounded size once it is known where; a file that cannot be written is given up."""

    def __init__(self, limit_bytes: int) -> None:
        self.count = 0
        self.path: Path | None = None
        self._last: deque[str] = deque(maxlen=TAIL)
        self._left, self._skipped = limit_bytes, 0
        self._fd: int | None = None
        self._lock = threading.Lock()

    def open(self, path: Path, heading: str) -> None:
        with self._lock, contextlib.suppress(OSError):
            self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
            self.path = path
            self._write([heading, *self._last])

    def add(self, line: str) -> None:
        with self._lock:
            self.count += 1
            self._last.append(line)
            if self._left > 0:
                self._write([line])
            else:
                self._skipped += 1

    def last(self, lines: int) -> list[str]:
        with self._lock:
            return list(self._last)[-lines:] if lines > 0 else []

    def close(self) -> None:
        with self._lock:
            if self._skipped > TAIL:
                self._write([f"… {self._skipped - TAIL:,} lines are not kept: this log has reached its size …"])
            self._write(list(self._last)[-self._skipped :] if self._skipped else [])
            if self._fd is not None:
                os.close(self._fd)
                self._fd = None

    def _write(self, lines: list[str]) -> None:
        if self._fd is None or not lines:
            return
        data = "".join(f"{line}\n" for line in lines).encode("utf-8", errors="replace")
        self._left -= len(data)
        try:
            os.write(self._fd, data)
        except OSError:  # a full disk: the run itself says so when it writes its results
            os.close(self._fd)
            self._fd = None


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()


def _open_closed() -> None:
    """Open what a service manager has closed: else the next pipe would get the number of standard output."""
    for fd in (0, 1, 2):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number


def _stream(fd: int, like: TextIO) -> TextIO:
    """Text to a descriptor, written line by line; a character that its encoding lacks is replaced."""
    return os.fdopen(fd, "w", buffering=1, encoding=getattr(like, "encoding", None) or "utf-8", errors="replace")


def _widen(pipe: int) -> None:
    """Give a pipe room for a burst, where the system can."""
    with contextlib.suppress(ImportError, OSError):
        import fcntl

        fcntl.fcntl(pipe, _F_SETPIPE_SZ, _PIPE_BYTES)
