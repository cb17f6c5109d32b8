"""Text from outside as it is printed: one line, printable, said; nothing in it can steer a terminal."""

from __future__ import annotations

import pytest

from cof_eval.core.text import log_line, say


@pytest.mark.parametrize("hidden", ["\x1b[2J", "\x9b2J", "\u202e", "\u2066", "\x07", "\x00", "\u2028", "\r"])
def test_what_is_said_cannot_steer_a_terminal(hidden: str, capsys: pytest.CaptureFixture[str]) -> None:
    say(f"a{hidden}b\nc")
    first, second = capsys.readouterr().out.splitlines()
    assert first.isprintable()
    assert second == "c"


def test_a_line_of_a_log_loses_its_colours_and_nothing_else() -> None:
    assert log_line("\x1b[1;32mINFO\x1b[0m\tready \x1b[2J") == "INFO    ready \ufffd[2J"
