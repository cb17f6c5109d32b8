"""Rates of finished rollouts: read from a run folder, the run's own or another of the same kind, and what differs there."""

from __future__ import annotations

import contextlib
import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from ..core.errors import RunError
from ..core.journal import read_journal
from ..core.records import Row, Stop, Trajectory
from ..core.resolution import RESOLUTIONS
from .estimate import FEWEST, Cell, Pace, Sample, pace
from .folder import load_settings

_RUNS = Path("results", "runs")
_NEWEST = 30
"""Run folders that are looked at, the newest first."""
_LARGEST = 64 * 2**20
"""Bytes of a journal that is read without having been asked for by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """What the rollouts of one run took."""

    run: Path
    own: bool
    """Whether it is the very run that is to go on."""
    samples: Mapping[Cell, Sequence[Sample]]
    pace: Pace | None
    rollouts: int
    differences: tuple[str, ...]
    """What was other there than in the run to come."""
    on_gpus: bool
    """Whether it ran on a machine with GPUs."""


def find_rates(run: Path, settings: Mapping[str, Any], named: Path | None = None) -> Rates | None:
    """The rates to estimate with.

    Args:
        run: the folder of the run to come; a pilot in it comes first.
        settings: of the run to come, as in run.yaml.
        named: the run folder that the user named.

    Raises:
        RunError: if the named folder is no run folder, or holds no finished rollout.
    """
    if named is not None:
        found = load_rates(named, settings, own=_same(named, run))
        if not found.samples:
            raise RunError(f"{named} holds no finished rollout to take rates from; name a finished run, or make a pilot with --limit 10")
        return found
    if (run / "run.yaml").is_file():
        own = load_rates(run, settings, own=True)
        if own.samples:
            return own
    return _nearest(run, settings)


def load_rates(run: Path, settings: Mapping[str, Any], *, own: bool = False) -> Rates:
    """The rates of a run folder, finished or not.

    Raises:
        RunError: if it is no run folder, or damaged.
    """
    there = load_settings(run)
    rows = list(read_journal(run / "rows.jsonl", Row))
    ended = {t.key: t for t in read_journal(run / "trajectories.jsonl", Trajectory)}
    ended = {key: t for key, t in ended.items() if t.stop is not Stop.ERROR and t.turns}
    begins = [began for session in there.get("sessions") or [] if (began := _unix(session.get("started"))) is not None]
    return Rates(
        run=run,
        own=own,
        samples=_samples(rows, ended),
        pace=pace(((t.ended, t.wall_s) for t in ended.values()), begins),
        rollouts=len(ended),
        differences=tuple(_differences(there, settings)),
        on_gpus=str((there.get("machine") or {}).get("gpus", "none")) != "none",
    )


def _nearest(run: Path, settings: Mapping[str, Any]) -> Rates | None:
    """The finished run of the same checkpoint and protocol that differs least; the newest of those."""
    folders = {folder.resolve(): folder for parent in (run.parent, _RUNS) for folder in _folders(parent) if not _same(folder, run)}
    fitting = []
    for folder in sorted(folders.values(), key=_age)[:_NEWEST]:
        with contextlib.suppress(RunError):
            there = load_settings(folder)
            if _kind(there) == _kind(settings):
                fitting.append((len(list(_differences(there, settings))), folder))
    for _, folder in sorted(fitting, key=lambda each: each[0]):
        with contextlib.suppress(RunError):
            found = load_rates(folder, settings)
            if found.samples:
                return found
    return None


def _folders(parent: Path) -> list[Path]:
    with contextlib.suppress(OSError):
        return [folder for folder in parent.iterdir() if _age(folder) < 0 and (folder / "run.yaml").is_file()]
    return []


def _age(folder: Path) -> float:
    """Smaller for newer runs; 0 for what has no rollouts, or too many to be read unasked."""
    with contextlib.suppress(OSError):
        stat = os.stat(folder / "trajectories.jsonl")
        return -stat.st_mtime if 0 < stat.st_size <= _LARGEST else 0.0
    return 0.0


def _same(one: Path, other: Path) -> bool:
    return one.resolve() == other.resolve()


def _samples(rows: Sequence[Row], ended: Mapping[str, Trajectory]) -> dict[Cell, list[Sample]]:
    """By benchmark and resolution: rollouts that no smaller resolution has as well, as far as there are enough of them.

    At a large resolution the small images' rollouts are those of a smaller one: what is left to do there are the large images.
    """
    order = {name: i for i, name in enumerate(RESOLUTIONS)}
    first: dict[str, Cell] = {}
    every: dict[Cell, dict[str, Trajectory]] = defaultdict(dict)
    for row in sorted(rows, key=lambda row: order.get(row.resolution, 0)):
        if row.trajectory in ended:
            cell = (row.benchmark, row.resolution)
            first.setdefault(row.trajectory, cell)
            every[cell][row.trajectory] = ended[row.trajectory]
    found = {}
    for cell, trajectories in every.items():
        fresh = [t for key, t in trajectories.items() if first[key] == cell]
        enough = len({t.question.cluster for t in fresh}) >= FEWEST
        found[cell] = [_sample(t) for t in (fresh if enough else trajectories.values())]
    return found


def _sample(trajectory: Trajectory) -> Sample:
    return Sample(
        cluster=f"{trajectory.question.benchmark}/{trajectory.question.cluster}",
        wall_s=trajectory.wall_s,
        prompt_tokens=sum(turn.prompt_tokens for turn in trajectory.turns),
        output_tokens=trajectory.output_tokens,
        crop_tokens=max(0, trajectory.visual_tokens - trajectory.shown.visual_tokens),
    )


def _kind(settings: Mapping[str, Any]) -> tuple[object, object]:
    return (settings.get("model") or {}).get("fingerprint"), (settings.get("protocol") or {}).get("name")


def _differences(there: Mapping[str, Any], here: Mapping[str, Any]) -> Iterator[str]:
    """What may make the other run's rates other than this one's, in words."""
    (their_model, their_protocol), (model, protocol) = _kind(there), _kind(here)
    if their_model != model:
        yield f"checkpoint: {(there.get('model') or {}).get('pretrained')}"
    if their_protocol != protocol:
        yield f"protocol: {their_protocol}"
    else:
        a, b = there.get("protocol") or {}, here.get("protocol") or {}
        yield from (f"protocol's {key}: {_short(a.get(key))}" for key in sorted({*a, *b}) if a.get(key) != b.get(key))
    a, b = there.get("engine") or {}, here.get("engine") or {}
    yield from (f"engine: {each.get('name')}" for each in [a] if a.get("name") != b.get("name"))
    a, b = a.get("engine_args") or {}, b.get("engine_args") or {}
    yield from (f"engine_args' {key}: {_short(a.get(key))}" for key in sorted({*a, *b}) if a.get(key) != b.get(key))
    a, b = _last(there), _last(here)
    yield from (f"{key}: {_short(a.get(key))}" for key in ("concurrency", "base_url") if a.get(key) != b.get(key))
    a, b = there.get("machine") or {}, here.get("machine") or {}
    yield from (f"{key}: {a.get(key)}" for key in ("gpus", "cpus") if a and a.get(key) != b.get(key))


def _last(settings: Mapping[str, Any]) -> Mapping[str, Any]:
    return ((settings.get("sessions") or [{}])[-1]) or {}


def _short(value: object) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= 40 else f"{text[:39]}…"


def _unix(text: object) -> float | None:
    try:
        return datetime.fromisoformat(str(text)).timestamp()
    except ValueError:
        return None
