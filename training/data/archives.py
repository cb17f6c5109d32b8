"""Images that a data set brings in ZIP files, as `xintongzhang/CoF-SFT-Data-5.4k` does: unpacked once, to the cache folder."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path, PurePosixPath

from filelock import FileLock

from cof_eval.benchmarks.image_cells import IMAGE_SUFFIXES
from cof_eval.core.errors import DataError, flat_message
from cof_eval.core.images import MAX_BYTES
from cof_eval.core.records import digest
from cof_eval.core.settings import cache_folder


def unpacked_archives(folder: Path) -> list[Path]:
    """The folders that the ZIP files in a folder are unpacked to.

    Raises:
        DataError: if one is damaged, or there is no room for it.
    """
    return [_unpacked(file) for file in sorted(folder.glob("*.zip")) if file.is_file()]


def _unpacked(file: Path) -> Path:
    try:
        stat = file.stat()
        place = cache_folder() / "archives" / digest(str(file.resolve()), stat.st_size, stat.st_mtime_ns)
        place.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{place}.lock"):
            if not place.is_dir():
                unfinished = place.with_name(f"{place.name}.unfinished")
                shutil.rmtree(unfinished, ignore_errors=True)
                _unpack(file, unfinished)
                unfinished.rename(place)
        return place
    except (
        OSError,
        zipfile.BadZipFile,
        NotImplementedError,
        RuntimeError,
        ValueError,
    ) as error:  # an unknown method, a password
        raise DataError(
            f"{file} cannot be unpacked to {cache_folder()} ({flat_message(error)}); unpack it next to itself, or copy it again"
        ) from error


def _unpack(file: Path, place: Path) -> None:
    """Images below the archive's own folder; anything else, and what would leave it, stays packed."""
    place.mkdir(parents=True)
    with zipfile.ZipFile(file) as archive:
        members = [member for member in archive.infolist() if _wanted(member)]
        needed, free = sum(member.file_size for member in members), shutil.disk_usage(place).free
        if needed > free:
            raise OSError(f"its images need {needed:,} bytes, {free:,} are free")
        for member in members:
            archive.extract(member, place)


def _wanted(member: zipfile.ZipInfo) -> bool:
    path = PurePosixPath(member.filename)
    inside = not path.is_absolute() and ".." not in path.parts
    return inside and path.suffix.lower() in IMAGE_SUFFIXES and member.file_size <= MAX_BYTES and not member.is_dir()
