"""A protocol fixes everything between a question and a score that is not the model: prompts, frames, limits, decoding.

Its settings are grouped by what they decide (`asking`, `reading`, `calling`, `cropping`, `decoding`). Prompt strings that
checkpoints were trained with are interfaces: every character counts, and each names its source. A number that changes a score
stands here, is written to `run.yaml`, and is printed in the report.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, replace
from functools import lru_cache
from typing import Any

import msgspec

from ...core.errors import UsageError
from ...core.records import Corners, ToolCall, digest, to_json
from ...core.resolution import PixelLimits
from ..engine import Tool
from ..reply import SYNTAXES, CallSyntax, Reading, Reply
from ..reply.calls import CallForm
from ..reply.dialects import Dialect
from ..reply.native import write_tool_calls
from ..zoom import ToolKind, ZoomRules
from .asking import IMAGE, Asking
from .calling import Calling, Calls, CallsPerTurn, Precedence
from .cropping import BoxFrame, Cropping, Crops
from .decoding import FORCED_ANSWER, Decoding
from .filling import fill
from .tool_schema import tool_of

__all__ = [
    "FORCED_ANSWER", "GROUPS", "IMAGE", "BoxFrame", "Calls", "CallsPerTurn", "Crops", "Precedence", "Protocol", "check_repeats", "complete", "default_settings", "fill",
    "protocol_digest",
]  # fmt: skip

GROUPS: Mapping[str, type[Any]] = {
    "asking": Asking,
    "reading": Reading,
    "calling": Calling,
    "cropping": Cropping,
    "decoding": Decoding,
}
"""The settings by what they decide."""

_POSITIVE = ("max_turns", "max_images", "max_new_tokens", "context", "widen", "enlarge", "repetition_penalty")
_NOT_NEGATIVE = ("temperature", "pad", "min_side", "crop_min_pixels", "top_k")


@dataclass(frozen=True, kw_only=True)
class Protocol(Decoding, Cropping, Calling, Reading, Asking):
    """How a model is asked, what it may do, and how its text is read."""

    def __post_init__(self) -> None:
        for name in _POSITIVE:
            if getattr(self, name) <= 0:
                raise UsageError(f"protocol {self.name!r}: {name}={getattr(self, name)} must be positive")
        for name in _NOT_NEGATIVE:
            if getattr(self, name) < 0:
                raise UsageError(f"protocol {self.name!r}: {name}={getattr(self, name)} must not be negative")
        for group in GROUPS.values():
            try:
                group.__post_init__(self)
            except UsageError as error:
                says = str(error)
                raise UsageError(says if says.startswith("protocol ") else f"protocol {self.name!r}: {says}") from None

    @property
    def zooms(self) -> bool:
        """Whether there is a tool."""
        return self.call_syntax is not CallSyntax.NONE

    @property
    def boxes_in_pixels(self) -> bool:
        """Whether boxes are, or may be, in pixels: they need an image whose size is known."""
        return self.zooms and self.tool_kind is ToolKind.CROP and self.frame not in (BoxFrame.UNIT, BoxFrame.MILLI)

    @property
    def native(self) -> bool:
        """Whether calls come apart from the text."""
        return self.zooms and self.calls is Calls.NATIVE

    @property
    def tools(self) -> tuple[Tool, ...]:
        """The functions that a server is given; none where the prompt describes the tool."""
        return (tool_of(self),) if self.native else ()

    def read_turn(self, text: str, tool_calls: Sequence[ToolCall] = ()) -> Reply:
        """Read one turn: its text, and its native calls."""
        return self.read_native(text, tool_calls) if self.native else self.read(text)

    def write_turn(self, text: str, tool_calls: Sequence[ToolCall] = ()) -> str:
        """A turn as one text: native calls are written out in the call syntax."""
        return write_tool_calls(text, tool_calls, self.call_syntax, self.call_form) if tool_calls else text

    @property
    def call_form(self) -> CallForm:
        """What the call syntax leaves open."""
        return replace(super().call_form, tool=self.tool, box=self.box_argument, image=self.image_argument)

    def zoom_rules(self, limits: PixelLimits) -> ZoomRules:
        """How a box becomes a crop under these limits."""
        return ZoomRules(
            self.crop_source,
            self.widen,
            self.enlarge,
            self.crop_limits(limits),
            self.bad_call,
            tool=self.tool,
            pad=self.pad,
            min_side=self.min_side,
            small_box=self.small_box,
            naming=self.image_naming,
            image_argument=self.image_argument,
            pixels_above=self.pixels_above,
            kind=self.tool_kind,
            any_tool=self.any_tool,
            box_argument=self.box_argument,
            text_arguments=self.text_arguments,
            image_default=self.image_default,
            from_end=self.image_from_end,
            quoted_numbers=self.call_dialect is Dialect.LOOSE,
            outside=self.outside,
            flat_box=self.flat_box,
            edges=self.edges,
            max_aspect=self.max_aspect,
            crop_of_crop=self.crop_of_crop,
            size_from=self.crop_size_from,
            fits=self.crop_fits,
            filter=self.crop_filter,
        )

    def call_text(self, corners: Corners, image: int = 0) -> str:
        """A call as a checkpoint of this protocol writes it; see `call_arguments`."""
        return SYNTAXES[self.call_syntax].write(self.tool, self.call_arguments(corners, image), self.call_form)

    def tool_call(self, corners: Corners, image: int = 0) -> ToolCall:
        """The same as a native call."""
        return ToolCall("", self.tool, json.dumps(self.call_arguments(corners, image)))

    def call_arguments(self, corners: Corners, image: int = 0) -> dict[str, object]:
        """The arguments of a call.

        Args:
            corners: in the protocol's frame.
            image: the image it lies on: 0 for the shown one, k for the k-th crop.
        """
        arguments: dict[str, object] = {} if self.tool_kind is ToolKind.WHOLE else {self.box_argument: list(corners)}
        if self.image_argument:
            arguments[self.image_argument] = self.image_naming.name_of(image)
        return arguments | dict.fromkeys(self.text_arguments, "object")


_FIRST = frozenset(
    {"name", "system", "question", "open_question", "option", "format", "crop_turn", "error_turn", "between", "closing", "call_syntax", "answer_syntax",
     "precedence", "calls_per_turn", "bad_call", "tool", "image_naming", "image_argument", "frame", "crop_source", "crops", "widen", "pad", "min_side",
     "small_box", "enlarge", "factor", "min_pixels", "max_pixels", "crop_min_pixels", "max_turns", "max_images", "max_new_tokens", "context",
     "temperature", "top_p", "repetition_penalty", "turn_patterns"}
)  # fmt: skip
"""Settings that every protocol's digest holds; the others came later and count only where they are not at their default."""


def default_settings() -> dict[str, Any]:
    """Every setting that has a default, with it."""
    values = {}
    for each in fields(Protocol):
        if each.default is not MISSING:
            values[each.name] = each.default
        elif each.default_factory is not MISSING:
            values[each.name] = each.default_factory()
    return values


@lru_cache(maxsize=16)
def protocol_digest(protocol: Protocol) -> str:
    """Identifies a protocol's settings; one that leaves every later setting at its default has the digest that it always had."""
    defaults = default_settings()
    values = {f.name: getattr(protocol, f.name) for f in fields(Protocol)}
    kept = {name: value for name, value in values.items() if name in _FIRST or value != defaults.get(name)}
    return digest(to_json(kept).decode())


def complete(recorded: Mapping[str, Any]) -> dict[str, Any]:
    """A protocol as an older version recorded it, with the settings that came later at their defaults."""
    later = {name: value for name, value in default_settings().items() if name not in _FIRST}
    return {**msgspec.json.decode(msgspec.json.encode(later)), **recorded}


def check_repeats(protocol: Protocol, repeats: int) -> None:
    """Refuse repeats that would all be the same.

    Raises:
        UsageError: if the protocol does not sample.
    """
    if repeats > 1 and protocol.temperature == 0:
        raise UsageError(
            f"{repeats} repeats under protocol {protocol.name!r} would all be the same: it decodes at temperature 0. Ask once, or "
            "sample with --protocol-args '{\"temperature\": 0.7}'"
        )
