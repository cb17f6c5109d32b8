"""Task files for lmms-eval: those that ship with the package, and those made on demand.

Every shipped benchmark has files for the eight resolutions and `native`. Another resolution, or another's benchmark, is a task all the
same: its file is written when it is asked for, from the benchmark's own template where there is one.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from ..core.errors import RunError, system_says
from ..core.files import write_whole
from ..core.paths import data_dir
from ..core.records import digest
from ..core.resolution import SWEEP, Resolution
from ..core.settings import cache_folder

COMMON, TEMPLATE = "_common", "_template"


def task_name(benchmark: str, resolution: Resolution) -> str:
    """What a benchmark at a resolution is called in lmms-eval."""
    return f"cof_{benchmark}_{resolution.name}"


def task_folders(benchmarks: Sequence[str], resolutions: Sequence[Resolution], made: Path) -> list[str]:
    """The folders that lmms-eval has to look into for these tasks; it reads every file of a folder that it is given.

    Args:
        benchmarks: by name.
        resolutions: at which they are asked.
        made: an empty folder for the files of the tasks that do not ship.
    """
    shipped = [folder for name in benchmarks if (folder := data_dir("tasks") / name).is_dir()]
    _write(made, _missing(benchmarks, resolutions))
    return [str(folder) for folder in (*shipped, made)]


def made_tasks(benchmarks: Sequence[str], resolutions: Sequence[Resolution]) -> Path:
    """A folder with all shipped tasks and those asked for, for lmms-eval's `--include_path`.

    Raises:
        RunError: if it cannot be written.
    """
    texts = dict(_missing(benchmarks, resolutions)) | dict(_groups(benchmarks))
    folder = cache_folder() / "tasks" / digest(str(data_dir("tasks")), texts)
    try:
        shutil.copytree(data_dir("tasks"), folder, dirs_exist_ok=True)
    except OSError as error:
        raise RunError(f"cannot write {folder} ({system_says(error, 'choose another place with COF_CACHE')})") from error
    _write(folder / "made", texts.items())
    return folder


def _missing(benchmarks: Sequence[str], resolutions: Sequence[Resolution]) -> Iterator[tuple[str, str]]:
    """(file's name, content) of each task that does not ship."""
    for benchmark in benchmarks:
        for resolution in resolutions:
            name = task_name(benchmark, resolution)
            if not (data_dir("tasks") / benchmark / f"{name}.yaml").is_file():
                yield f"{name}.yaml", _content(benchmark, resolution)


def _groups(benchmarks: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The group of the eight resolutions of each benchmark that does not ship."""
    for benchmark in benchmarks:
        if not (data_dir("tasks") / benchmark).is_dir():
            yield from _missing([benchmark], SWEEP)
            lines = [f"group: cof_{benchmark}", "task:", *(f"  - {task_name(benchmark, each)}" for each in SWEEP)]
            yield f"cof_{benchmark}.yaml", "\n".join(lines) + "\n"


def _content(benchmark: str, resolution: Resolution) -> str:
    template = data_dir("tasks") / benchmark / TEMPLATE
    included = template if template.is_file() else data_dir("tasks") / COMMON
    lines = [f"include: {json.dumps(str(included))}", f"benchmark: {benchmark}"]
    return "\n".join([*lines, f"task: {task_name(benchmark, resolution)}", f'resolution: "{resolution.name}"']) + "\n"


def _write(folder: Path, texts: Iterable[tuple[str, str]]) -> None:
    for name, text in texts:
        try:
            write_whole(folder / name, text.encode())
        except OSError as error:
            raise RunError(f"cannot write {folder / name} ({system_says(error, 'free space and run again')})") from error
