"""A row's fields as typed columns: null, NaN and empty optional fields are absent; what does not fit is named with its value."""

from __future__ import annotations

import re
from typing import Any, TypeVar

import msgspec

from ..core.text import cut
from .json_rows import Fields

Columns = TypeVar("Columns", bound=msgspec.Struct)

_PLACE = re.compile(r"\$\.([^\[`]+)")


def convert_row(fields: Fields, columns: type[Columns]) -> Columns:
    """A row's fields as the columns that a benchmark uses.

    null and NaN are absence in every field, blank text in optional ones. The texts "None" and "nan" are texts: options may read so.

    Raises:
        ValueError: if a required field is missing, or a value is of another type, naming field and value.
    """
    optional = {field.encode_name for field in msgspec.structs.fields(columns) if not field.required}
    present = {name: value for name, value in fields.items() if not _absent(value, blank=name in optional)}
    try:
        return msgspec.convert(present, type=columns, strict=False)
    except msgspec.ValidationError as error:
        place = _PLACE.search(str(error))
        value = f" ({place[1]} is {cut(present[place[1]])})" if place and place[1] in present else ""
        missing = "missing required field" in str(error)
        raise ValueError(f"{error}{value}{f'; it has {_names(fields)}' if missing else ''}") from error


def _absent(value: Any, *, blank: bool) -> bool:
    return (
        value is None
        or (isinstance(value, float) and value != value)
        or (blank and isinstance(value, str) and not value.strip())
    )


def _names(fields: Fields) -> str:
    return cut(", ".join(map(str, fields)), chars=200)
