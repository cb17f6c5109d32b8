"""`cof-eval run`: evaluate one checkpoint under one protocol."""

from __future__ import annotations

import asyncio

import typer

from ..core.errors import UsageError
from .estimate import estimate_run, parse_prices
from .finish import finish
from .options import (
    BaseUrl,
    BenchmarkModule,
    Benchmarks,
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
) -> None:
    """Evaluate one checkpoint under one protocol, and write its report.

    Exit status: 0 all scored, 1 something unscored or failed, 2 wrong usage, 128 + the signal's number if one ended it (130 Ctrl-C,
    143 SIGTERM): the same command resumes.
    """
    if quiet and verbose:
        raise UsageError("--quiet and --verbose exclude each other; pass one of them")
    from ..core.settings import use_benchmark_modules
    from ..lmms.launch import launch
    from ..runs.console import Detail
    from .session import session

    use_benchmark_modules(benchmark_module or [])
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
    }
    if estimate or estimate_from:
        prices = parse_prices(price_per_gpu_hour, price_in, price_out)
        lines = estimate_run(
            arguments,
            benchmarks=benchmarks,
            resolutions=resolutions,
            data=data or [],
            limit=limit,
            repeats=repeats,
            order=option_order,
            rates_from=estimate_from,
            prices=prices,
            gpus=gpus,
        )
        typer.echo("\n".join(asyncio.run(lines)))
        return
    if any(value is not None for value in (price_per_gpu_hour, gpus, price_in, price_out)):
        raise UsageError("--gpus and prices are for the estimate: add --estimate, or leave them out")
    detail = Detail.QUIET if quiet else Detail.VERBOSE if verbose else Detail.NORMAL
    with session(detail) as screen:
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
        status = finish([run_data], run_data.path / "report", screen)
    raise typer.Exit(status)
