"""`python -m cof_eval.cli.peers VECTORS [PAGE]`: the table of docs/protocols.md, measured (`make peers`)."""

from __future__ import annotations

import sys
from pathlib import Path

from ..core.errors import CofError
from ..core.text import say


def main(arguments: list[str]) -> int:
    """Measure every protocol that is held to a peer, and write the table; without a page, print it."""
    from ..runs.peers.table import measure, table, write_table

    if not 1 <= len(arguments) <= 2:
        say("usage: python -m cof_eval.cli.peers VECTORS [PAGE]", err=True)
        return 2
    try:
        text = table(measure(Path(arguments[0])))
        if arguments[1:]:
            write_table(Path(arguments[1]), text)
    except (CofError, OSError) as error:
        say(f"peers: {error}", err=True)
        return 2
    say(text)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
