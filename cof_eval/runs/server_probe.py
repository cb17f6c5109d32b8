"""What a server is asked before a run: many images, the largest image of the plan, and one question with a known answer.

A server that refuses images or shrinks them, that takes parts of a reply out of its text, or does not take all of decoding, shows here.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import suppress
from dataclasses import replace

from PIL import Image

from ..agent.engine import Engine, ImagePart, Message, Request, Role, TextPart
from ..agent.protocols import Protocol
from ..agent.rollout import Subject, rollout
from ..agent.showing import look, size_shown
from ..core.errors import CofError, ImageError
from ..core.images import pixel_hash
from ..core.records import ImageRef, Question, Size, Stop, Trajectory
from ..core.resolution import PixelLimits, Resolution, effective_cap, shown_size
from ..core.secrets import safe_url
from ..core.settings import ModelSettings, api_key
from ..engines import EngineSettings, open_engine
from .finding import Finding, Level
from .native_probe import check_native_call
from .served_notes import image_formats, served_notes


async def try_server(
    settings: ModelSettings, protocol: Protocol, url: str, resolutions: Sequence[Resolution], natives: Collection[Size]
) -> AsyncIterator[Finding]:
    """Ask one server what would go wrong in a run.

    Args:
        settings: the model's arguments.
        protocol: how the model would be asked.
        url: the server's.
        resolutions: at which images would be shown.
        natives: (width, height) of the native images, px; none if they are not known.
    """
    try:
        engine = await open_engine("openai", replace(EngineSettings.of(settings, api_key()), base_url=url), protocol)
    except CofError as error:
        yield Finding(Level.WARNING, "server", str(error))
        return
    try:
        yield Finding(Level.OK, "server", safe_url(url))
        yield await check_many_images(engine, protocol)
        yield await check_largest_image(engine, protocol, resolutions, natives)
        if not protocol.native:
            yield await check_reply(engine, protocol, min(resolutions, key=lambda r: r.side or r.max_pixels or 1 << 30))
        for finding in await check_native_call(engine, protocol):
            yield finding
        facts = getattr(engine, "facts", {})
        for image_format in image_formats(facts):
            yield Finding(Level.OK, "image format", f"images travel as {image_format}")
        for note in served_notes(facts):
            yield Finding(Level.WARNING, "server, tried", str(note))
    finally:
        await engine.close()


async def check_many_images(engine: Engine, protocol: Protocol) -> Finding:
    """Whether a server takes as many images in one conversation as the protocol may show."""
    side = max(engine.limits.factor, 28) * 4
    images = [Image.new("RGB", (side, side), (i, 0, 0)) for i in range(min(protocol.max_images, engine.max_images))]
    try:
        await engine.generate(_probe(images, engine.limits))
    except CofError as error:
        cure = f"start it with --limit-mm-per-prompt '{{\"image\": {protocol.max_images}}}'"
        return Finding(
            Level.FAILED, "images, tried", f"{len(images)} small images in one prompt: {error}; if it limits images, {cure}"
        )
    return Finding(Level.OK, "images, tried", f"{len(images)} in one prompt")


def largest_shown(
    protocol: Protocol, limits: PixelLimits, resolutions: Sequence[Resolution], natives: Collection[Size]
) -> tuple[Resolution, Size]:
    """The largest image of a plan: at which resolution, and its size, px; a square where no native sizes are known."""
    largest = max(resolutions, key=lambda r: effective_cap(r, limits))
    side = int(effective_cap(largest, limits) ** 0.5)
    sizes = []
    for native in natives:
        with suppress(ImageError):  # `data of …` tells of images that cannot be shown
            sizes.append(size_shown(native, largest, protocol, limits))
    return largest, max(sizes, key=lambda size: size[0] * size[1], default=shown_size((side, side), largest, limits))


async def check_largest_image(
    engine: Engine, protocol: Protocol, resolutions: Sequence[Resolution], natives: Collection[Size]
) -> Finding:
    """Whether a server shows the largest image as it is."""
    limits = protocol.limits(engine.limits)
    largest, size = largest_shown(protocol, limits, resolutions, natives)
    image = Image.new("RGB", size)
    expected = limits.tokens(image.size)
    what = f"pixels at {largest.name}, tried"
    try:
        reply = await engine.generate(_probe([image], limits))
    except CofError as error:
        return Finding(Level.FAILED, what, f"an image of {image.width}×{image.height}: {error}")
    if reply.visual_tokens is None:
        says = 'the server does not tell which tokens it used: rows will say "pixels unverified"'
        return Finding(Level.WARNING, what, says)
    if limits.counted:
        says = f"{image.width}×{image.height} is taken, {reply.visual_tokens:,} visual tokens counted, {reply.engine_s:.1f} s"
        return Finding(Level.OK, what, says)
    if reply.visual_tokens != expected:
        says = (
            f"an image of {image.width}×{image.height} became {reply.visual_tokens:,} visual tokens, {expected:,} were predicted: the server "
            f"resizes it again. Start it with --mm-processor-kwargs '{{\"max_pixels\": {limits.max_pixels}}}', or lower --max-pixels"
        )
        return Finding(Level.FAILED, what, says)
    return Finding(
        Level.OK, what, f"{image.width}×{image.height} shown as it is, {expected:,} visual tokens, {reply.engine_s:.1f} s"
    )


def _probe(images: Sequence[Image.Image], limits: PixelLimits) -> Request:
    parts = [ImagePart(image, pixel_hash(image), limits.tokens(image.size)) for image in images]
    message = Message(Role.USER, (*parts, TextPart("What is this?")))
    return Request(conversation="doctor", messages=(message,), max_tokens=1)


KNOWN_QUESTION = "Which color fills the whole image?"
_COLORS = ("red", "blue")


async def check_reply(engine: Engine, protocol: Protocol, resolution: Resolution) -> Finding:
    """Whether the first reply to a question with a known answer can be read: as a call, or as the answer."""
    what = "reply, tried"
    try:
        ended = await _ask_known(engine, replace(protocol, max_turns=1), resolution)
    except CofError as error:
        return Finding(Level.FAILED, what, str(error))
    said = ended.turns[0].text if ended.turns else ""
    match ended.stop:
        case Stop.ERROR:
            return Finding(Level.FAILED, what, ended.error or "the server failed")
        case Stop.ANSWERED:
            return Finding(Level.OK, what, f"an answer is read: {ended.answer[:60]!r} (a red image; the answer is A, red)")
        case Stop.MAX_TURNS:
            return Finding(Level.OK, what, "a call is read")
        case Stop.LENGTH:
            return Finding(Level.OK, what, f"cut at {protocol.max_new_tokens:,} tokens: {said[:60]!r}")
        case Stop.CONTEXT_FULL:
            return Finding(Level.FAILED, what, "a small image and a short question do not fit the server's context")
    says = f"neither an answer nor a call is read from {said[:80]!r}; does protocol {protocol.name} fit the checkpoint?"
    return Finding(Level.WARNING, what, says)


async def _ask_known(engine: Engine, protocol: Protocol, resolution: Resolution) -> Trajectory:
    native = Image.new("RGB", (448, 336), (220, 20, 20))
    view = look(native, resolution, protocol, protocol.limits(engine.limits))
    name = pixel_hash(view.shown)
    options = "\n".join(f"({letter}) {color}" for letter, color in zip("AB", _COLORS, strict=True))
    text = f"{KNOWN_QUESTION}\n{options}\nAnswer with the option's letter from the given choices directly."
    box = ((0.0, 0.0, 447.0, 335.0),)
    question = Question("known", "doctor", "", "known", text, _COLORS, "A", box)
    return await rollout(
        Subject(question=question, image=ImageRef(name, native.size), view=view, shown_hash=name, key="doctor"),
        engine,
        protocol,
    )
