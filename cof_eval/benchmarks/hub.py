"""Fetching a benchmark's files from the Hugging Face hub."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..core.errors import DataError, first_line


def fetch_folder(name: str, benchmark: str, repository: str, files: Sequence[str] | None = None) -> Path:
    """A dataset's folder in the local Hugging Face cache, downloaded if it is not there.

    Args:
        name: what messages call the benchmark.
        benchmark: its name here.
        repository: hub id of the dataset.
        files: patterns of the files that are needed; None for all.

    Raises:
        DataError: if the hub cannot be reached and the cache does not hold the dataset.
    """
    import httpx
    import huggingface_hub

    try:
        found = huggingface_hub.snapshot_download(
            repository, repo_type="dataset", allow_patterns=list(files) if files else None
        )
        return Path(found)
    except (OSError, httpx.HTTPError) as error:
        raise DataError(
            f"{name} ({repository}) cannot be fetched from the Hugging Face hub ({first_line(error)}); "
            f"pass --data {benchmark}=PATH, or set COF_DATA_{benchmark.upper()}, to use a copy on this machine"
        ) from error
