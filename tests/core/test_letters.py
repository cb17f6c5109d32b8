"""Letters of options run from A to Z and never further."""

from __future__ import annotations

import pytest

from cof_eval.core.letters import option_letters, option_lines
from cof_eval.core.records import Question


def test_options_are_lettered_in_order() -> None:
    assert option_lines(["red", "blue"]) == ["(A) red", "(B) blue"]
    assert "".join(option_letters(26)) == "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    assert option_lines([]) == []


@pytest.mark.parametrize("answer", ["", "A"])
def test_more_options_than_letters_are_refused_not_cut(answer: str) -> None:
    options = tuple(f"option {i}" for i in range(27))
    for use in (lambda: option_lines(options), lambda: Question("1", "b", "c", "i", "Which?", options, answer)):
        with pytest.raises(ValueError, match="27 options are more than the letters A to Z"):
            use()
