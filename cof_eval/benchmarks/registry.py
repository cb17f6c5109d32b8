"""Benchmarks by name: those of this package, those of a file that the user names, and those of other installed packages.

A file defines `BENCHMARKS = {"name": Benchmark(…)}`. A package has an entry point `name = "module:BENCHMARK"` in the group
`cof_eval.benchmarks`. Nothing of either is loaded before a name is asked for that is none of this package's.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from ..core.errors import CofError, DataError, UsageError, flat_message
from ..core.settings import benchmark_modules
from .item import BadRow, Benchmark, Item, Rows

GROUP = "cof_eval.benchmarks"
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")


class Registry(Mapping[str, Benchmark]):
    """Benchmarks by name, as in tasks' names and in `--benchmarks`."""

    def __init__(self, shipped: Mapping[str, Benchmark]) -> None:
        """Begin with those of this package, whose names no other may take."""
        self._shipped = shipped

    def __getitem__(self, name: str) -> Benchmark:
        """The benchmark called so.

        Raises:
            KeyError: if there is none.
            UsageError: if it is another's and cannot be loaded.
        """
        if name in self._shipped:
            return self._shipped[name]
        found = self._of_files().get(name)
        return found or _load_entry(self._of_packages()[name])

    def __contains__(self, name: object) -> bool:
        """Whether there is such a benchmark; one of another package may still fail to load."""
        return name in self._shipped or name in self._of_files() or name in self._of_packages()

    def __iter__(self) -> Iterator[str]:
        """This package's names, then others'."""
        yield from dict.fromkeys((*self._shipped, *self._of_files(), *self._of_packages()))

    def __len__(self) -> int:
        """How many there are."""
        return sum(1 for _ in self)

    def origin(self, name: str) -> str:
        """Where a benchmark comes from: "" for this package's own, else its file or package."""
        if name in self._shipped:
            return ""
        for file in benchmark_modules():
            if name in _load_file(file):
                return str(file)
        entry = self._of_packages()[name]
        return entry.dist.name if entry.dist else entry.value

    def unusable(self) -> list[str]:
        """Why other packages' benchmarks do not appear here, a sentence each."""
        taken, found = set(self._shipped), []
        for entry in _entries():
            found += [wrong] if (wrong := _wrong_name(entry.name, entry.value, taken)) else []
            taken.add(entry.name)
        return found

    def _of_files(self) -> dict[str, Benchmark]:
        found: dict[str, Benchmark] = {}
        for file in benchmark_modules():
            for name, benchmark in _load_file(file).items():
                if wrong := _wrong_name(name, str(file), {*self._shipped, *found}):
                    raise UsageError(wrong)
                found[name] = benchmark
        return found

    def _of_packages(self) -> dict[str, EntryPoint]:
        found: dict[str, EntryPoint] = {}
        for entry in _entries():
            if not _wrong_name(entry.name, entry.value, {*self._shipped, *found}):
                found[entry.name] = entry
        return found


@lru_cache(maxsize=1)
def _entries() -> tuple[EntryPoint, ...]:
    return tuple(sorted(entry_points(group=GROUP), key=lambda entry: entry.name))


@lru_cache(maxsize=32)
def _load_file(file: Path) -> Mapping[str, Benchmark]:
    """The benchmarks that a Python file defines.

    Raises:
        UsageError: if it cannot be run, or defines none.
    """
    spec = importlib.util.spec_from_file_location(f"cof_eval_benchmark_{re.sub(r'[^A-Za-z0-9_]', '_', file.stem)}", file)
    if spec is None or spec.loader is None or not file.is_file():
        raise UsageError(f"--benchmark-module {file}: expected a Python file that defines BENCHMARKS")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # another's code: any exception at all
        raise UsageError(f"--benchmark-module {file} cannot be run ({_said(error)})") from error
    defined = getattr(module, "BENCHMARKS", None)
    if not isinstance(defined, Mapping) or not defined:
        raise UsageError(f'--benchmark-module {file} defines no BENCHMARKS; expected BENCHMARKS = {{"name": Benchmark(…)}}')
    return {str(name): _checked(str(name), benchmark, str(file)) for name, benchmark in defined.items()}


def _load_entry(entry: EntryPoint) -> Benchmark:
    """The benchmark of another package.

    Raises:
        UsageError: if it cannot be loaded, or is none.
    """
    try:
        found = entry.load()
    except Exception as error:  # another's code: any exception at all
        raise UsageError(
            f"benchmark {entry.name} of {entry.value} cannot be loaded ({_said(error)}); repair or uninstall it"
        ) from error
    return _checked(entry.name, found, entry.value)


def _checked(name: str, benchmark: object, source: str) -> Benchmark:
    """Another's benchmark, whose loader fails as ours do and may return a plain list."""
    if not isinstance(benchmark, Benchmark):
        raise UsageError(
            f"benchmark {name!r} of {source} is a {type(benchmark).__name__}; expected a cof_eval.benchmarks.Benchmark"
        )

    def load(data: Path | None) -> Rows:
        try:
            found = benchmark.load(data)
            if isinstance(found, Rows):
                return found
            rows = list(found)
        except CofError:
            raise
        except Exception as error:  # another's code: any exception at all
            raise DataError(f"benchmark {name} of {source} cannot be loaded ({_said(error)}); correct it") from error
        strange = [row for row in rows if not isinstance(row, Item | BadRow)]
        if strange:
            raise DataError(
                f"benchmark {name} of {source} returns a {type(strange[0]).__name__}; expected Items, or Rows of them"
            )
        return Rows.collect(rows, f"benchmark {name} of {source} has no rows in {data or 'its usual place'}")

    return replace(benchmark, load=load)


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {flat_message(error)}"


def _wrong_name(name: str, source: str, taken: set[str]) -> str:
    """Why a name cannot be used: tasks and variables could not be called so, or it would hide another benchmark."""
    if not _NAME.fullmatch(name):
        return f"benchmark name {name!r} of {source} cannot be part of a task's name; expected small letters, digits and _"
    return f"{source} defines a benchmark {name!r}, but there is one already; rename it" if name in taken else ""
