"""The `cof-eval` command. Imports of weight happen inside the commands, so that `--help` answers at once."""

from __future__ import annotations

import sys
from typing import Annotated, NoReturn

import typer

from ..core.errors import BudgetReachedError, CofError, DataError, InterruptedRunError, UsageError
from ..core.supported import version_lines
from ..core.text import say
from .ask import ask
from .data import app as data
from .demo import demo
from .doctor import doctor
from .judge import judge
from .protocols import protocols
from .report import report
from .run import run
from .tasks import tasks

app = typer.Typer(
    name="cof-eval",
    help="Measure how well, and at what cost, vision-language models that zoom answer questions about images.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _print_versions(asked: bool) -> None:
    if asked:
        say("\n".join(version_lines()))
        raise typer.Exit


@app.callback()
def _before_the_command(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_print_versions,
            is_eager=True,
            help="Print the versions of the stack; say which were not tested.",
        ),
    ] = False,
) -> None:
    """Options that stand before the command."""


for command in (run, report, judge, ask, doctor, demo, tasks, protocols):
    app.command()(command)
app.add_typer(data, name="data")


_WrongUsage: type[Exception] = typer.BadParameter.__mro__[1]
"""What typer raises for a command line that it cannot read; it has moved between packages, its child has not."""


def main() -> None:
    """Run the command; an error that a user can fix is one line without a traceback."""
    try:
        status = app(sys.argv[1:] or ["--help"], prog_name="cof-eval", standalone_mode=False)
    except CofError as error:
        _fail(str(error), _status(error))
    except _WrongUsage as error:
        message = error.format_message() if hasattr(error, "format_message") else str(error)
        _fail(f"{' '.join(message.split())} (see cof-eval --help)", 2)
    except (KeyboardInterrupt, typer.Abort):
        _fail("interrupted", _INTERRUPTED)
    if status == _INTERRUPTED:  # newer typers turn Ctrl-C into this
        _fail("interrupted", _INTERRUPTED)
    raise SystemExit(status)


_INTERRUPTED = 130


def _status(error: CofError) -> int:
    if isinstance(error, InterruptedRunError | BudgetReachedError):
        return error.status
    return 2 if isinstance(error, UsageError | DataError) else 1


def _fail(message: str, status: int) -> NoReturn:
    say(f"cof-eval: {message}", err=True)
    raise SystemExit(status)
