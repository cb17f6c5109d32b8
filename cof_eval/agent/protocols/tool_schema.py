"""The function that native calls offer to a model: made from the settings that decide what a call means, so that both agree."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ...core.errors import UsageError
from ..engine import Tool
from ..view import ImageNaming
from ..zoom import ToolKind
from .cropping import BoxFrame

if TYPE_CHECKING:
    from .protocol import Protocol

_KEYS = ("description", "parameters")

_FRAMES = {
    BoxFrame.SHOWN: "in pixels of the image",
    BoxFrame.NATIVE: "in pixels of the image file",
    BoxFrame.UNIT: "as fractions of the image's width and height, from 0 to 1",
    BoxFrame.UNIT_OR_PIXELS: "as fractions of the image's width and height, from 0 to 1",
    BoxFrame.BELOW_ONE_OR_PIXELS: "as fractions of the image's width and height, from 0 to 1",
    BoxFrame.MILLI: "from 0 to 1000 over the image's width and height",
}
_NAMES = {
    ImageNaming.OBSERVATION: ("string", "original_image for the first image, observation_1 for the first crop, and so on"),
    ImageNaming.FROM_ZERO: ("integer", "0 for the first image, 1 for the first crop, and so on"),
    ImageNaming.FROM_ONE: ("integer", "1 for the first image, 2 for the first crop, and so on"),
}
_CROP = "Zoom in on a region of an image. The crop comes back as a new image."
_WHOLE = "Show the whole image again, in its full resolution."


def check_schema(schema: Mapping[str, Any]) -> None:
    """Refuse a `tool_schema` that no server could take.

    Raises:
        UsageError: for an unknown key (listing the known ones), or a value of another kind.
    """
    unknown = sorted(map(str, set(schema) - set(_KEYS)))
    if unknown:
        raise UsageError(f"tool_schema: unknown {', '.join(unknown)}; known: {', '.join(_KEYS)}")
    parameters = schema.get("parameters", {})
    if not isinstance(schema.get("description", ""), str) or not isinstance(parameters, Mapping):
        raise UsageError("tool_schema: description must be a text, and parameters a JSON schema")
    if parameters and (parameters.get("type") != "object" or not isinstance(parameters.get("properties"), Mapping)):
        raise UsageError('tool_schema: parameters must be a JSON schema with "type": "object" and "properties"')


def tool_of(protocol: Protocol) -> Tool:
    """The function of a protocol."""
    whole = protocol.tool_kind is ToolKind.WHOLE
    schema = protocol.tool_schema
    return Tool(
        protocol.tool,
        schema.get("description") or (_WHOLE if whole else _CROP),
        schema.get("parameters") or _parameters(protocol, whole=whole),
    )


def _parameters(protocol: Protocol, *, whole: bool) -> dict[str, Any]:
    properties: dict[str, Any] = {}
    required = []
    if not whole:
        properties[protocol.box_argument] = {
            "type": "array",
            "items": {"type": "number"},
            "minItems": 4,
            "maxItems": 4,
            "description": f"The region as [x1, y1, x2, y2]: its top-left and bottom-right corner, {_FRAMES[protocol.frame]}.",
        }
        required.append(protocol.box_argument)
    if protocol.image_argument:
        kind, names = _NAMES[protocol.image_naming]
        properties[protocol.image_argument] = {"type": kind, "description": f"The image that the region lies on: {names}."}
        required += [protocol.image_argument] if protocol.image_default is None else []
    for name in protocol.text_arguments:
        properties[name] = {"type": "string", "description": "The name of the object in the region."}
        required.append(name)
    return {"type": "object", "properties": properties, "required": required}
