"""`cof-eval tasks`: the lmms-eval tasks that come with the package."""

from __future__ import annotations

from typing import Annotated

import typer


def tasks(
    path: Annotated[bool, typer.Option("--path", help="Print only the folder, for lmms-eval's --include_path.")] = False,
) -> None:
    """List the lmms-eval tasks that come with cof-eval."""
    from ..core.paths import data_dir

    folder = data_dir("tasks")
    if path:
        typer.echo(folder)
        return
    for file in sorted(folder.rglob("*.yaml")):
        typer.echo(file.stem)
