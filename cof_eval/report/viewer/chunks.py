"""Data as script files: a page opened from the file system may not fetch, but it may add a script tag.

Each file calls `Cof.receive(name, value)`. The value is JSON in which nothing can end a script or start markup, whatever
text it carries.
"""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

from ...core.records import to_json

CHUNK_BYTES = 384 * 1024
"""Size at which a chunk of records is closed; a larger record has one of its own."""

_ESCAPES = tuple((text.encode(), b"\\u%04x" % ord(text)) for text in "<>&\u2028\u2029")
"""What a script element or JavaScript would read otherwise than JSON does. All occur in JSON only within strings."""


def script_json(value: object) -> bytes:
    """JSON for a script file; lone surrogates, which no encoding can hold, become U+FFFD."""
    encoded = to_json(value)
    for char, escape in _ESCAPES:
        encoded = encoded.replace(char, escape)
    return encoded


class ChunkFolder:
    """The folder of the page's data files."""

    def __init__(self, path: Path) -> None:
        """Make the folder, without the chunks of an earlier report."""
        self.path = path
        path.mkdir(parents=True, exist_ok=True)
        for old in path.glob("*.js"):
            old.unlink()

    def write(self, name: str, value: object) -> None:
        """One value as one file."""
        self.write_encoded(name, script_json(value))

    def write_encoded(self, name: str, value: bytes) -> None:
        """One value, encoded by `script_json`, as one file."""
        (self.path / f"{name}.js").write_bytes(b"Cof.receive(%s,%s);\n" % (script_json(name), value))


class ChunkedList:
    """A list that is written in chunks while it grows, to `<prefix>-0`, `<prefix>-1` and so on."""

    def __init__(self, folder: ChunkFolder, prefix: str, *, max_bytes: int = CHUNK_BYTES) -> None:
        self.starts: list[int] = []
        """Position of each chunk's first item."""
        self.count = 0
        self._folder, self._prefix, self._max_bytes = folder, prefix, max_bytes
        self._items: list[bytes] = []
        self._bytes = 0

    def append(self, item: object) -> int:
        """Add an item; returns its position."""
        encoded = script_json(item)
        if self._items and self._bytes + len(encoded) > self._max_bytes:
            self._flush()
        self._items.append(encoded)
        self._bytes += len(encoded)
        self.count += 1
        return self.count - 1

    def _flush(self) -> None:
        self._folder.write_encoded(f"{self._prefix}-{len(self.starts)}", b"[" + b",\n".join(self._items) + b"]")
        self.starts.append(self.count - len(self._items))
        self._items, self._bytes = [], 0

    def __enter__(self) -> ChunkedList:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is None and self._items:
            self._flush()
