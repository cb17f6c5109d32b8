"""`cof-eval doctor`: what would go wrong, before anything is generated."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import typer

from ..core.text import say
from .options import (
    AllowOutside,
    BaseUrl,
    BenchmarkModule,
    Benchmarks,
    Data,
    EngineArgs,
    EngineName,
    JudgeCard,
    JudgeUrl,
    Limit,
    Lora,
    MaxPixels,
    Model,
    OptionOrder,
    ProtocolArgs,
    ProtocolName,
    Repeats,
    Resolutions,
    ServedName,
    ViewName,
)


def doctor(
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
    limit: Limit = None,
    repeats: Repeats = 1,
    option_order: OptionOrder = "dataset",
    view: ViewName = "full",
    benchmark_module: BenchmarkModule = None,
    allow_outside: AllowOutside = False,
) -> None:
    """Look for everything that would go wrong in `cof-eval run` with the same options. Loads no weights.

    A server is asked for two replies of one token, and for one to a question with a known answer, or a native call. Exit status:
    0 nothing would fail, 1 something would, 2 wrong usage.
    """
    from ..core.settings import use_allow_outside, use_benchmark_modules

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
        "judge": judge,
        "judge_url": judge_url,
        "view": view,
    }
    asked = {"limit": limit, "repeats": repeats, "option_order": option_order}
    raise typer.Exit(1 if asyncio.run(_examine(arguments, benchmarks, resolutions, data or [], asked)) else 0)


async def _examine(arguments: dict[str, Any], benchmarks: str, resolutions: str, data: list[str], asked: dict[str, Any]) -> int:
    """Print each finding as it is known; how many of them would make a run fail."""
    from ..agent.protocols import parse_protocol
    from ..agent.protocols.protocol import check_repeats
    from ..core.option_order import parse_order
    from ..core.settings import data_folder, parse_model_args, quiet_engines
    from ..lmms.launch import parse_benchmarks, parse_resolutions, use_data
    from ..runs.doctor import examine
    from ..runs.finding import Level

    settings, order = parse_model_args(arguments), parse_order(asked["option_order"])
    protocol = parse_protocol(settings.protocol, settings.protocol_args)
    check_repeats(protocol, asked["repeats"])
    names, points = parse_benchmarks(benchmarks), parse_resolutions(resolutions)
    use_data(data)
    quiet_engines()
    counts: Counter[Level] = Counter()
    async for finding in examine(
        settings,
        protocol,
        benchmarks=[(name, data_folder(name)) for name in names],
        resolutions=points,
        limit=asked["limit"],
        order=order,
        repeats=asked["repeats"],
    ):
        say(finding)
        counts[finding.level] += 1
    warnings = "1 warning" if counts[Level.WARNING] == 1 else f"{counts[Level.WARNING]} warnings"
    say(f"\n{counts[Level.OK]} ok, {warnings}, {counts[Level.FAILED]} failed")
    return counts[Level.FAILED]
