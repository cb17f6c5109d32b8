"""`cof-eval protocols`: the protocols, the settings of one, and a protocol against vectors of what a peer's code does."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..core.text import say


def protocols(
    name: Annotated[
        str | None, typer.Argument(help="A protocol, or a .yaml file. Without one: all of them, a line each.")
    ] = None,
    check: Annotated[
        list[Path] | None,
        typer.Option("--check", help="Vectors file to compare the protocol with (docs/protocols.md); repeatable."),
    ] = None,
    script: Annotated[
        str | None, typer.Option("--script", help="Only lines whose script holds this; else those of the protocol's own peer.")
    ] = None,
    show: Annotated[int, typer.Option("--show", min=0, help="Inputs printed for every way of differing.")] = 3,
) -> int:
    """List the protocols, print every setting of one with its source, or compare it with vectors (exit 1 if any differs)."""
    from ..agent.protocols import PROTOCOLS, parse_protocol
    from ..core.errors import UsageError

    if name is None:
        if check:
            raise UsageError("--check needs a protocol's name: cof-eval protocols NAME --check FILE")
        from ..runs.peers.listing import overview

        say(overview(PROTOCOLS.values()))
        return 0
    protocol = parse_protocol(name)
    if not check:
        from ..runs.peers.listing import settings_of

        say(settings_of(protocol))
        return 0
    from ..runs.peers.report import check_protocol, report_text

    report = check_protocol(protocol, check, script=script)
    say(report_text(report, show=show))
    return 1 if report.differing else 0
