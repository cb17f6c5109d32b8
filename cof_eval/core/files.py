"""Files that are written whole or not at all, and folders that this project writes and knows again by a stamp."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import secrets
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from .errors import UsageError

STAMP = ".demo.json"
"""Says, inside each written folder, what it was written with."""


@contextlib.contextmanager
def whole_file(path: Path, *, sync: bool = False) -> Iterator[BinaryIO]:
    """A file to write to, which appears under its name only once all of it is written; until then nothing changes.

    A link at `path` is replaced, never written through. The unfinished file lies next to it under a name that nobody can guess,
    and is opened only if it is new.

    Args:
        path: where to; its folder is made if needed.
        sync: wait until the file survives a power loss.

    Raises:
        OSError: if it cannot be written; nothing is left behind then.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{secrets.token_hex(8)}.tmp")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            if sync:
                os.fsync(file.fileno())
        unfinished.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            unfinished.unlink(missing_ok=True)
        raise
    if sync:
        sync_folder(path.parent)


def write_whole(path: Path, data: bytes, *, sync: bool = False) -> None:
    """Write a file whole or not at all; see `whole_file`."""
    with whole_file(path, sync=sync) as file:
        file.write(data)


def read_regular(path: Path, *, max_bytes: int) -> bytes:
    """The bytes of a regular file. Never waits for a pipe, and never reads a device.

    Raises:
        OSError: if it cannot be read, is no regular file, or is larger; `strerror` says which.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # without O_NONBLOCK a pipe waits for its writer
    except ValueError as error:  # a NUL or half a surrogate pair
        raise OSError(errno.EINVAL, "no file can have this name") from error
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "it is a folder, pipe or device, no regular file")
        if found.st_size > max_bytes:
            raise OSError(errno.EFBIG, f"it has {found.st_size:,} bytes; at most {max_bytes:,} are read")
        return file.read(max_bytes)


def sync_folder(folder: Path) -> None:
    """Make a new or renamed file's name survive a power loss."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def write_part(target: Path, made_with: dict[str, object], write: Callable[[Path], Path]) -> str:
    """Writes one folder unless it is there with the same parameters; returns a line that says which.

    The folder appears under its name only once it is complete. One written with other parameters is replaced.

    Raises:
        UsageError: if something else has that name already.
    """
    stamp, expected = target / STAMP, json.dumps(made_with)
    if target.exists() and not stamp.is_file():
        raise UsageError(f"{target} exists and was not written by this command; choose another folder or remove it")
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == expected:
        return f"{target}: up to date"
    unfinished = target.with_name(f".{target.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    write(unfinished)
    (unfinished / STAMP).write_text(expected, encoding="utf-8")
    shutil.rmtree(target, ignore_errors=True)
    unfinished.rename(target)
    return f"{target}: written"
