"""Tables as files: CSV for people and spreadsheets, Parquet for programs.

Text of a CSV cell comes from models and users. The only place that writes CSV is `write_csv`, which defuses cells that a spreadsheet
would run as formulas; Parquet holds every text as it is.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from ..core.text import spreadsheet_cell


def write_table(table: pd.DataFrame, stem: Path) -> list[Path]:
    """Write a table as `.csv` and `.parquet`; returns both paths."""
    parquet = stem.with_suffix(".parquet")
    table.to_parquet(parquet, index=False)
    return [write_csv(table, stem.with_suffix(".csv")), parquet]


def write_csv(table: pd.DataFrame, path: Path) -> Path:
    """Write a table as CSV, numbers with six significant digits; returns the path."""
    texts = {name: column.map(_defused) for name, column in table.items() if not pd.api.types.is_numeric_dtype(column.dtype)}
    safe = table.assign(**texts).rename(columns=spreadsheet_cell)
    safe.to_csv(path, index=False, float_format="%.6g", encoding="utf-8")
    return path


def _defused(cell: object) -> object:
    return spreadsheet_cell(cell) if isinstance(cell, str) else cell
