"""The viewer: `index.html`, a static page that shows every trajectory, opened from the file system without a server.

`overview` is in the page itself; `index` and `details` write what the list and the trajectory pages load when they need it,
as the script files of `chunks`. Everything that a model, a data set or a user wrote is data: it is escaped by Jinja, or set as
text by the scripts in `static/`, and the page's Content-Security-Policy forbids everything else.
"""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from .chunks import ChunkFolder
from .index import ANSWER_CHARS, Index
from .overview import caption, grids, headline, notes, number, run_progress, settings

if TYPE_CHECKING:
    from ...runs.folder import RunData

__all__ = ["write_viewer"]

STATIC = Path(__file__).with_name("static")
SCRIPTS = (
    "dom",
    "text",
    "data",
    "route",
    "filter",
    "verdict",
    "picture",
    "turns",
    "list",
    "trajectory",
    "compare",
    "keys",
    "app",
)
"""The page's scripts, each after those that it uses."""


def write_viewer(
    runs: Sequence[RunData],
    out: Path,
    *,
    labels: Sequence[str],
    sweep: pd.DataFrame,
    claims: Sequence[str] = (),
    files: Sequence[Path] = (),
) -> Path:
    """Write `index.html` and the folder `viewer/` next to it; returns the page's path.

    Args:
        runs: one or several runs; unfinished, partly unscored and empty ones are shown as they are.
        out: the report's folder.
        labels: a distinct name for each run.
        sweep: the sweep table of all runs, for the overview's numbers.
        claims: the headlines, plain text.
        files: what else the report wrote into `out`: figures are shown, other files linked.

    Raises:
        OSError: if a file cannot be written.
    """
    shutil.copytree(STATIC, out / "viewer", dirs_exist_ok=True)
    data = ChunkFolder(out / "viewer" / "data")
    manifest = Index(data, runs).manifest()
    named = [
        {"label": label, "images": _relative(run.path / "images", out), **_first_and_rows(index)}
        for label, run, index in zip(labels, runs, manifest["runs"], strict=True)
    ]
    data.write("manifest", {**manifest, "runs": named, "answer_chars": ANSWER_CHARS})
    page = out / "index.html"
    page.write_text(_render(runs, labels, sweep, out, claims, files), encoding="utf-8", errors="replace")
    return page


def _first_and_rows(index: Any) -> dict[str, Any]:
    return {"first": index.first, "rows": index.rows, "records": index.records}


def _relative(folder: Path, out: Path) -> str:
    """A folder as the page refers to it, wherever the report lies."""
    target, base = folder.resolve(), out.resolve()
    try:
        return quote(Path(os.path.relpath(target, base)).as_posix()) + "/"
    except ValueError:  # another drive
        return target.as_uri() + "/"


def _render(
    runs: Sequence[RunData], labels: Sequence[str], sweep: pd.DataFrame, out: Path, claims: Sequence[str], files: Sequence[Path]
) -> str:
    environment = Environment(
        loader=FileSystemLoader(STATIC.parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"number": number, "percent": _percent, "decimal": _decimal, "caption": caption}
    complete, line = headline([run_progress(run, label) for run, label in zip(runs, labels, strict=True)])
    return environment.get_template("page.html.jinja").render(
        title=" and ".join(labels),
        complete=complete,
        headline=line,
        claims=claims,
        labels=labels,
        notes=notes(runs, labels),
        grids=grids(sweep, labels),
        settings=settings(runs),
        figures=_figures(files, out),
        files=[{"name": path.name, "link": _link(path, out)} for path in files if path.suffix not in (".png", ".svg")],
        rows=sum(len(run.rows) for run in runs),
        scripts=SCRIPTS,
    )


def _figures(files: Sequence[Path], out: Path) -> list[dict[str, Any]]:
    """Each figure once, drawn from its SVG if there is one, with links to every format."""
    stems: dict[str, dict[str, Path]] = {}
    for path in files:
        if path.suffix in (".png", ".svg"):
            stems.setdefault(path.stem, {})[path.suffix[1:].upper()] = path
    return [
        {
            "caption": caption(next(iter(formats.values()))),
            "source": _link(formats.get("SVG", next(iter(formats.values()))), out),
            "links": [(name, _link(path, out)) for name, path in formats.items()],
        }
        for formats in stems.values()
    ]


def _link(path: Path, out: Path) -> str:
    return quote(Path(os.path.relpath(path, out)).as_posix())


def _percent(share: float) -> str:
    return "–" if math.isnan(share) else f"{100 * share:.1f}"


def _decimal(value: float) -> str:
    if math.isnan(value):
        return "–"
    return number(value) if value >= 100 else f"{value:.1f}"
