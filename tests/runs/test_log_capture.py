"""The log of a run: all that others write is in it, none of it on the terminal, and no writer can fail or wait for it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cof_eval.runs.log_capture import TAIL, LogCapture

Captured = pytest.CaptureFixture[str]


def written(path: Path) -> list[str]:
    return path.read_text().splitlines()


EVERYBODY = """
import os, subprocess, sys
from pathlib import Path
from cof_eval.runs.log_capture import LogCapture

with LogCapture() as log:
    log.write_to(Path(sys.argv[1]), "=== heading")
    print("from python")
    print("a warning", file=sys.stderr)
    os.write(2, b"from c\\n")
    subprocess.run(["sh", "-c", "echo from a child; echo its error >&2"], check=True)
    print("ours", file=log.out)
    print("our error", file=log.err)
print("after")
"""


def test_python_c_and_children_are_in_the_log_and_only_ours_on_the_terminal(tmp_path: Path) -> None:
    command = [sys.executable, "-c", EVERYBODY, str(tmp_path / "log.txt")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("ours\nafter\n", "our error\n")
    lines = written(tmp_path / "log.txt")
    assert lines[0] == "=== heading"
    assert sorted(lines[1:]) == sorted(["from python", "a warning", "from c", "from a child", "its error"])


def test_what_came_before_the_folder_is_known_is_in_the_log_too(tmp_path: Path) -> None:
    with LogCapture() as log:
        os.write(1, b"early\n")
        while not log.tail():
            pass
        log.write_to(tmp_path / "log.txt", "=== second")
        os.write(1, b"late\n")
    assert written(tmp_path / "log.txt") == ["=== second", "early", "late"]


def test_a_file_that_is_there_grows(tmp_path: Path) -> None:
    for heading in ("=== one", "=== two"):
        with LogCapture() as log:
            log.write_to(tmp_path / "log.txt", heading)
    assert written(tmp_path / "log.txt") == ["=== one", "=== two"]


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (b"1%\r2%\r3%\n", ["3%"]),
        (b"1%\r2%\r3%", ["3%"]),
        (b"windows\r\nline\r\n", ["windows", "line"]),
        (b"no end", ["no end"]),
        (b"a\n\nb\n", ["a", "", "b"]),
        (b"\xff\xfe\n", ["\ufffd\ufffd"]),
        (b"", []),
    ],
)
def test_a_redrawn_line_is_kept_in_its_last_state(data: bytes, lines: list[str], tmp_path: Path) -> None:
    with LogCapture() as log:
        log.write_to(tmp_path / "log.txt", "===")
        os.write(2, data)
    assert written(tmp_path / "log.txt")[1:] == lines


def test_a_bar_that_is_redrawn_for_days_takes_no_room(tmp_path: Path) -> None:
    with LogCapture() as log:
        log.write_to(tmp_path / "log.txt", "===")
        for number in range(20_000):
            os.write(2, b"\r%6d of 20000 and a long text about it" % number)
        os.write(2, b"\n")
    assert (tmp_path / "log.txt").stat().st_size < 100
    assert "19999 of 20000" in written(tmp_path / "log.txt")[1]


def test_a_line_without_end_is_cut_and_not_kept_in_memory(tmp_path: Path) -> None:
    with LogCapture() as log:
        log.write_to(tmp_path / "log.txt", "===")
        for _ in range(100):
            os.write(2, b"x" * 10_000)
    lines = written(tmp_path / "log.txt")[1:]
    assert sum(map(len, lines)) == 1_000_000
    assert max(map(len, lines)) < 200_000


def test_a_log_has_an_upper_size_and_still_its_end(tmp_path: Path) -> None:
    with LogCapture(limit_bytes=5_000) as log:
        log.write_to(tmp_path / "log.txt", "===")
        for number in range(5_000):
            os.write(1, b"line %d\n" % number)
    lines = written(tmp_path / "log.txt")
    assert (tmp_path / "log.txt").stat().st_size < 5_000 + 20 * (TAIL + 10)
    assert lines[-TAIL:] == [f"line {number}" for number in range(5_000 - TAIL, 5_000)]
    (said,) = (line for line in lines if "lines are not kept" in line)
    kept = [line for line in lines if line.startswith("line ")]
    assert said == f"… {5_000 - len(kept):,} lines are not kept: this log has reached its size …"


def test_the_tail_tells_of_the_last_step_only() -> None:
    with LogCapture() as log:
        os.write(1, b"of the first step\n")
        while not log.tail():
            pass
        log.mark()
        os.write(1, b"".join(b"line %d\n" % number for number in range(30)))
    assert log.tail(3) == ["line 27", "line 28", "line 29"]
    assert len(log.tail(100)) == 30


def test_a_child_that_outlives_the_capture_does_not_hold_it_up(tmp_path: Path) -> None:
    with LogCapture() as log:
        log.write_to(tmp_path / "log.txt", "===")
        child = subprocess.Popen(["sh", "-c", "echo begun; read line"], stdin=subprocess.PIPE)
        while not log.tail():
            pass
    assert written(tmp_path / "log.txt") == ["===", "begun"]
    child.communicate(b"\n")


def test_a_log_that_cannot_be_written_fails_no_writer(tmp_path: Path, capfd: Captured) -> None:
    with LogCapture() as log:
        log.write_to(tmp_path / "nowhere" / "log.txt", "===")
        os.write(1, b"still fine\n")
    assert log.path is None
    assert log.tail() == ["still fine"]
    assert capfd.readouterr() == ("", "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full is absent: this test needs a disk that is always full")
def test_a_full_disk_fails_no_writer() -> None:
    with LogCapture() as log:
        log.write_to(Path("/dev/full"), "===")
        for _ in range(3):
            os.write(1, b"still fine\n")
    assert log.tail() == ["still fine"] * 3


def test_an_echo_shows_each_line_and_keeps_it(tmp_path: Path, capfd: Captured) -> None:
    with LogCapture(echo=True) as log:
        log.write_to(tmp_path / "log.txt", "===")
        os.write(1, b"1%\r2%\nline\n")
    assert capfd.readouterr() == ("", "2%\nline\n")
    assert written(tmp_path / "log.txt")[1:] == ["2%", "line"]


def test_the_terminal_is_back_after_an_error(capfd: Captured) -> None:
    with pytest.raises(ValueError, match="x"), LogCapture():
        raise ValueError("x")
    os.write(2, b"here\n")
    assert capfd.readouterr().err == "here\n"


def test_a_command_without_a_terminal_or_any_output_is_logged_as_well(tmp_path: Path) -> None:
    code = (
        "from cof_eval.runs.log_capture import LogCapture\nfrom pathlib import Path\n"
        f"with LogCapture() as log:\n    log.write_to(Path({str(tmp_path / 'log.txt')!r}), '===')\n    print('x', file=log.err)\n"
        "    import os\n    os.write(2, b'logged\\n')"
    )
    subprocess.run(["sh", "-c", f'exec "{sys.executable}" -c "$1" >&- 2>&-', "sh", code], check=True)
    assert written(tmp_path / "log.txt") == ["===", "logged"]
