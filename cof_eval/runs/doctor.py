"""`cof-eval doctor`: everything that would go wrong in a run, found before anything is generated.

Data, engine, protocol and judge are looked at in the order in which a run meets them. A served model is also asked a few
things (`server_probe`): what a server refuses, shrinks, or puts elsewhere than a run expects, shows here.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..agent.engine import Engine
from ..agent.protocols import Protocol
from ..benchmarks import BENCHMARKS
from ..benchmarks.hub import check_hub, without_fetching
from ..benchmarks.sizes import PUBLISHED, published_tokens
from ..benchmarks.views import exclusions, view_items
from ..core.errors import CofError, NotFetchedError
from ..core.option_order import OptionOrder
from ..core.records import Size
from ..core.resolution import COUNTED, PixelLimits, Resolution
from ..core.settings import ModelSettings, api_key, judge_api_key
from ..engines import EngineSettings, check_engine, open_engine
from ..engines.checkpoint import find_served, load_checkpoint
from ..engines.served_family import find_family
from ..judging import judge_settings, start_judge
from ..judging.identity import who
from ..judging.known_pairs import check_known_pairs
from ..servers import parse_urls
from .finding import Finding, Level
from .plan import Job, PlannedJob, Planner
from .preflight import preflight
from .selftest import selftest
from .server_probe import try_server
from .template_probe import check_template
from .work import jobs


async def examine(
    settings: ModelSettings,
    protocol: Protocol,
    *,
    benchmarks: Sequence[tuple[str, Path | None]],
    resolutions: Sequence[Resolution],
    limit: int | None = None,
    order: OptionOrder = OptionOrder(),  # noqa: B008  (frozen)
    repeats: int = 1,
) -> AsyncIterator[Finding]:
    """Look at everything that a run with these settings would use; each finding as soon as it is known.

    Args:
        settings: the model's arguments.
        protocol: how the model would be asked.
        benchmarks: name and local folder (None for the usual place) of each.
        resolutions: at which their images would be shown.
        limit: only the first questions of each benchmark.
        order: in which options are shown.
        repeats: how often each question is asked.
    """
    natives: set[Size] = set()
    data: list[_Data] = []
    unfetched: dict[str, NotFetchedError] = {}
    for name, folder in benchmarks:
        try:
            with without_fetching():
                rows = BENCHMARKS[name].load(folder)
            shown = view_items(rows, settings.view)[:limit]
            planned = list(jobs(name, shown, resolutions, order=order, repeats=repeats))
            notes = (*filter(None, [rows.note]), *exclusions(rows, settings.view))
            data.append(_Data(name, len(shown), planned, notes))
        except NotFetchedError as error:
            unfetched[name] = error
        except CofError as error:
            yield Finding(Level.FAILED, f"data of {name}", str(error))
    try:
        check_engine(settings, protocol)
        engine = await open_engine(settings.engine, EngineSettings.of(settings, api_key()), protocol)
    except CofError as error:
        yield Finding(Level.FAILED, f"engine {settings.engine}", str(error))
        limits = protocol.limits(find_family(None, protocol, [settings.pretrained], settings.max_pixels).limits)
    else:
        limits = protocol.limits(engine.limits)
        yield Finding(Level.OK, f"engine {settings.engine}", _abilities(engine))
        async for finding in _with_engine(settings, protocol, engine, data, resolutions, natives):
            yield finding
        await engine.close()
        for url in parse_urls(settings.base_url or "") if settings.engine == "openai" else ():
            async for finding in try_server(settings, protocol, url, resolutions, natives):
                yield finding
    for name, missing in unfetched.items():
        yield await asyncio.to_thread(check_unfetched, name, missing, resolutions, limits, limit)
    yield await check_judge(settings)


def check_unfetched(
    name: str, missing: NotFetchedError, resolutions: Sequence[Resolution], limits: PixelLimits, limit: int | None
) -> Finding:
    """Whether a benchmark that is not on this machine can be fetched, and what generating would cost, as far as published."""
    what, (title, repository) = f"data of {name}", missing.args
    known = PUBLISHED.get(name)
    if known is None:
        costs = "its costs are unknown until it is fetched"
    else:
        least, most = published_tokens(known, resolutions, limits, limit)
        tokens = f"at most {most:,}" if least is None else f"about {least:,} to {most:,}"
        rows = min(known.rows, limit or known.rows)
        costs = f"{rows:,} questions, {tokens} visual tokens, crops aside (from the {known.source})"
    try:
        check_hub(title, name, repository)
    except CofError as error:
        return Finding(Level.FAILED, what, f"{error}. Expected: {costs}")
    return Finding(Level.WARNING, what, f"not on this machine; a run fetches {repository}. Expected: {costs}")


async def _with_engine(
    settings: ModelSettings,
    protocol: Protocol,
    engine: Engine,
    data: Sequence[_Data],
    resolutions: Sequence[Resolution],
    natives: set[Size],
) -> AsyncIterator[Finding]:
    """Everything that an engine's word decides; `natives` gets the sizes of all images, px."""
    planner = Planner(checkpoint="doctor", protocol=protocol, limits=protocol.limits(engine.limits))
    for each in data:
        yield check_data(each, planner)
    natives.update(image.size for image in planner.seen.values())
    questions = [job.question for each in data for job in each.jobs if job.source]
    for finding in preflight(settings, protocol, engine, resolutions, natives, questions):
        yield finding
    if settings.engine == "openai" and getattr(engine, "checkpoint", None) is None:  # a run leaves transformers unloaded there
        folder = find_served(settings.pretrained)
        for finding in check_template(protocol, load_checkpoint(str(folder)) if folder else None):
            yield finding
    for finding in await asyncio.to_thread(selftest, protocol, engine.limits, resolutions):
        yield finding


def _abilities(engine: Engine) -> str:
    limits = engine.limits
    served = getattr(engine, "served_name", None)
    what = f"serves {served!r}; " if served else ""
    images = COUNTED if limits.counted else f"images of {limits.min_pixels:,} to {limits.max_pixels:,} px²"
    return f"{what}context {engine.context:,} tokens, {images}"


@dataclass(frozen=True, slots=True)
class _Data:
    """A benchmark's rows as a run would ask them."""

    name: str
    questions: int
    jobs: list[Job]
    notes: tuple[str, ...]
    """What cannot be asked."""


def check_data(data: _Data, planner: Planner) -> Finding:
    """Whether every image of a benchmark can be shown, and what generating would cost at least."""
    plans = [planner.plan(job) for job in data.jobs]
    bad = {plan.job.doc_id: plan for plan in plans if plan.error}
    distinct = {plan.key: plan for plan in plans}
    tokens = sum(plan.visual_tokens for plan in distinct.values())
    costs = "visual tokens not predicted" if planner.limits.counted else f"at least {tokens:,} visual tokens"
    says = "; ".join([f"{data.questions:,} questions, {len(distinct):,} distinct rollouts, {costs}", *data.notes])
    if not data.jobs:
        return Finding(Level.FAILED, f"data of {data.name}", f"no question can be asked; {says}")
    if not bad:
        return Finding(Level.WARNING if data.notes else Level.OK, f"data of {data.name}", says)
    first: PlannedJob = next(iter(bad.values()))
    level = Level.FAILED if all(plan.error for plan in plans) else Level.WARNING
    return Finding(level, f"data of {data.name}", f"{says}; {len(bad):,} images cannot be shown, the first: {first.error}")


async def check_judge(settings: ModelSettings) -> Finding:
    """Whether the judge can be asked."""
    try:
        judge = await start_judge(settings.judge, settings.judge_url, judge_api_key(settings.judge_url, settings.base_url))
    except CofError as error:
        return Finding(Level.FAILED, "judge", str(error))
    if judge.client is not None:
        try:
            problem = await check_known_pairs(judge)
        finally:
            await judge.close()
        what = f"{judge.card.name}, served as {who(judge_settings(judge))}"
        if problem:
            return Finding(Level.FAILED, "judge", f"{what}: asked two pairs whose labels are known, {problem}")
        return Finding(Level.OK, "judge", f"{what}; it decides a right and a wrong pair rightly")
    if judge.card.asks:
        says = f"{judge.card.name}, without a server: answers that its rules leave undecided stay unscored. Give --judge-url"
        return Finding(Level.WARNING, "judge", says)
    return Finding(Level.OK, "judge", f"{judge.card.name}, rules only")
