"""Letters of options: A to Z."""

from __future__ import annotations

import string
from collections.abc import Sequence

LETTERS = string.ascii_uppercase


def option_letters(count: int) -> tuple[str, ...]:
    """The letters of so many options.

    Raises:
        ValueError: if there are more options than letters.
    """
    if count > len(LETTERS):
        raise ValueError(f"{count} options are more than the letters A to Z: at most {len(LETTERS)} can be asked")
    return tuple(LETTERS[:count])


def option_lines(options: Sequence[str]) -> list[str]:
    """Options as lines "(A) …".

    Raises:
        ValueError: if there are more options than letters.
    """
    return [f"({letter}) {option}" for letter, option in zip(option_letters(len(options)), options, strict=True)]
