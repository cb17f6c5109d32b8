"""From a plan and the run folders at hand to an estimate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from ..agent.engine import Engine
from ..agent.protocols import Protocol
from ..core.provenance import machine
from ..core.records import Stop
from ..core.secrets import safe_urls
from ..core.settings import ModelSettings
from .estimate import Prices, estimate
from .estimate_text import NO_PRICES, Told
from .plan import PlannedJob
from .rates import Records, find_rates, load_records
from .work import work


def run_costs(
    settings: ModelSettings,
    protocol: Protocol,
    engine: Engine,
    plans: Sequence[PlannedJob],
    identity: Mapping[str, Any],
    *,
    run: Path,
    pilot: Records | None = None,
    rates_from: Path | None = None,
    prices: Prices = NO_PRICES,
    gpus: int | None = None,
) -> Told:
    """What the unfinished part of a run is expected to take.

    Args:
        settings: the model's arguments.
        protocol: how it is asked.
        engine: opened, not started.
        plans: every row of the run.
        identity: the checkpoint's.
        run: the run folder; it need not exist.
        pilot: what it holds, where that has been read.
        rates_from: the run folder that the rates are to come from; None to look for one.
        prices: named by the user.
        gpus: that the run takes; None if that is not known.

    Raises:
        RunError: if the named run folder cannot be used, or the run's own is damaged.
    """
    pilot = load_records(run) if pilot is None else pilot
    finished = {key for key, trajectory in pilot.trajectories.items() if trajectory.stop is not Stop.ERROR}
    todo = work(plans, {plan.key for plan in plans} - finished, protocol, engine)
    rates = find_rates(run, pilot, _as_run(settings, protocol, identity), rates_from)
    samples, measured = (rates.samples, rates.pace) if rates else ({}, None)
    found = estimate(todo, samples, measured, concurrency=settings.concurrency, prices=prices.model)
    return Told(
        estimate=found, rates=rates, prices=prices, gpus=gpus if rates is None or rates.on_gpus or prices.gpu_hour else None
    )


def _as_run(settings: ModelSettings, protocol: Protocol, identity: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that decide how fast a run is, as its run.yaml will say them."""
    return {
        "model": dict(identity),
        "protocol": msgspec.json.decode(msgspec.json.encode(protocol)),
        "view": settings.view.value,
        "engine": {"name": settings.engine, "engine_args": dict(settings.engine_args)},
        "machine": machine(),
        "sessions": [{"concurrency": settings.concurrency, "base_url": settings.base_url and safe_urls(settings.base_url)}],
    }
