"""`cof-eval run`: evaluate one checkpoint under one protocol."""

from __future__ import annotations

import asyncio
from pathlib import Path

import typer

from ..core.errors import BudgetReachedError, UsageError
from ..core.text import say
from .estimate import estimate_run, parse_prices
from .finish import finish
from .options import (
    AllowOutside,
    BaseUrl,
    BenchmarkModule,
    Benchmarks,
    Budget,
    Concurrency,
    Data,
    EngineArgs,
    EngineName,
    EstimateFrom,
    EstimateOnly,
    Gpus,
    JudgeCard,
    JudgeUrl,
    Keep,
    Limit,
    Lora,
    MaxPixels,
    Model,
    Note,
    OptionOrder,
    Out,
    PriceIn,
    PriceOut,
    PricePerGpuHour,
    PricesFile,
    ProtocolArgs,
    ProtocolName,
    Quiet,
    Repeats,
    Resolutions,
    Seed,
    ServedName,
    Verbose,
    ViewName,
)


def run(
    model: Model,
    protocol: ProtocolName = "cof",
    protocol_args: ProtocolArgs = "{}",
    engine: EngineName = "vllm",
    base_url: BaseUrl = None,
    served_name: ServedName = None,
    lora: Lora = None,
    engine_args: EngineArgs = "{}",
    max_pixels: MaxPixels = None,
    benchmarks: Benchmarks = "vstar",
    resolutions: Resolutions = "all",
    data: Data = None,
    judge: JudgeCard = "equivalence",
    judge_url: JudgeUrl = None,
    out: Out = None,
    limit: Limit = None,
    repeats: Repeats = 1,
    option_order: OptionOrder = "dataset",
    view: ViewName = "full",
    benchmark_module: BenchmarkModule = None,
    allow_outside: AllowOutside = False,
    seed: Seed = 0,
    concurrency: Concurrency = 64,
    keep_images: Keep = "crops",
    note: Note = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
    estimate: EstimateOnly = False,
    estimate_from: EstimateFrom = None,
    price_per_gpu_hour: PricePerGpuHour = None,
    gpus: Gpus = None,
    price_in: PriceIn = None,
    price_out: PriceOut = None,
    prices: PricesFile = None,
    budget: Budget = None,
) -> None:
    """Evaluate one checkpoint under one protocol, and write its report.

    Exit status: 0 all scored, 1 something unscored or failed, 2 wrong usage, 3 the budget is reached, 128 + the signal's number if one
    ended it (130 Ctrl-C, 143 SIGTERM): the same command resumes, after 3 with a higher --budget.
    """
    if quiet and verbose:
        raise UsageError("--quiet and --verbose exclude each other; pass one of them")
    from ..core.settings import use_allow_outside, use_benchmark_modules
    from ..lmms.launch import launch
    from ..runs.console import Detail
    from ..runs.folder import load_run
    from .session import session

    use_benchmark_modules(benchmark_module or [])
    use_allow_outside(allow_outside)
    arguments = {
        "pretrained": model,
        "protocol": protocol,
        "protocol_args": protocol_args,
        "engine": engine,
        "base_url": base_url,
        "served_name": served_name,
        "lora": lora,
        "engine_args": engine_args,
        "max_pixels": max_pixels,
        "run": str(out) if out else None,
        "judge": judge,
        "judge_url": judge_url,
        "view": view,
        "seed": seed,
        "concurrency": concurrency,
        "keep_images": keep_images,
        "note": note,
        "prices": str(prices) if prices else None,
        "budget": budget,
    }
    if estimate or estimate_from:
        named = parse_prices(price_per_gpu_hour, price_in, price_out)
        lines = estimate_run(
            arguments,
            benchmarks=benchmarks,
            resolutions=resolutions,
            data=data or [],
            limit=limit,
            repeats=repeats,
            order=option_order,
            rates_from=estimate_from,
            prices=named,
            gpus=gpus,
        )
        say("\n".join(asyncio.run(lines)))
        return
    if any(value is not None for value in (price_per_gpu_hour, gpus, price_in, price_out)):
        raise UsageError(
            "--gpus and --price-… are for the estimate: add --estimate, or leave them out; --prices FILE is for both"
        )
    detail = Detail.QUIET if quiet else Detail.VERBOSE if verbose else Detail.NORMAL
    with session(detail) as screen:
        reached = None
        try:
            run_data = launch(
                arguments,
                benchmarks=benchmarks,
                resolutions=resolutions,
                data=data or [],
                limit=limit,
                repeats=repeats,
                order=option_order,
                screen=screen,
            )
        except BudgetReachedError as error:
            reached, run_data = error, load_run(Path(error.run))
        status = finish([run_data], run_data.path / "report", screen)
    if reached:
        raise reached
    raise typer.Exit(status)
