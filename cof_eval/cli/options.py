"""Options that several commands share, with their help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Model = Annotated[str, typer.Option("--model", help="Checkpoint: a local folder or a hub id.", show_default=False)]
ProtocolName = Annotated[
    str,
    typer.Option(
        "--protocol",
        help="How the model is asked: cof, deepeyes, mini_o3, pixel_reasoner, qwen3_vl, direct, … (docs/protocols.md), or a .yaml file.",
    ),
]
ProtocolArgs = Annotated[
    str,
    typer.Option(
        "--protocol-args",
        help='JSON object: settings of the protocol to change, e.g. {"crop_source": "native"} or {"crops": "blank"}.',
    ),
]
Repeats = Annotated[int, typer.Option("--repeats", min=1, help="Ask every question so often (protocols that sample).")]
OptionOrder = Annotated[
    str, typer.Option("--option-order", help="Of multiple choice: dataset, shuffled[:SEED], rotated[:MOST] or correct_first.")
]
EngineName = Annotated[
    str, typer.Option("--engine", help="What runs the model: vllm or transformers (in process), or openai (a server).")
]
BaseUrl = Annotated[
    str | None,
    typer.Option("--base-url", help="Server of engine openai, e.g. http://127.0.0.1:8000/v1; several: comma-separated."),
]
ServedName = Annotated[str | None, typer.Option("--served-name", help="The model's name on that server.")]
Lora = Annotated[str | None, typer.Option("--lora", help="Folder of a LoRA adapter (engines in process).")]
EngineArgs = Annotated[
    str,
    typer.Option(
        "--engine-args",
        help="JSON object, passed to the engine; for openai: image_format, retries, timeout_s, backoff_s, patience_s.",
    ),
]
MaxPixels = Annotated[int | None, typer.Option("--max-pixels", help="The served processor's pixel cap (engine openai).")]
Benchmarks = Annotated[str, typer.Option("--benchmarks", help="Comma-separated; `cof-eval tasks` lists them.")]
Resolutions = Annotated[
    str,
    typer.Option(
        "--resolutions", help="Comma-separated: 224 … 2560, 4k, native, any other side in pixels; or all (the eight)."
    ),
]
BenchmarkModule = Annotated[
    list[Path] | None,
    typer.Option("--benchmark-module", help="Python file that defines BENCHMARKS = {name: Benchmark(…)}; repeatable."),
]
Data = Annotated[list[str] | None, typer.Option("--data", help="NAME=PATH: local folder of a benchmark; repeatable.")]
AllowOutside = Annotated[
    bool, typer.Option("--allow-outside", help="Let rows name images outside their benchmark's folder, by path or by link.")
]
JudgeCard = Annotated[str, typer.Option("--judge", help="Judge card: equivalence, equivalence_image, strict, or a folder.")]
JudgeUrl = Annotated[
    str | None, typer.Option("--judge-url", help="Judge's server, several comma-separated; without one, rules alone decide.")
]
ViewName = Annotated[
    str,
    typer.Option(
        "--view",
        help="What of each image is shown: full, target (the annotated region alone) or none (text only); its own run.",
    ),
]
Out = Annotated[Path | None, typer.Option("--out", help="Run folder; with the same settings it resumes where it stopped.")]
Limit = Annotated[int | None, typer.Option("--limit", min=1, help="Only the first N questions of every task.")]
Seed = Annotated[int, typer.Option("--seed", help="For protocols that sample.")]
Concurrency = Annotated[int, typer.Option("--concurrency", min=1, help="Rollouts at once.")]
Keep = Annotated[str, typer.Option("--keep-images", help="none, crops (previews up to 1024 px) or all (every pixel).")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Print only the result, caveats and errors.")]
Verbose = Annotated[bool, typer.Option("--verbose", help="Print everything, also what lmms-eval and the engine write.")]
Note = Annotated[str | None, typer.Option("--note", help="A caveat for run.yaml and the report.")]
EstimateOnly = Annotated[
    bool,
    typer.Option("--estimate", help="Say seconds, tokens and dollars to expect, from a pilot or a finished run; then stop."),
]
EstimateFrom = Annotated[
    Path | None,
    typer.Option("--estimate-from", help="Run folder whose rates --estimate takes; else the nearest one that is found."),
]
PricePerGpuHour = Annotated[
    float | None, typer.Option("--price-per-gpu-hour", min=0, help="Dollars of one GPU for one hour, for --estimate.")
]
Gpus = Annotated[int | None, typer.Option("--gpus", min=1, help="GPUs that the run takes, for --estimate.")]
PricesFile = Annotated[
    Path | None,
    typer.Option("--prices", help="YAML or JSON file of what models cost (docs/cost.md): $ per question in the report."),
]
Budget = Annotated[
    float | None,
    typer.Option("--budget", min=0, help="Dollars that the run may spend, earlier sessions included; needs --prices."),
]
PriceIn = Annotated[
    float | None, typer.Option("--price-in", min=0, help="Dollars per million prompt tokens, for --estimate; with --price-out.")
]
PriceOut = Annotated[
    float | None,
    typer.Option("--price-out", min=0, help="Dollars per million generated tokens, for --estimate; with --price-in."),
]
