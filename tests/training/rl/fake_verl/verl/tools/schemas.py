"""verl's tool response, as far as our tool touches it (verl 0.9, `verl/tools/schemas.py`)."""

from dataclasses import dataclass
from typing import Any


@dataclass
class ToolResponse:
    text: str | None = None
    image: list[Any] | None = None
