"""Whether a server takes a model's native calls out of its text: tried with one request, before a run relies on it."""

from __future__ import annotations

from PIL import Image

from ..agent.engine import Engine, ImagePart, Message, Request, Role, TextPart
from ..agent.protocols import Protocol
from ..agent.reply import quoted
from ..core.errors import CofError
from ..core.images import pixel_hash
from .finding import Finding, Level

_WHAT = "native calls, tried"
_MOST_TOKENS = 2048
"""Of the reply: room for thoughts."""
_CURE = "give it the tool parser of its model (vLLM: --enable-auto-tool-choice --tool-call-parser NAME)"


async def check_native_call(engine: Engine, protocol: Protocol) -> list[Finding]:
    """Ask for one call, and see whether it arrives as one; nothing for protocols whose calls are text."""
    if not protocol.native:
        return []
    try:
        reply = await engine.generate(_request(engine, protocol))
    except CofError as error:
        return [Finding(Level.FAILED, _WHAT, str(error))]
    calls = protocol.read_turn(reply.text, reply.tool_calls).calls
    if reply.tool_calls:
        wrong = next((call.error for call in calls if call.error), None)
        if wrong:
            return [Finding(Level.WARNING, _WHAT, f"a call arrived that cannot be executed: {wrong}")]
        return [Finding(Level.OK, _WHAT, f"asked to, the model called {reply.tool_calls[0].name}")]
    if calls:
        return [Finding(Level.FAILED, _WHAT, f"the server left the model's call in the text: {_CURE}")]
    says = f"asked to call {protocol.tool}, the model replied {quoted(reply.text)}. If none of its calls arrive, {_CURE}"
    return [Finding(Level.WARNING, _WHAT, says)]


def _request(engine: Engine, protocol: Protocol) -> Request:
    limits = protocol.limits(engine.limits)
    side = 16 * limits.factor
    image = Image.new("RGB", (side, side), (90, 120, 160))
    part = ImagePart(image, pixel_hash(image), limits.tokens(image.size))
    asks = TextPart(f"Call the function {protocol.tool} once, now, on the middle of the image. Say nothing else.")
    system = (Message(Role.SYSTEM, (TextPart(protocol.system),)),) if protocol.system else ()
    return Request(
        conversation="doctor",
        messages=(*system, Message(Role.USER, (part, asks))),
        max_tokens=min(protocol.max_new_tokens, _MOST_TOKENS),
        tools=protocol.tools,
        pattern=protocol.turn_pattern(0),
        template_kwargs=protocol.chat_template_kwargs,
    )
