"""Files that a row of a data set names: they stay below the data set's folder, links resolved, unless the user says otherwise.

Rows come from outside. A name such as `../../secret.png`, or a link that leads out of the folder, would show a model files that
nobody meant.
"""

from __future__ import annotations

from pathlib import Path

from .settings import allow_outside
from .text import cut

_LONGEST = 255
"""Bytes of a file's name on common file systems."""


def path_below(folder: Path, name: str) -> Path:
    """The file that a row names, relative to its data set's folder; whether it is there is another question.

    Raises:
        ValueError: if the name is none, or leads out of the folder (and `--allow-outside` was not given).
    """
    if "\0" in name or not Path(name).name or any(len(part.encode()) > _LONGEST for part in Path(name).parts):
        raise ValueError(f"the image {cut(name)} is not a file below the folder; expected a path like images/1.jpg")
    if allow_outside():
        return folder / _at_home(name)
    path = folder / name
    if not _is_below(folder, path):
        raise ValueError(
            f"the image {cut(name)} is not a file below the folder {folder}; expected a path like images/1.jpg. "
            "Move it there, or pass --allow-outside (COF_ALLOW_OUTSIDE=1)"
        )
    return path


def _at_home(name: str) -> Path:
    """The path, with "~" spelled out if somebody's home is meant."""
    try:
        return Path(name).expanduser()
    except RuntimeError:  # nobody of that name
        return Path(name)


def _is_below(folder: Path, path: Path) -> bool:
    try:
        real = path.resolve()
        return any(real.is_relative_to(root) for root in (folder.resolve(), *_hub_store(folder.resolve())))
    except (OSError, RuntimeError, ValueError):  # a loop of links, or a name that no file can have
        return False


def _hub_store(folder: Path) -> list[Path]:
    """Where the files of a snapshot in the Hugging Face cache really are: `snapshots/REVISION` links to `blobs`."""
    return [parent.parent / "blobs" for parent in folder.parents if parent.name == "snapshots"]
