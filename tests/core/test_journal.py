"""A journal keeps what it acknowledged: through crashes, full and failing disks, torn lines and kills."""

from __future__ import annotations

import errno
import os
import random
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest
from fakes import FaultyDisk, Killer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cof_eval.core.errors import RunError
from cof_eval.core.journal import Journal, read_journal
from cof_eval.core.records import ImageRef, Outcome, Verdict, to_json


def record(number: int, raw: str = "äöü€ \U0001f600 {}\"'\\\n") -> Verdict:
    return Verdict(str(number), "card", "", Outcome.WRONG, "rule:x", raw=raw)


def lines(records: Sequence[Verdict]) -> bytes:
    return b"".join(to_json(r) + b"\n" for r in records)


def numbers(path: Path) -> list[int]:
    return [int(r.key) for r in read_journal(path, Verdict)]


EARLIER = [record(0), record(1)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "verdicts.jsonl"


def test_a_record_is_in_the_file_and_synced_when_append_returns(path: Path) -> None:
    disk = FaultyDisk(piece=50)
    journal = Journal(path, Verdict, disk=disk)
    for count in (1, 2):
        disk.calls.clear()
        journal.append(record(count))
        assert disk.calls[-1] == "fsync"
        assert disk.calls.count("fsync") == 1
        assert path.read_bytes() == lines([record(n) for n in range(1, count + 1)])


def test_several_records_are_appended_in_order_with_one_sync(path: Path) -> None:
    disk = FaultyDisk()
    with Journal(path, Verdict, disk=disk) as journal:
        journal.append(*map(record, range(5)))
    assert numbers(path) == [0, 1, 2, 3, 4]
    assert disk.calls == ["write", "fsync"]


def test_a_journal_goes_on_where_it_ended(path: Path) -> None:
    for number in range(3):
        with Journal(path, Verdict) as journal:
            journal.append(record(number))
    assert numbers(path) == [0, 1, 2]


def test_a_missing_journal_is_empty_and_a_missing_folder_is_made(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "x.jsonl"
    assert list(read_journal(path, Verdict)) == []
    with Journal(path, Verdict) as journal:
        journal.append(record(0))
    assert numbers(path) == [0]


def test_appends_of_many_threads_do_not_mix(path: Path) -> None:
    with Journal(path, Verdict, disk=FaultyDisk(piece=16)) as journal:
        threads = [
            threading.Thread(target=lambda k=k: [journal.append(record(20 * k + i)) for i in range(20)])  # type: ignore[misc]
            for k in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(numbers(path)) == list(range(160))


def test_a_closed_journal_takes_nothing_and_says_so(path: Path) -> None:
    journal = Journal(path, Verdict)
    journal.close()
    journal.close()
    with pytest.raises(RunError, match=r"verdicts\.jsonl is closed"):
        journal.append(record(0))


def test_a_record_that_could_not_be_read_back_is_refused_before_anything_is_written(path: Path) -> None:
    with Journal(path, Verdict) as journal:
        journal.append(record(0))
        nan = Verdict("1", "card", "", Outcome.WRONG, "rule:x", judge_s=float("nan"))
        with pytest.raises(ValueError, match="judge_s"):
            journal.append(record(1), nan)
        journal.append(record(2))
    assert numbers(path) == [0, 2]


@pytest.mark.slow
class TestTornLine:
    @pytest.mark.parametrize("last", [record(2), record(2, ""), record(2, "\U0001f600" * 40), record(2, "}" * 60)])
    def test_cut_anywhere_it_is_dropped_or_completed_and_nothing_before_it_is_touched(self, path: Path, last: Verdict) -> None:
        head, tail = lines(EARLIER), lines([last])
        for cut in range(len(tail) + 1):
            path.write_bytes(head + tail[:cut])
            assert numbers(path) == ([0, 1, 2] if cut == len(tail) else [0, 1])
            with Journal(path, Verdict) as journal:
                whole = cut >= len(tail) - 1
                assert path.read_bytes() == (head + tail if whole else head)
                journal.append(record(3))
            assert numbers(path) == ([0, 1, 2, 3] if whole else [0, 1, 3])

    @pytest.mark.parametrize("length", [65_535, 65_536, 65_537, 200_000])
    @pytest.mark.parametrize("head", [[], EARLIER])
    def test_a_long_one_is_found_from_its_beginning(self, path: Path, length: int, head: list[Verdict]) -> None:
        path.write_bytes(lines(head) + lines([record(2, "x" * length)])[:length])
        Journal(path, Verdict).close()
        assert path.read_bytes() == lines(head)

    @given(tail=st.binary(max_size=80).filter(lambda b: b"\n" not in b))
    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_of_any_bytes_is_dropped(self, path: Path, tail: bytes) -> None:
        path.write_bytes(lines(EARLIER) + tail)
        Journal(path, Verdict).close()
        assert path.read_bytes() == lines(EARLIER)

    def test_of_another_kind_of_record_is_dropped(self, path: Path) -> None:
        path.write_bytes(lines(EARLIER) + to_json(ImageRef("a", (1, 1))))
        Journal(path, Verdict).close()
        assert path.read_bytes() == lines(EARLIER)

    def test_is_left_alone_by_reading(self, path: Path) -> None:
        path.write_bytes(lines(EARLIER) + b'{"key"')
        assert numbers(path) == [0, 1]
        assert path.read_bytes().endswith(b'{"key"')


@pytest.mark.parametrize(
    "damage", [b"\n", b"{}\n", b"\0\0\0\n", b'{"key": "2", \n', lines([record(2)])[:-1] * 2 + b"\n", b"\xff\xfe\n"]
)
@pytest.mark.parametrize("line", [1, 2, 3])
def test_a_damaged_line_is_an_error_that_names_file_and_line_and_changes_nothing(path: Path, damage: bytes, line: int) -> None:
    before, after = EARLIER[: line - 1], EARLIER[line - 1 :]
    path.write_bytes(lines(before) + damage + lines(after))
    Journal(path, Verdict).close()
    read = []
    with pytest.raises(RunError, match=rf"verdicts\.jsonl, line {line} is damaged .*remove that line"):
        read.extend(read_journal(path, Verdict))
    assert path.read_bytes() == lines(before) + damage + lines(after)


@pytest.mark.parametrize("make", [Path.mkdir, lambda p: p.symlink_to(p)], ids=["a folder", "a link to itself"])
def test_a_file_that_cannot_be_opened_or_read_is_an_error_that_names_it(path: Path, make) -> None:  # type: ignore[no-untyped-def]
    make(path)
    with pytest.raises(RunError, match=r"cannot open .*verdicts\.jsonl"):
        Journal(path, Verdict)
    with pytest.raises(RunError, match=r"cannot read .*verdicts\.jsonl"):
        list(read_journal(path, Verdict))


START = {
    "nothing": (b"", []),
    "whole lines": (lines(EARLIER), [0, 1]),
    "a torn line": (lines([*EARLIER, record(9)])[:-30], [0, 1]),
    "a line without its end": (lines(EARLIER)[:-1], [0, 1]),
}


def append_until_it_fails(path: Path, disk: FaultyDisk) -> tuple[list[int], BaseException | None]:
    """The numbers acknowledged, and what ended it."""
    acknowledged: list[int] = []
    try:
        with Journal(path, Verdict, disk=disk) as journal:
            for number in (10, 11, 12):
                journal.append(record(number))
                acknowledged.append(number)
    except (RunError, KeyboardInterrupt) as error:
        return acknowledged, error
    return acknowledged, None


class TestFailingDisk:
    """A failure injected at every single write, fsync and ftruncate."""

    @pytest.mark.parametrize("start", START)
    @pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
    @pytest.mark.parametrize("for_good", [False, True], ids=["once", "for good"])
    @pytest.mark.parametrize("piece", [None, 11], ids=["whole writes", "short writes"])
    def test_loses_nothing_acknowledged_and_repeats_nothing(
        self, path: Path, start: str, number: int, for_good: bool, piece: int | None
    ) -> None:
        content, earlier = START[start]
        path.write_bytes(content)
        untroubled = FaultyDisk(piece=piece)
        assert append_until_it_fails(path, untroubled) == ([10, 11, 12], None)
        for fail_at in range(len(untroubled.calls)):
            path.write_bytes(content)
            disk = FaultyDisk(fail_at=fail_at, error=OSError(number, os.strerror(number)), for_good=for_good, piece=piece)
            acknowledged, error = append_until_it_fails(path, disk)
            assert isinstance(error, RunError)
            assert os.strerror(number) in str(error)
            if acknowledged and not for_good:
                assert path.read_bytes() == lines([*EARLIER[: len(earlier)], *map(record, acknowledged)])
            with Journal(path, Verdict) as journal:  # the disk is mended
                found = numbers(path)
                assert path.read_bytes() == lines([*EARLIER[: len(earlier)], *map(record, found[len(earlier) :])])
                assert found in ([*earlier, *acknowledged], [*earlier, *acknowledged, 10 + len(acknowledged)])
                journal.append(record(20))
            assert numbers(path) == [*found, 20]

    @pytest.mark.parametrize("piece", [None, 11], ids=["whole writes", "short writes"])
    def test_interrupted_anywhere_by_ctrl_c_no_line_follows_half_a_line(self, path: Path, piece: int | None) -> None:
        untroubled = FaultyDisk(piece=piece)
        append_until_it_fails(path, untroubled)
        for fail_at in range(len(untroubled.calls)):
            path.unlink()
            acknowledged, error = append_until_it_fails(
                path, FaultyDisk(fail_at=fail_at, error=KeyboardInterrupt(), piece=piece)
            )
            assert isinstance(error, KeyboardInterrupt)
            assert path.read_bytes() == lines([*map(record, acknowledged)])

    def test_takes_no_more_and_keeps_saying_why(self, path: Path) -> None:
        journal = Journal(path, Verdict, disk=FaultyDisk(fail_at=2))
        journal.append(record(0))
        for _ in range(3):
            with pytest.raises(RunError, match=r"cannot write .*verdicts\.jsonl: No space left on device; free space"):
                journal.append(record(1))
        assert numbers(path) == [0]


@pytest.mark.slow
def test_sigkill_at_any_moment_loses_nothing_acknowledged_and_repeats_nothing(tmp_path: Path) -> None:
    chance = random.Random(0)
    torn = 0
    with Killer("append_until_killed.py") as killer:
        for path in (tmp_path / str(i) for i in range(20)):
            kept = 0
            for _ in range(25):
                after_us = int(10 ** chance.uniform(1, 3.7))
                said, killed = killer.round(path, after_words=chance.randrange(3), after_us=after_us)
                assert killed
                assert [int(word) for word in said] == list(range(kept, kept + len(said)))
                torn += path.exists() and not path.read_bytes().endswith(b"\n") and path.stat().st_size > 0
                Journal(path, Verdict).close()
                found = numbers(path)
                assert found == list(range(len(found)))
                assert len(found) - kept - len(said) in (0, 1)  # one may be on disk before it could be said
                kept = len(found)
            assert kept
    assert torn  # kills did fall into the middle of lines
