"""A command that evaluates, from its first line to its last: whose output is whose, and how it ends when it is stopped or fails."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from ..core.errors import DataError, InterruptedRunError, UsageError
from ..core.secrets import safe_urls
from ..runs.console import Detail, Screen, say_failure
from ..runs.log_capture import LogCapture
from .stopping import Stopped, stop_signals


@contextmanager
def session(detail: Detail = Detail.NORMAL, *, name: str = "run") -> Iterator[Screen]:
    """A screen on the terminal, and everything that others write in a log.

    Raises:
        InterruptedRunError: if Ctrl-C, SIGTERM or SIGHUP ended it; it says what is kept and how to resume.
    """
    screen: Screen | None = None
    with stop_signals() as stopped:
        try:
            with LogCapture(echo=detail is Detail.VERBOSE) as log:
                screen = Screen(detail, log=log, name=name)
                try:
                    yield screen
                finally:
                    screen.clear()
        except KeyboardInterrupt:
            raise interrupted(stopped, screen) from None
        except (UsageError, DataError):
            raise
        except Exception as error:
            if stopped.came:  # an engine process got the signal too, and its end was noticed first
                raise interrupted(stopped, screen) from None
            if screen is not None and not isinstance(error, InterruptedRunError):
                say_failure(screen)
            raise


def interrupted(stopped: Stopped, screen: Screen | None) -> InterruptedRunError:
    """The error for a command that was stopped."""
    kept = screen.kept() if screen else "everything finished is kept"
    return InterruptedRunError(f"{stopped.words}; {kept}. To resume, run the same command again:\n  {_command()}", stopped.by)


def _command() -> str:
    """This command as a shell takes it again; secrets in URLs have to be filled in."""
    program, *words = sys.argv
    typed = [sys.executable, "-m", "cof_eval.cli"] if program.endswith("__main__.py") else [program]
    return safe_urls(shlex.join([*typed, *words]))
