"""`cof-eval run`: evaluate one checkpoint under one protocol."""

from __future__ import annotations

import asyncio
import shlex
import sys

import typer

from ..core.errors import InterruptedRunError, UsageError
from .estimate import estimate_run, parse_prices
from .finish import finish
from .options import (
    BaseUrl,
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
    Repeats,
    Resolutions,
    Seed,
    ServedName,
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
    seed: Seed = 0,
    concurrency: Concurrency = 64,
    keep_images: Keep = "crops",
    note: Note = None,
    estimate: EstimateOnly = False,
    estimate_from: EstimateFrom = None,
    price_per_gpu_hour: PricePerGpuHour = None,
    gpus: Gpus = None,
    price_in: PriceIn = None,
    price_out: PriceOut = None,
) -> None:
    """Evaluate one checkpoint under one protocol, and write its report.

    Exit status: 0 all scored, 1 something unscored or failed, 2 wrong usage, 130 interrupted (the same command goes on).
    """
    from ..lmms.launch import launch

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
    try:
        data_ = launch(
            arguments,
            benchmarks=benchmarks,
            resolutions=resolutions,
            data=data or [],
            limit=limit,
            repeats=repeats,
            order=option_order,
        )
        status = finish([data_], data_.path / "report")
    except KeyboardInterrupt:
        command = shlex.join(sys.argv)
        raise InterruptedRunError(
            f"interrupted; everything finished is kept. To go on, run the same command again:\n  {command}"
        ) from None
    raise typer.Exit(status)
