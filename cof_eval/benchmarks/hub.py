"""Fetching a benchmark's files from the Hugging Face hub."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

from ..core.errors import CofError, DataError, NotFetchedError, first_line

_LOCAL = ContextVar("local", default=False)
_ASKED = ContextVar("asked", default=False)


@dataclass(frozen=True, slots=True)
class HubPlace:
    """Where a benchmark's data are on the hub."""

    repository: str
    files: tuple[str, ...]
    """Patterns of its files; none for all."""


class _PlaceFound(Exception):
    """Ends a loader at the moment at which it would fetch."""

    def __init__(self, place: HubPlace) -> None:
        super().__init__(place.repository)
        self.place = place


def hub_place(load: Callable[[None], object]) -> HubPlace | None:
    """What a benchmark's loader would fetch, without fetching or loading it; None if it fetches nothing."""
    token = _ASKED.set(True)
    try:
        load(None)
    except _PlaceFound as found:
        return found.place
    except CofError:
        return None
    finally:
        _ASKED.reset(token)
    return None


def cached_folder(repository: str) -> Path | None:
    """A dataset's folder in the local Hugging Face cache; None if it is not there."""
    import huggingface_hub

    try:
        return Path(huggingface_hub.snapshot_download(repository, repo_type="dataset", local_files_only=True))
    except OSError:
        return None


@contextmanager
def without_fetching() -> Iterator[None]:
    """While the context lasts, a dataset that is not on this machine is a `NotFetchedError`, and nothing is downloaded."""
    token = _LOCAL.set(True)
    try:
        yield
    finally:
        _LOCAL.reset(token)


def check_hub(name: str, benchmark: str, repository: str) -> None:
    """Ask the hub for a dataset's description: a few kilobytes.

    Raises:
        DataError: if the hub cannot be reached, or has no such dataset.
    """
    import httpx
    import huggingface_hub

    try:
        huggingface_hub.HfApi().dataset_info(repository, timeout=_TIMEOUT_S)
    except (OSError, httpx.HTTPError) as error:
        raise _unfetched(name, benchmark, repository, error) from error


_TIMEOUT_S = 20.0


def fetch_folder(name: str, benchmark: str, repository: str, files: Sequence[str] | None = None) -> Path:
    """A dataset's folder in the local Hugging Face cache, downloaded if it is not there.

    Args:
        name: what messages call the benchmark.
        benchmark: its name here.
        repository: hub id of the dataset.
        files: patterns of the files that are needed; None for all.

    Raises:
        DataError: if the hub cannot be reached and the cache does not hold the dataset.
        NotFetchedError: if it is not here, `without_fetching`.
    """
    if _ASKED.get():
        raise _PlaceFound(HubPlace(repository, tuple(files or ())))
    import httpx
    import huggingface_hub

    try:
        found = huggingface_hub.snapshot_download(
            repository, repo_type="dataset", allow_patterns=list(files) if files else None, local_files_only=_LOCAL.get()
        )
        return Path(found)
    except (OSError, httpx.HTTPError) as error:
        if _LOCAL.get():
            raise NotFetchedError(name, repository) from error
        raise _unfetched(name, benchmark, repository, error) from error


def _unfetched(name: str, benchmark: str, repository: str, error: Exception) -> DataError:
    return DataError(
        f"{name} ({repository}) cannot be fetched from the Hugging Face hub ({first_line(error)}); "
        f"pass --data {benchmark}=PATH, or set COF_DATA_{benchmark.upper()}, to use a copy on this machine"
    )
