"""Appends numbered verdicts to a journal, saying each number once `append` has returned; see `until_killed`."""

from __future__ import annotations

import os
from itertools import count
from pathlib import Path

from until_killed import Say, serve

from cof_eval.core.journal import Journal, read_journal
from cof_eval.core.records import Outcome, Verdict


class SmallPieces:
    """A disk that takes a few bytes at a time, so that a kill often falls into the middle of a line."""

    def write(self, fd: int, data: bytes, /) -> int:
        return os.write(fd, data[:8])

    def fsync(self, fd: int, /) -> None:
        os.fsync(fd)

    def ftruncate(self, fd: int, length: int, /) -> None:
        os.ftruncate(fd, length)


def append(path: str, say: Say) -> None:
    """Go on where the journal ends."""
    with Journal(Path(path), Verdict, disk=SmallPieces()) as journal:
        start = sum(1 for _ in read_journal(Path(path), Verdict))
        for number in count(start):
            journal.append(Verdict(str(number), "card", "", Outcome.WRONG, "rule:x", raw="äöü€ " * 400))
            say(number)


if __name__ == "__main__":
    serve(append)
