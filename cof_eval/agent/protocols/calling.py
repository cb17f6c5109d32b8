"""How a protocol handles a turn's calls: which are executed, the tool's name, and the result of a bad one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from ...core.errors import UsageError
from ..view import ImageNaming
from ..zoom import TOOL_NAME, BadCall, ToolKind
from .tool_schema import check_schema


class CallsPerTurn(StrEnum):
    """Which calls of one turn are executed."""

    ALL = "all"
    FIRST = "first"
    LAST = "last"


class Calls(StrEnum):
    """How the tool is offered and called."""

    TEXT = "text"
    """In the prompt; calls stand in the model's text, in `call_syntax`."""
    NATIVE = "native"
    """As a function of the server's API; calls come apart from the text (served models only)."""


class Precedence(StrEnum):
    """What counts when a turn holds both a call and an answer."""

    ANSWER = "answer"
    CALL = "call"


class AtLimit(StrEnum):
    """What a rollout that a limit ends has answered."""

    NOTHING = "nothing"
    TEXT = "text"
    """The last turn's whole text (DeepEyes)."""


@dataclass(frozen=True, kw_only=True)
class Calling:
    """The settings by which calls are executed."""

    calls: Calls = Calls.TEXT
    """How the tool is offered and called."""
    tool_schema: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """Native calls: `description` and `parameters` (JSON schema) of the function; what is missing is made from the other settings."""
    precedence: Precedence = Precedence.ANSWER
    """What counts when a turn holds both a call and an answer."""
    calls_per_turn: CallsPerTurn = CallsPerTurn.ALL
    """Which calls of one turn are executed."""
    bad_call: BadCall = BadCall.TEXT
    """What a call that cannot be executed gives."""
    tool: str = TOOL_NAME
    """The tool's name."""
    image_naming: ImageNaming = ImageNaming.NONE
    """How a call names the image that its box lies on: the shown one or an earlier crop."""
    image_argument: str = ""
    """The argument that names the image."""
    image_default: int | None = None
    """The image that a call without a name means, by index (0: the shown one); none: such a call is refused."""
    image_from_end: bool = False
    """Whether image numbers are read as Python's list index reads them: whole ones only, -1 the last image."""
    tool_kind: ToolKind = ToolKind.CROP
    """What the tool gives: a crop, or the whole image."""
    any_tool: bool = False
    """Whether calls of other tools, and of none, are executed too."""
    box_argument: str = "bbox_2d"
    """The argument that holds the box."""
    text_arguments: tuple[str, ...] = ()
    """Arguments that every call must give as text."""
    at_limit: AtLimit = AtLimit.NOTHING
    """What a rollout that the limit of turns ends has answered."""
    answer_turns_all: bool = False
    """Whether the answer is looked for in all turns together once a rollout ends without one in the last (Pixel-Reasoner)."""

    def __post_init__(self) -> None:
        check_schema(self.tool_schema)
        if (self.image_naming is ImageNaming.NONE) != (self.image_argument == ""):
            raise UsageError(
                f"image_naming={self.image_naming.value} and image_argument={self.image_argument!r} go together: "
                "a call either names its image in an argument or not at all"
            )
        if self.image_default is not None and (self.image_default < 0 or self.image_naming is ImageNaming.NONE):
            raise UsageError(
                f"image_default={self.image_default} must be the index of an image (0: the shown one) that calls may name"
            )
