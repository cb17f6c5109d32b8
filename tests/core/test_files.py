"""Files and folders that this project writes: whole or not at all, and never over what is the user's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from cof_eval.core.errors import UsageError
from cof_eval.core.files import STAMP, whole_file, write_part, write_whole


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


@pytest.mark.parametrize("sync", [False, True])
def test_a_file_is_written_whole_and_nothing_else_is_left(tmp_path: Path, sync: bool) -> None:
    for data in (b"old", b"new"):
        write_whole(tmp_path / "deep" / "file", data, sync=sync)
    assert contents(tmp_path) == {"deep/file": b"new"}


@pytest.mark.parametrize("failure", [KeyboardInterrupt, OSError])
def test_a_write_that_ends_early_changes_nothing(tmp_path: Path, failure: type[BaseException]) -> None:
    write_whole(tmp_path / "file", b"old")
    with pytest.raises(failure), whole_file(tmp_path / "file") as file:
        file.write(b"ne")
        raise failure
    assert contents(tmp_path) == {"file": b"old"}


def test_a_link_is_replaced_and_what_it_points_to_stays(tmp_path: Path) -> None:
    (tmp_path / "theirs").write_bytes(b"precious")
    (tmp_path / "file").symlink_to(tmp_path / "theirs")
    write_whole(tmp_path / "file", b"new")
    assert not (tmp_path / "file").is_symlink()
    assert contents(tmp_path) == {"file": b"new", "theirs": b"precious"}


def test_a_link_planted_where_the_unfinished_file_goes_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "theirs").write_bytes(b"precious")
    (tmp_path / ".guessed.tmp").symlink_to(tmp_path / "theirs")
    monkeypatch.setattr("cof_eval.core.files.secrets.token_hex", lambda size: "guessed")
    with pytest.raises(FileExistsError):
        write_whole(tmp_path / "file", b"new")
    assert (tmp_path / "theirs").read_bytes() == b"precious"
    assert not (tmp_path / "file").exists()


def test_a_written_file_has_the_permissions_of_any_other(tmp_path: Path) -> None:
    write_whole(tmp_path / "ours", b"")
    (tmp_path / "theirs").write_bytes(b"")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "theirs").stat().st_mode
