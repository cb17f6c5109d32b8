"""CONTRIBUTING.md is a way that a stranger can walk: its commands, its files, and its example exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from test_readme import commands

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "CONTRIBUTING.md").read_text()
PYTEST = [shlex.split(command)[1:] for command in commands(PAGE) if command.startswith(".venv/bin/pytest")]


def test_there_is_a_command_for_one_test() -> None:
    assert any("-k" in words for words in PYTEST)


@pytest.mark.parametrize("words", PYTEST, ids=" ".join)
def test_a_documented_test_exists(words: list[str]) -> None:
    names = re.findall(r"^\s*def (test_\w+)", (ROOT / words[0]).read_text(), re.MULTILINE)
    wanted = words[words.index("-k") + 1] if "-k" in words else "test_"
    assert [name for name in names if wanted in name]


def test_the_message_of_the_example_is_where_the_page_says() -> None:
    (words,) = re.findall(r'git grep -n "([^"]+)"', PAGE)
    code, test = re.findall(r"It is in `([^`]+)`, and `([^`]+)` expects it", PAGE)[0]
    assert all(words in (ROOT / path).read_text() for path in (code, test))
    (message,) = re.findall(r"says `([^`]+)`", PAGE)
    tool = re.escape(message).replace('"rm"', r"\{[^}]+\}").replace("image_zoom_in_tool", r"\{[^}]+\}")
    assert re.search(tool, (ROOT / code).read_text())


def test_every_folder_that_the_page_names_exists() -> None:
    named = re.findall(r"`([a-z_]+/(?:[a-z_]+/)*)`", PAGE)
    assert len(named) > 8
    assert not [folder for folder in named if not (ROOT / folder).is_dir()]
