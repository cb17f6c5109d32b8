"""An append-only file of JSON records that survives a crash at any moment.

A record is on disk (fsync) when `append` returns. A line torn by a crash is completed or dropped when the journal is
opened again; the work it stood for is done again, never guessed.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Generic, Protocol

from .errors import RunError, system_says
from .files import sync_folder
from .records import Record, from_json, to_json


class Disk(Protocol):
    """The system calls that change a journal's bytes. The real one is `os`; a test hands in one that fails."""

    def write(self, fd: int, data: bytes, /) -> int:
        """Write some of the data; returns how many bytes."""
        ...

    def fsync(self, fd: int, /) -> None:
        """Wait until what was written survives a power loss."""
        ...

    def ftruncate(self, fd: int, length: int, /) -> None:
        """Cut the file to this length."""
        ...


class Journal(Generic[Record]):
    """One JSONL file of one kind of record. Appending is thread-safe."""

    def __init__(self, path: Path, kind: type[Record], *, disk: Disk = os) -> None:
        """Open or create a journal, and mend the end that a crash may have left.

        Raises:
            RunError: if the file cannot be opened or mended.
        """
        self.path = path
        self._kind = kind
        self._disk = disk
        self._lock = threading.Lock()
        self._fd = -1
        self._ended = f"{path} is closed"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
            sync_folder(path.parent)
            self._mend_tail()
        except OSError as error:
            self.close()
            raise RunError(
                f"cannot open {path}: {system_says(error, 'free space, or choose a folder that can be written with --out')}"
            ) from error

    def append(self, *records: Record) -> None:
        """Write records and wait until they are on disk.

        Raises:
            RunError: if the disk is full or the file cannot be written; the journal then ends with its last whole record,
                and takes no more.
            ValueError: if a record could not be read back (a NaN, for one); nothing is written then.
        """
        lines = b"".join(self._line(record) for record in records)
        with self._lock:
            if self._fd < 0:
                raise RunError(self._ended)
            end = os.lseek(self._fd, 0, os.SEEK_END)
            try:
                self._write(lines)
                self._disk.fsync(self._fd)
            except OSError as error:
                cure = "free space (or mend the disk)"
                self._ended = (
                    f"cannot write {self.path}: {system_says(error, cure)} and run the same command again, "
                    "nothing that was finished is lost"
                )
                self._give_up(end)
                raise RunError(self._ended) from error
            except BaseException:  # Ctrl-C, for one: nothing may ever follow half a line
                self._give_up(end)
                raise

    def _line(self, record: Record) -> bytes:
        """A record's line; one that later sessions could not read would make the whole journal unreadable."""
        line = to_json(record)
        from_json(line, self._kind)
        return line + b"\n"

    def _write(self, data: bytes) -> None:
        while data:
            data = data[self._disk.write(self._fd, data) :]

    def _give_up(self, end: int) -> None:
        """Take a half-written line back and close; if even that fails, opening the journal again mends it."""
        with contextlib.suppress(OSError):
            self._disk.ftruncate(self._fd, end)
        self._close()

    def _mend_tail(self) -> None:
        """Complete a last line that only lacks its line break; drop one that is torn."""
        size = os.fstat(self._fd).st_size
        if size == 0 or os.pread(self._fd, 1, size - 1) == b"\n":
            return
        tail = _last_line(self._fd, size)
        if _readable(tail, self._kind):
            self._write(b"\n")
        else:
            self._disk.ftruncate(self._fd, size - len(tail))
        self._disk.fsync(self._fd)

    def close(self) -> None:
        """Close the file, after an append that is under way."""
        with self._lock:
            self._close()

    def _close(self) -> None:
        fd, self._fd = self._fd, -1
        with contextlib.suppress(OSError):
            if fd >= 0:
                os.close(fd)

    def __enter__(self) -> Journal[Record]:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def read_journal(path: Path, kind: type[Record]) -> Iterator[Record]:
    """The whole records of a journal, in the order written; a torn last line is excluded, a missing file is empty.

    Raises:
        RunError: if the file cannot be read, or a line before the last is damaged, naming it.
    """
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if not line.endswith(b"\n"):
                    return
                yield _record(path, number, line, kind)
    except FileNotFoundError:
        return
    except OSError as error:
        raise RunError(
            f"cannot read {path}: {system_says(error, 'expected a file of JSON lines: check its permissions')}"
        ) from error


def _record(path: Path, number: int, line: bytes, kind: type[Record]) -> Record:
    try:
        return from_json(line, kind)
    except ValueError as error:
        raise RunError(
            f"{path}, line {number} is damaged ({str(error)[:120]}); remove that line, and its work is done again on the next run"
        ) from error


def _readable(line: bytes, kind: type[Record]) -> bool:
    try:
        from_json(line, kind)
    except ValueError:
        return False
    return True


def _last_line(fd: int, size: int, block: int = 1 << 16) -> bytes:
    tail, position = b"", size
    while position > 0 and b"\n" not in tail:
        step = min(block, position)
        position -= step
        tail = os.pread(fd, step, position) + tail
    return tail.rpartition(b"\n")[2]
