"""The settings of a run, and the only reader of environment variables.

| variable | meaning |
|---|---|
| `COF_RUN` | run folder, where the model argument `run` is not given; for other models, where their plain answers are kept |
| `COF_JUDGE_URL` | base URL of the judge's server, where the model argument `judge_url` is not given |
| `COF_DATA_<BENCHMARK>` | local folder or file of a benchmark, for instance `COF_DATA_VSTAR` |
| `COF_BENCHMARK_MODULES` | Python files with benchmarks of their own (`--benchmark-module`), separated as in `PATH` |
| `COF_ALLOW_OUTSIDE` | 1: images may lie outside their benchmark's folder (`--allow-outside`) |
| `COF_CACHE` | where images inside tables are unpacked; `$XDG_CACHE_HOME/cof-eval` or `~/.cache/cof-eval` if unset |
| `COF_OPTION_ORDER` | order of the options: `dataset`, `shuffled[:SEED]`, `rotated[:MOST]` or `correct_first` (`--option-order`) |
| `COF_VIEW` | what of each image is shown: `full`, `target` or `none` (`--view`, the model argument `view`) |
| `COF_LIMIT` | only the first questions of every task (`--limit`); lmms-eval's own `--limit` counts rows, repeats and rotations too |
| `OPENAI_API_KEY` | sent to the model's servers; `EMPTY` if unset |
| `COF_JUDGE_API_KEY` | sent to the judge's servers; if unset, `OPENAI_API_KEY` where they are the model's own, else `EMPTY` |
| `HTTP_PROXY`, `HTTPS_PROXY`, `NO_PROXY` | the proxy for servers, and the hosts that are asked without it |
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from .errors import UsageError
from .image_view import ImageView, parse_view
from .option_order import OptionOrder, OrderKind, parse_order
from .secrets import NO_KEY

JUDGE_CONCURRENCY = 64
"""Questions to a judge's server at once, unless the user says otherwise."""


class KeepImages(StrEnum):
    """Which images a run stores."""

    NONE = "none"
    CROPS = "crops"
    """Previews (JPEG, at most 1024 px) of shown images and crops."""
    ALL = "all"
    """Every pixel (PNG) of shown images and crops."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSettings:
    """The arguments of the lmms-eval model `cof`, checked."""

    pretrained: str
    """Checkpoint: a local folder or a hub id."""
    engine: str = "vllm"
    protocol: str = "cof"
    protocol_args: Mapping[str, Any] = field(default_factory=dict)
    """Settings of the protocol to change, e.g. one quirk of the released evaluation: {"bad_call": "whole_image"}."""
    lora: str | None = None
    """Folder of a LoRA adapter (engines in process)."""
    concurrency: int = 64
    """Rollouts at once."""
    engine_args: Mapping[str, Any] = field(default_factory=dict)
    """Passed to the engine as they are."""
    base_url: str | None = None
    """Server of engine openai."""
    served_name: str | None = None
    """Name under which that server serves the model."""
    max_pixels: int | None = None
    """The processor's cap where its files are not at hand (engine openai), px²."""
    run: str | None = None
    """Run folder."""
    judge: str = "equivalence"
    """Judge card: a folder of `judges/`."""
    judge_url: str | None = None
    """Base URL of the judge's server; without one, rules alone decide."""
    view: ImageView = ImageView.FULL
    """What of each image is shown; part of the run's identity."""
    keep_images: KeepImages = KeepImages.CROPS
    seed: int = 0
    note: str | None = None
    """A caveat for run.yaml and the report."""
    prices: str | None = None
    """File of the model's and the judge's prices."""
    budget: float | None = None
    """Dollars that the run may spend over all its sessions; needs `prices`."""

    def __post_init__(self) -> None:
        if not self.pretrained:
            raise UsageError("model argument pretrained is missing; expected a checkpoint folder or a hub id")
        for name, number in (("concurrency", self.concurrency), ("max_pixels", self.max_pixels)):
            if number is not None and number < 1:
                raise UsageError(f"model argument {name}={number} must be at least 1")
        if self.budget is not None and not (math.isfinite(self.budget) and self.budget > 0):
            raise UsageError(f"model argument budget={self.budget} must be a number of dollars above 0")
        if self.budget is not None and not self.prices:
            raise UsageError("model argument budget needs prices: a file with what the model costs (docs/cost.md)")


_CHOICES: Mapping[str, type[StrEnum]] = {"keep_images": KeepImages, "view": ImageView}
_TEXTS = frozenset(each.name for each in fields(ModelSettings) if each.type in ("str", "str | None"))
_OBJECTS = frozenset(each.name for each in fields(ModelSettings) if each.type == "Mapping[str, Any]")


def parse_model_args(arguments: Mapping[str, Any]) -> ModelSettings:
    """Model arguments as lmms-eval hands them over (strings, numbers, JSON) as settings.

    Raises:
        UsageError: for an unknown argument (listing the known ones) or a value that cannot be used.
    """
    known = {each.name for each in fields(ModelSettings)}
    unknown = sorted(set(arguments) - known)
    if unknown:
        raise UsageError(f"unknown model argument {', '.join(unknown)}; known: {', '.join(sorted(known))}")
    values = {name: _guessed_back(name, value) for name, value in arguments.items() if value is not None}
    values.setdefault("pretrained", "")
    values.setdefault("run", os.environ.get("COF_RUN") or None)
    values.setdefault("view", os.environ.get("COF_VIEW") or ImageView.FULL)
    values.setdefault("judge_url", os.environ.get("COF_JUDGE_URL") or None)
    try:
        return msgspec.convert(values, ModelSettings, strict=False)
    except msgspec.ValidationError as error:
        raise _refusal(error, values) from error


def _guessed_back(name: str, value: Any) -> Any:
    """A value as it was before lmms-eval took a name for a number, or left JSON as text."""
    if name in _TEXTS:
        return str(value)
    if name not in _OBJECTS or not isinstance(value, str):
        return value
    try:
        return msgspec.json.decode(value.removeprefix("'").removesuffix("'"))  # lmms-eval's documentation quotes JSON so
    except msgspec.DecodeError as error:
        raise UsageError(
            f'model argument {name} is not JSON ({error}); expected for instance {name}={{"max_num_seqs": 32}}'
        ) from error


def _refusal(error: msgspec.ValidationError, values: Mapping[str, Any]) -> UsageError:
    """What is wrong with a value, in the words of this project."""
    if isinstance(error.__cause__, UsageError):
        return error.__cause__
    place = re.search(r"\$\.(\w+)", str(error))
    name = place[1] if place else "?"
    value = values.get(name)
    if name in _CHOICES:
        return UsageError(f"{name}={value!r} is unknown; known: {', '.join(_CHOICES[name])}")
    kind = "JSON object" if name in _OBJECTS else "number of dollars" if name == "budget" else "whole number"
    return UsageError(f"model argument {name}={value!r} is no {kind}")


def data_folder(benchmark: str) -> Path | None:
    """The local folder of a benchmark, if one was named (`--data`, or `COF_DATA_<BENCHMARK>`)."""
    value = os.environ.get(_data_variable(benchmark))
    return Path(value).expanduser() if value else None


def use_data_folder(benchmark: str, folder: Path) -> None:
    """Name the local folder of a benchmark for this process and its children."""
    os.environ[_data_variable(benchmark)] = str(folder.resolve())


def benchmark_modules() -> tuple[Path, ...]:
    """The Python files with benchmarks of their own (`--benchmark-module`, or `COF_BENCHMARK_MODULES`)."""
    named = os.environ.get("COF_BENCHMARK_MODULES", "").split(os.pathsep)
    return tuple(dict.fromkeys(Path(name).expanduser().resolve() for name in named if name))


def use_benchmark_modules(files: Iterable[Path]) -> None:
    """Name further files with benchmarks for this process and its children."""
    named = dict.fromkeys((*benchmark_modules(), *(file.expanduser().resolve() for file in files)))
    os.environ["COF_BENCHMARK_MODULES"] = os.pathsep.join(map(str, named))


def allow_outside() -> bool:
    """Whether images may lie outside their benchmark's folder (`--allow-outside`, or `COF_ALLOW_OUTSIDE`).

    Raises:
        UsageError: if the variable says neither yes nor no.
    """
    value = os.environ.get("COF_ALLOW_OUTSIDE", "")
    if value not in ("", "0", "1"):
        raise UsageError(f"COF_ALLOW_OUTSIDE={value!r} is neither 1 nor 0")
    return value == "1"


def use_allow_outside(allowed: bool) -> None:
    """Let images lie outside their benchmark's folder, for this process and its children; False leaves the variable's word."""
    if allowed:
        os.environ["COF_ALLOW_OUTSIDE"] = "1"


def cache_folder() -> Path:
    """Where images that benchmarks hold inside tables are unpacked."""
    value = os.environ.get("COF_CACHE")
    if value:
        return Path(value).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cof-eval"


def option_order() -> OptionOrder:
    """The order in which options are shown (`--option-order`, or `COF_OPTION_ORDER`).

    Raises:
        UsageError: if there is no such order.
    """
    return parse_order(os.environ.get("COF_OPTION_ORDER") or OrderKind.DATASET)


def use_option_order(order: str) -> None:
    """Name the order in which options are shown for this process and its children.

    Raises:
        UsageError: if there is no such order.
    """
    os.environ["COF_OPTION_ORDER"] = str(parse_order(order))


def image_view() -> ImageView:
    """What of each image is shown (`--view`, or `COF_VIEW`).

    Raises:
        UsageError: if there is no such view.
    """
    return parse_view(os.environ.get("COF_VIEW") or ImageView.FULL)


def use_image_view(view: ImageView) -> None:
    """Name what of each image is shown for this process and its children."""
    os.environ["COF_VIEW"] = view.value


def question_limit() -> int | None:
    """How many questions of every task are asked (`--limit`, or `COF_LIMIT`); None for all.

    Raises:
        UsageError: if that is no positive number.
    """
    value = os.environ.get("COF_LIMIT") or None
    if value is not None and (not value.isdecimal() or int(value) < 1):
        raise UsageError(f"COF_LIMIT={value!r} is no number of questions; expected at least 1")
    return int(value) if value else None


def use_question_limit(limit: int | None) -> None:
    """Name how many questions of every task are asked for this process and its children."""
    os.environ["COF_LIMIT"] = str(limit or "")


def run_folder() -> Path | None:
    """The run folder named by `COF_RUN`."""
    value = os.environ.get("COF_RUN")
    return Path(value).expanduser() if value else None


def judge_url() -> str | None:
    """The judge's base URL named by `COF_JUDGE_URL`."""
    return os.environ.get("COF_JUDGE_URL") or None


def api_key() -> str:
    """The key sent to the model's servers.

    Raises:
        UsageError: if it holds what no HTTP header can.
    """
    return _key("OPENAI_API_KEY") or NO_KEY


def judge_api_key(judge_urls: str | None, model_urls: str | None = None) -> str:
    """The key sent to the judge's servers: the model's own key goes to no other server than the model's.

    Args:
        judge_urls: base URLs of the judge, in any form that `--judge-url` takes.
        model_urls: base URLs of the model, where it is served.

    Raises:
        UsageError: if the key holds what no HTTP header can.
    """
    theirs, ours = _origins(judge_urls), _origins(model_urls)
    return _key("COF_JUDGE_API_KEY") or (api_key() if theirs and theirs <= ours else NO_KEY)


def proxy_of(url: str) -> str | None:
    """The proxy through which a URL is asked (`HTTP_PROXY`, `HTTPS_PROXY`); None for none, or where `NO_PROXY` excludes it."""
    from urllib.request import getproxies, proxy_bypass

    parts = urlsplit(url)
    host = (parts.hostname or "") + (f":{parts.port}" if parts.port else "")
    proxy = getproxies().get(parts.scheme)
    if not proxy or proxy_bypass(host):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def _key(variable: str) -> str:
    key = os.environ.get(variable, "").strip()
    if not (key.isascii() and key.isprintable()):
        raise UsageError(f"{variable} holds characters that no key has (line breaks, or letters beyond ASCII); copy it again")
    return key


def _origins(urls: str | None) -> set[tuple[str, str | None, int | None]]:
    """Scheme, host and port of each URL."""
    found = (urlsplit(url) for url in re.findall(r"https?://[^,;\s]+", urls or ""))
    return {(parts.scheme, parts.hostname, parts.port) for parts in found}


def world_size() -> int:
    """Processes of a distributed launcher (torchrun, accelerate); 1 without one."""
    value = os.environ.get("WORLD_SIZE", "1")
    return int(value) if value.isdecimal() else 1


def quiet_engines(*, logged: bool = False) -> None:
    """Let vLLM and transformers speak up only when something is wrong, unless the user said otherwise; vLLM tells a log all."""
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "INFO" if logged else "WARNING")
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")


def use_tiny_model() -> None:
    """Set this process and its children up for a tiny model, except where the user said otherwise.

    One thread (on shared cores, more would wait for each other), a small KV cache, nothing compiled or fetched.
    """
    tiny = {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "TORCHDYNAMO_DISABLE": "1", "VLLM_CPU_KVCACHE_SPACE": "1"}
    for name, value in tiny.items():
        os.environ.setdefault(name, value)


def _data_variable(benchmark: str) -> str:
    return f"COF_DATA_{benchmark.upper()}"
