"""`cof-eval doctor`: everything that would go wrong in a run, found before anything is generated.

Data, engine, protocol and judge are looked at in the order in which a run meets them. A served model is also asked for one
token, with as many images as the protocol may show and with the largest: what a server refuses, or shrinks, shows here.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path

from PIL import Image

from ..agent.engine import Engine, ImagePart, Message, Request, Role, TextPart
from ..agent.protocols import Protocol
from ..benchmarks import BENCHMARKS, Item
from ..core.errors import CofError
from ..core.images import pixel_hash
from ..core.resolution import PixelLimits, Resolution, effective_cap, shown_size, visual_tokens
from ..core.settings import ModelSettings, api_key
from ..engines import EngineSettings, check_engine, open_engine
from ..engines.checkpoint import find_checkpoint
from ..engines.gpus import find_gpus
from ..judging import start_judge
from ..judging.known_pair import check_known_pair
from ..servers import parse_urls
from .plan import Job, PlannedJob, Planner
from .preflight import Finding, Level, check_boxes, check_memory, check_served, preflight
from .selftest import selftest
from .template_probe import check_template


async def examine(
    settings: ModelSettings,
    protocol: Protocol,
    *,
    benchmarks: Sequence[tuple[str, Path | None]],
    resolutions: Sequence[Resolution],
    limit: int | None = None,
) -> AsyncIterator[Finding]:
    """Look at everything that a run with these settings would use; each finding as soon as it is known.

    Args:
        settings: the model's arguments.
        protocol: how the model would be asked.
        benchmarks: name and local folder (None for the usual place) of each.
        resolutions: at which their images would be shown.
        limit: only the first questions of each benchmark.
    """
    items: dict[str, list[Item]] = {}
    for name, folder in benchmarks:
        try:
            items[name] = BENCHMARKS[name].load(folder)[:limit]
        except CofError as error:
            yield Finding(Level.FAILED, f"data of {name}", str(error))
    try:
        check_engine(settings)
        engine = await open_engine(settings.engine, EngineSettings.of(settings, api_key()), protocol)
    except CofError as error:
        yield Finding(Level.FAILED, f"engine {settings.engine}", str(error))
    else:
        yield Finding(Level.OK, f"engine {settings.engine}", _abilities(engine))
        async for finding in _with_engine(settings, protocol, engine, items, resolutions):
            yield finding
        await engine.close()
        for url in parse_urls(settings.base_url or "") if settings.engine == "openai" else ():
            for finding in await try_server(settings, protocol, url, resolutions):
                yield finding
    yield await check_judge(settings)


async def _with_engine(
    settings: ModelSettings,
    protocol: Protocol,
    engine: Engine,
    items: dict[str, list[Item]],
    resolutions: Sequence[Resolution],
) -> AsyncIterator[Finding]:
    planner = Planner(checkpoint="doctor", protocol=protocol, limits=protocol.limits(engine.limits))
    for name, rows in items.items():
        yield check_data(name, rows, planner, resolutions)
    natives = {image.size for image in planner.seen.values()}
    served = None if settings.served_name else getattr(engine, "served_name", None)
    for finding in (*check_served(settings.pretrained, served), *preflight(protocol, engine, resolutions, natives)):
        yield finding
    for finding in check_template(protocol, getattr(engine, "checkpoint", None)):
        yield finding
    if settings.engine != "openai":
        folder = find_checkpoint(settings.pretrained)
        for finding in check_memory(folder, settings.engine_args, engine.context, find_gpus()):
            yield finding
    for finding in check_boxes(protocol, [item.question for rows in items.values() for item in rows]):
        yield finding
    for finding in await asyncio.to_thread(selftest, protocol, engine.limits, resolutions):
        yield finding


async def try_server(settings: ModelSettings, protocol: Protocol, url: str, resolutions: Sequence[Resolution]) -> list[Finding]:
    """Ask one server for one token, with many images and with the largest."""
    try:
        engine = await open_engine("openai", replace(EngineSettings.of(settings, api_key()), base_url=url), protocol)
    except CofError as error:
        return [Finding(Level.WARNING, "server", str(error))]
    try:
        return [
            Finding(Level.OK, "server", url),
            await check_many_images(engine, protocol),
            await check_largest_image(engine, protocol, resolutions),
        ]
    finally:
        await engine.close()


def _abilities(engine: Engine) -> str:
    limits = engine.limits
    served = getattr(engine, "served_name", None)
    what = f"serves {served!r}; " if served else ""
    return f"{what}context {engine.context:,} tokens, images of {limits.min_pixels:,} to {limits.max_pixels:,} px²"


def check_data(name: str, items: Sequence[Item], planner: Planner, resolutions: Sequence[Resolution]) -> Finding:
    """Whether every image of a benchmark can be shown, and what generating would cost at least."""
    jobs = [
        Job(task=f"cof_{name}_{r.name}", doc_id=i, question=item.question, resolution=r, source=item.image)
        for i, item in enumerate(items)
        for r in resolutions
    ]
    plans = [planner.plan(job) for job in jobs]
    bad = {plan.job.doc_id: plan for plan in plans if plan.error}
    distinct = {plan.key: plan for plan in plans if not plan.error}
    tokens = sum(plan.visual_tokens for plan in distinct.values())
    says = f"{len(items):,} questions, {len(distinct):,} distinct rollouts, at least {tokens:,} visual tokens"
    if not bad:
        return Finding(Level.OK, f"data of {name}", says)
    first: PlannedJob = next(iter(bad.values()))
    level = Level.FAILED if len(bad) == len(items) else Level.WARNING
    return Finding(level, f"data of {name}", f"{says}; {len(bad):,} images cannot be shown, the first: {first.error}")


async def check_many_images(engine: Engine, protocol: Protocol) -> Finding:
    """Whether a server takes as many images in one conversation as the protocol may show."""
    side = engine.limits.factor * 4
    images = [Image.new("RGB", (side, side), (i, 0, 0)) for i in range(min(protocol.max_images, engine.max_images))]
    try:
        await engine.generate(_probe(images, engine.limits))
    except CofError as error:
        cure = f"start it with --limit-mm-per-prompt '{{\"image\": {protocol.max_images}}}'"
        return Finding(
            Level.FAILED, "images, tried", f"{len(images)} small images in one prompt: {error}; if it limits images, {cure}"
        )
    return Finding(Level.OK, "images, tried", f"{len(images)} in one prompt")


async def check_largest_image(engine: Engine, protocol: Protocol, resolutions: Sequence[Resolution]) -> Finding:
    """Whether a server shows the largest image as it is."""
    limits = protocol.limits(engine.limits)
    largest = max(resolutions, key=lambda r: effective_cap(r, limits))
    side = int(effective_cap(largest, limits) ** 0.5)
    image = Image.new("RGB", shown_size((side, side), largest, limits))
    expected = visual_tokens(image.size, limits.factor)
    what = f"pixels at {largest.name}, tried"
    try:
        reply = await engine.generate(_probe([image], limits))
    except CofError as error:
        return Finding(Level.FAILED, what, f"an image of {image.width}×{image.height}: {error}")
    if reply.visual_tokens is None:
        says = 'the server does not tell which tokens it used: rows will say "pixels unverified"'
        return Finding(Level.WARNING, what, says)
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
    parts = [ImagePart(image, pixel_hash(image), visual_tokens(image.size, limits.factor)) for image in images]
    message = Message(Role.USER, (*parts, TextPart("What is this?")))
    return Request(conversation="doctor", messages=(message,), max_tokens=1)


async def check_judge(settings: ModelSettings) -> Finding:
    """Whether the judge can be asked."""
    try:
        judge = await start_judge(settings.judge, settings.judge_url, api_key())
    except CofError as error:
        return Finding(Level.FAILED, "judge", str(error))
    if judge.client is not None:
        try:
            problem = await check_known_pair(judge)
        finally:
            await judge.close()
        what = f"{judge.card.name}, served as {judge.model!r}"
        if problem:
            return Finding(Level.FAILED, "judge", f"{what}: asked a pair whose label is known, {problem}")
        return Finding(Level.OK, "judge", f"{what}; it decides a known pair rightly")
    if judge.card.asks:
        says = f"{judge.card.name}, without a server: answers that its rules leave undecided stay unscored. Give --judge-url"
        return Finding(Level.WARNING, "judge", says)
    return Finding(Level.OK, "judge", f"{judge.card.name}, rules only")
