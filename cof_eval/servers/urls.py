"""Base URLs as a user writes them: in one text, or in a file."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

from ..core.errors import UsageError
from ..core.secrets import safe_urls
from ..core.text import one_line

_MOST_BYTES = 1 << 20


def parse_urls(text: str) -> tuple[str, ...]:
    """Base URLs separated by commas, semicolons or spaces (lmms-eval's model_args keeps commas for itself), or those of `@FILE`.

    Raises:
        UsageError: if one is no http(s) URL, or there is none.
    """
    file = url_file(text)
    if file:
        return read_url_file(file)
    urls = _urls(text)
    if not urls or not all(map(_usable, urls)):
        raise UsageError(
            f"{safe_urls(text)!r} holds no base URL that can be used; expected for instance http://127.0.0.1:8000/v1, or @FILE"
        )
    return urls


def url_file(text: str) -> Path | None:
    """The file that `@FILE` names."""
    stripped = text.strip()
    return Path(stripped[1:]).expanduser() if stripped.startswith("@") else None


def read_url_file(path: Path) -> tuple[str, ...]:
    """The base URLs of a file: one a line, `#` begins a comment.

    Raises:
        UsageError: if it cannot be read, names no server, or has a line that is no URL.
    """
    try:
        with path.open("rb") as file:
            text = file.read(_MOST_BYTES).decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        raise UsageError(f"the list of servers {path} cannot be read: {reason}") from error
    urls: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        for url in _urls(re.split(r"(?:^|\s)#", line, maxsplit=1)[0]):
            if not _usable(url):
                said = one_line(safe_urls(url))[:100]
                raise UsageError(
                    f"line {number} of {path} is no base URL: {said!r}; expected for instance http://127.0.0.1:8000/v1"
                )
            urls.append(url)
    if not urls:
        raise UsageError(f"the list of servers {path} names none; expected a base URL a line")
    return tuple(dict.fromkeys(urls))


def _urls(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_trimmed(part) for part in re.split(r"[,;\s]+", text.strip()) if part))


def _trimmed(url: str) -> str:
    """A URL whose path ends without a slash."""
    path, mark, query = url.partition("?")
    return path.rstrip("/") + mark + query


def _usable(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is none, a bracket that is not closed
        return False
