"""Which benchmarks there are, how large they are, under which licence, and where their data are: nothing is loaded or fetched."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from pathlib import Path

from ..core.errors import CofError
from ..core.paths import data_dir
from ..core.settings import data_folder
from . import BENCHMARKS
from .hub import HubPlace, cached_folder, hub_place
from .sizes import PUBLISHED

_FACT = re.compile(r"^\| ([a-z ]+) \| (.+) \|$", re.MULTILINE)
_BYTES = re.compile(r"\d[\d.,]* [KMGT]B")


class State(StrEnum):
    """Where a benchmark's data are."""

    FOLDER = "folder"
    """In a folder or file that the user named."""
    CACHE = "cache"
    """In the local cache of the Hugging Face hub."""
    HUB = "hub"
    """On the hub only: a run fetches them."""
    MADE = "made here"
    """Drawn on this machine."""
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Entry:
    """One benchmark."""

    name: str
    questions: int | None
    """As published; None where that is not known."""
    size: str
    """On disk, or as published; empty where it is not known."""
    licence: str
    state: State
    place: str
    """The folder, or the hub id."""
    missing: str = ""
    """What is not there, and what to do."""
    origin: str = ""
    """The file or package of a benchmark from outside."""


def catalog(names: Iterable[str]) -> Iterator[Entry]:
    """An entry of every benchmark; reads pages and folders' names."""
    for name in names:
        origin = BENCHMARKS.origin(name)
        facts, published = benchmark_facts(name), PUBLISHED.get(name)
        state, place, missing, size = _where(name, bool(origin))
        said = _BYTES.search(facts.get("size", ""))
        yield Entry(
            name=name,
            questions=published.rows if published else None,
            size=size or (said[0] if said else ""),
            licence=re.split(r"[:(;]", facts.get("licence", ""))[0].strip(),
            state=state,
            place=place,
            missing=missing,
            origin=origin,
        )


@lru_cache(maxsize=64)
def benchmark_facts(name: str) -> dict[str, str]:
    """The facts of a benchmark's page in `tasks/`, by name: `source`, `licence`, `size`, …; none for one from outside."""
    try:
        return dict(_FACT.findall((data_dir("tasks") / name / "README.md").read_text(encoding="utf-8")))
    except (OSError, CofError):
        return {}


def _where(name: str, outside: bool) -> tuple[State, str, str, str]:
    """State, place, what is missing, and size on disk."""
    folder = data_folder(name)
    if folder is not None:
        gone = "" if folder.exists() else f"{folder} does not exist; correct COF_DATA_{name.upper()} or --data"
        return (State.MISSING if gone else State.FOLDER), str(folder), gone, "" if gone else _bytes(folder)
    if name == "vstar_mini":
        return State.MADE, "", "", ""
    place = None if outside else hub_place(BENCHMARKS[name].load)
    if place is None:
        cure = "its own module knows its place" if outside else f"name your data with --data {name}=PATH"
        return State.MISSING, "", cure, ""
    return _in_cache(place)


def _in_cache(place: HubPlace) -> tuple[State, str, str, str]:
    cached = cached_folder(place.repository)
    if cached is None:
        return State.HUB, place.repository, "", ""
    first = place.files[0] if place.files else ""
    if first and not any(cached.glob(first)):
        return State.HUB, place.repository, f"the cache has no {first}; a run fetches it", ""
    return State.CACHE, str(cached), "", _bytes(cached)


def _bytes(place: Path) -> str:
    """The size of a file, or of all files of a folder, in words."""
    files = [place] if place.is_file() else [file for file in place.rglob("*") if file.is_file()]
    size = float(sum(file.stat().st_size for file in files))
    for unit in ("B", "KB", "MB"):
        if size < 1000:
            return f"{size:,.0f} {unit}"
        size /= 1000
    return f"{size:,.1f} GB"
