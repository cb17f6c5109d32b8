"""`cof-eval run --estimate`: what a run would take, said before anything is generated."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.errors import UsageError

if TYPE_CHECKING:
    from ..core.settings import ModelSettings
    from ..runs.estimate import Prices
    from ..runs.estimate_text import Told


def parse_prices(per_gpu_hour: float | None, million_in: float | None, million_out: float | None) -> Prices:
    """The prices that were named.

    Raises:
        UsageError: if only one of two prices of tokens is named, or both kinds of prices.
    """
    from ..runs.estimate import Prices

    if (million_in is None) != (million_out is None):
        raise UsageError("--price-in and --price-out go together: dollars per million tokens of prompts and of replies")
    if per_gpu_hour is not None and million_in is not None:
        raise UsageError("--price-per-gpu-hour and --price-in are two ways to pay; name one of them")
    if not all(price is None or math.isfinite(price) for price in (per_gpu_hour, million_in, million_out)):
        raise UsageError("a price is a number of dollars, 0 or more")
    return Prices(gpu_hour=per_gpu_hour, million_in=million_in, million_out=million_out)


async def estimate_run(
    arguments: Mapping[str, Any],
    *,
    benchmarks: str,
    resolutions: str,
    data: Sequence[str],
    limit: int | None,
    repeats: int,
    order: str,
    rates_from: Path | None,
    prices: Prices,
    gpus: int | None,
) -> list[str]:
    """What a run with these options would take, as lines. Generates nothing and writes no run folder.

    Raises:
        CofError: for anything that a user can fix.
    """
    from ..agent.protocols import parse_protocol
    from ..agent.protocols.protocol import check_repeats
    from ..benchmarks import BENCHMARKS
    from ..benchmarks.views import view_items
    from ..core.option_order import parse_order
    from ..core.paths import run_path
    from ..core.settings import api_key, data_folder, parse_model_args, quiet_engines
    from ..engines import EngineSettings, check_engine, open_engine
    from ..engines.checkpoint import identify
    from ..lmms.launch import parse_benchmarks, parse_resolutions, use_data
    from ..runs.costs import run_costs
    from ..runs.estimate import Prices
    from ..runs.estimate_text import NO_PRICES, estimate_lines
    from ..runs.paying import open_paying
    from ..runs.plan import Planner
    from ..runs.work import jobs

    settings, orders = parse_model_args(arguments), parse_order(order)
    names, points = parse_benchmarks(benchmarks), parse_resolutions(resolutions)
    protocol = parse_protocol(settings.protocol, settings.protocol_args)
    check_repeats(protocol, repeats)
    check_engine(settings, protocol)
    use_data(data)
    quiet_engines()
    rows = {name: BENCHMARKS[name].load(data_folder(name)) for name in names}
    items = {name: view_items(rows[name], settings.view)[:limit] for name in names}
    identity = identify(settings)
    engine = await open_engine(settings.engine, EngineSettings.of(settings, api_key()), protocol)
    try:
        paying = open_paying(settings, engine, None)
        if paying and prices != NO_PRICES:
            raise UsageError("--prices and --price-… are two ways to name what the model costs; name one of them")
        prices = Prices(model=paying.model) if paying else prices
        planner = Planner(checkpoint=identity["fingerprint"], protocol=protocol, limits=protocol.limits(engine.limits))
        plans = [planner.plan(job) for name in names for job in jobs(name, items[name], points, order=orders, repeats=repeats)]
        told: Told = run_costs(
            settings, protocol, engine, plans, identity,
            run=run_path(settings, protocol.name), rates_from=rates_from, prices=prices, gpus=gpus or _gpus(settings),
        )  # fmt: skip
    finally:
        await engine.close()
    return [*estimate_lines(told), *(f"caveat  {name}: {each.note}" for name, each in rows.items() if each.note)]


def _gpus(settings: ModelSettings) -> int | None:
    """How many GPUs an engine in process takes, as its arguments say; a server's are not known."""
    if settings.engine == "openai":
        return None
    names = ("tensor_parallel_size", "pipeline_parallel_size", "data_parallel_size")
    sizes = [settings.engine_args.get(name, 1) for name in names]
    return math.prod(size for size in sizes if isinstance(size, int))
