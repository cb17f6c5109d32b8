"""Folders that this project writes: whole or not at all, and never over what is the user's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from cof_eval.core.errors import UsageError
from cof_eval.core.files import STAMP, write_part


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def writing(name: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        (folder / name).write_text("x")
        return folder

    return write


def test_other_parameters_replace_everything(tmp_path: Path) -> None:
    write_part(tmp_path / "part", {"count": 9}, writing("old"))
    assert write_part(tmp_path / "part", {"count": 1}, writing("new")).endswith("written")
    assert sorted(contents(tmp_path / "part")) == [STAMP, "new"]


def test_equal_parameters_write_nothing(tmp_path: Path) -> None:
    write_part(tmp_path / "part", {"count": 9}, writing("old"))
    assert write_part(tmp_path / "part", {"count": 9}, writing("new")).endswith("up to date")
    assert sorted(contents(tmp_path / "part")) == [STAMP, "old"]


def test_a_folder_of_the_users_own_is_never_touched(tmp_path: Path) -> None:
    (tmp_path / "part").mkdir()
    (tmp_path / "part" / "mine").write_text("mine")
    with pytest.raises(UsageError, match="was not written by this command"):
        write_part(tmp_path / "part", {}, writing("new"))
    assert contents(tmp_path) == {"part/mine": b"mine"}


def test_interruption_leaves_no_half_written_part(tmp_path: Path) -> None:
    def interrupted(folder: Path) -> Path:
        (folder / "half").write_text("x")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_part(tmp_path / "part", {}, interrupted)
    assert not (tmp_path / "part").exists()
    assert write_part(tmp_path / "part", {}, writing("new")).endswith("written")
    assert sorted(contents(tmp_path)) == [f"part/{STAMP}", "part/new"]
