"""Text from outside (models, data sets, users, servers, other programs): no character of it can steer a terminal.

`say` is the only way in which commands print.
"""

from __future__ import annotations

import re
import sys
from typing import TextIO

_STYLES = re.compile(r"\x1b\[[0-9;:]*m")
"""Colours and the like, which other programs put into their logs."""


def one_line(text: object) -> str:
    """Any text as one line of printable characters."""
    return " ".join("".join(char if char.isprintable() else " " for char in str(text)).split())


def printable(text: object) -> str:
    """Any text with its lines and spaces; every other character that does not print is replaced."""
    return "".join(char if char.isprintable() or char == "\n" else "\ufffd" for char in str(text))


def log_line(text: str) -> str:
    """A line of another program's log: without colours, tabs as spaces, and printable."""
    return printable(_STYLES.sub("", text).expandtabs())


def say(text: object = "", *, err: bool = False, to: TextIO | None = None) -> None:
    """Print a text that may come from anywhere.

    Args:
        text: lines.
        err: print to standard error.
        to: another stream.
    """
    print(printable(text), file=to or (sys.stderr if err else sys.stdout), flush=True)


def spreadsheet_cell(text: str) -> str:
    """A cell of a CSV file that no spreadsheet runs as a formula: an apostrophe goes before what would begin one.

    Numbers are left as they are. OWASP's list of first characters ("CSV injection"): `=`, `+`, `-`, `@`, tab, carriage return.
    """
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA) and not _is_number(text) else text


_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""First characters of formulas; the last four are the wide forms that some spreadsheets take for them."""


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def cut(value: object, *, chars: int = 60) -> str:
    """A value as messages show it: on one line, and no longer than this."""
    text = one_line(repr(value[: 2 * chars] if isinstance(value, str | bytes) else value))
    return text if len(text) <= chars else text[: chars - 1] + "…"
