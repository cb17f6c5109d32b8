"""Figures that others published, for comparison with a run of the whole benchmark."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from ..core.errors import DataError
from .names import OVERALL

PUBLISHED_COLUMNS = ("benchmark", "category", "resolution", "model", "metric", "value", "n", "source", "note")
"""Columns of the files in `results/published/`."""


def load_published(folder: Path | None) -> pd.DataFrame:
    """Figures that others published, from every CSV file in `folder`; an empty table if there is none.

    Raises:
        DataError: for a file without the columns `PUBLISHED_COLUMNS`.
    """
    files = sorted(folder.glob("*.csv")) if folder else []
    tables = [_load_file(file) for file in files]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=list(PUBLISHED_COLUMNS))


def comparable(published: pd.DataFrame, sweep: pd.DataFrame) -> pd.DataFrame:
    """Published figures of the benchmarks that were planned whole.

    A part of a benchmark, or a user's own images in its layout, asks something else than the published figures answer.
    """
    overall = sweep[sweep["category"] == OVERALL]
    planned = (overall["n"] + overall["pending"]).groupby(overall["benchmark"]).max()
    return published[published["n"] == published["benchmark"].map(planned)]


def _load_file(file: Path) -> pd.DataFrame:
    table = pd.read_csv(file, dtype=str, keep_default_na=False)
    missing = [column for column in PUBLISHED_COLUMNS if column not in table.columns]
    if missing:
        raise DataError(f"{file} has no column {', '.join(missing)}; expected {', '.join(PUBLISHED_COLUMNS)}")
    return table[list(PUBLISHED_COLUMNS)].assign(value=pd.to_numeric(table["value"]), n=pd.to_numeric(table["n"]))
