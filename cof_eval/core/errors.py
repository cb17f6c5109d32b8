"""The exception tree: everything that a user can fix is raised as a `CofError`, with a one-line message.

A message says what was wrong (with the value), what was expected, and what to do. The command line prints it without a
traceback; anything that is not a `CofError` is a defect of ours and keeps its traceback.
"""

from __future__ import annotations

import errno

from .text import one_line


class CofError(Exception):
    """Root of every error that a user can act on."""


class UsageError(CofError, ValueError):
    """An argument, name or setting that cannot be used."""


class NotFetchedError(CofError, LookupError):
    """A dataset is not on this machine, and was not to be fetched."""


class DataError(CofError, ValueError):
    """A benchmark's files or rows are not what they must be."""


class ImageError(DataError):
    """An image that cannot be read or shown; the row it belongs to is counted as unscored."""


class RunError(CofError, RuntimeError):
    """A run folder that cannot be used: locked, made with other settings, damaged, or on a full disk."""


class EngineError(CofError, RuntimeError):
    """One generation failed; its rollout stops as `error` and stays unscored until resumed."""


class ContextFullError(EngineError):
    """The engine refused a prompt because it does not fit its context."""


class EngineUnusableError(CofError, RuntimeError):
    """The engine cannot serve this run at all: it does not load, does not answer, or shows other pixels than asked for."""


class ServerError(CofError, RuntimeError):
    """The servers of a model failed a request for good."""


class RefusedError(ServerError):
    """A server refuses a request for what it holds; sending it again would not help."""


class PromptTooLongError(RefusedError):
    """A server refuses a request because prompt and reply do not fit the model's context."""


class NoServerError(ServerError):
    """No server will take any request of this run."""


class JudgeError(CofError, RuntimeError):
    """The judge gave no usable verdict; the answer stays unscored."""


class InterruptedRunError(CofError, RuntimeError):
    """A signal ended a command; what was finished is kept."""

    def __init__(self, message: str, signal: int = 2) -> None:
        super().__init__(message)
        self.status = 128 + signal
        """Exit status, as shells count it."""


class BudgetReachedError(CofError, RuntimeError):
    """The next request might cost more than is left of the budget; what was finished is kept."""

    status = 3
    """Exit status."""

    def __init__(self, message: str, run: str = "") -> None:
        super().__init__(message)
        self.run = run
        """The run's folder, where that is known."""


def system_says(error: OSError, cure: str) -> str:
    """Why the system refuses a file, and what to do: `cure`, unless this process has too many files open."""
    full = error.errno in (errno.EMFILE, errno.ENFILE)
    return f"{error.strerror}; {'raise the limit with `ulimit -n 65536`' if full else cure}"


def first_line(error: BaseException) -> str:
    """The first line of an error's message; its kind where it has none."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def flat_message(error: BaseException, *, chars: int = 200) -> str:
    """An error's whole message on one line, cut to so many characters; its kind where it has none."""
    return one_line(error)[:chars] or type(error).__name__
