"""From a plan and the run folders at hand to an estimate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from ..agent.engine import Engine
from ..agent.protocols import Protocol
from ..core.journal import read_journal
from ..core.provenance import machine
from ..core.records import Stop, Trajectory
from ..core.settings import ModelSettings
from .estimate import Prices, estimate
from .estimate_text import Told
from .plan import Planned
from .rates import find_rates
from .work import work


def run_costs(
    settings: ModelSettings,
    protocol: Protocol,
    engine: Engine,
    plans: Sequence[Planned],
    identity: Mapping[str, Any],
    *,
    run: Path,
    rates_from: Path | None = None,
    prices: Prices = Prices(),  # noqa: B008  frozen
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
        rates_from: the run folder that the rates are to come from; None to look for one.
        prices: named by the user.
        gpus: that the run takes; None if that is not known.

    Raises:
        RunError: if the named run folder cannot be used, or the run's own is damaged.
    """
    finished = {t.key for t in read_journal(run / "trajectories.jsonl", Trajectory) if t.stop is not Stop.ERROR}
    todo = work(plans, {plan.key for plan in plans} - finished, protocol, engine)
    rates = find_rates(run, _as_run(settings, protocol, identity), rates_from)
    found = estimate(
        todo, rates.samples if rates else {}, rates.pace if rates else None, concurrency=settings.concurrency
    )
    return Told(estimate=found, rates=rates, prices=prices, gpus=gpus if rates is None or rates.on_gpus or prices.gpu_hour else None)


def _as_run(settings: ModelSettings, protocol: Protocol, identity: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that decide how fast a run is, as its run.yaml will say them."""
    return {
        "model": dict(identity),
        "protocol": msgspec.to_builtins(protocol),
        "engine": {"name": settings.engine, "engine_args": dict(settings.engine_args)},
        "machine": machine(),
        "sessions": [{"concurrency": settings.concurrency, "base_url": settings.base_url}],
    }
