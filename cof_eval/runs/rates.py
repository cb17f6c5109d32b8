"""Rates of finished rollouts: read from a run folder, the run's own or another of the same kind, and what differs there."""

from __future__ import annotations

import contextlib
import os
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from ..core.errors import RunError
from ..core.journal import read_journal
from ..core.records import Row, Stop, Trajectory
from ..core.resolution import resolution_rank
from .estimate import FEWEST, Cell, Pace, Sample, pace
from .folder import load_settings
from .prices import use_of

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
    """Whether it is the run that is resumed."""
    samples: Mapping[Cell, Sequence[Sample]]
    pace: Pace | None
    rollouts: int
    differences: tuple[str, ...]
    """The differences between that run and the one to come."""
    on_gpus: bool
    """Whether it ran on a machine with GPUs."""


@dataclass(frozen=True, slots=True)
class Records:
    """What a run folder holds of its rollouts."""

    settings: Mapping[str, Any]
    rows: Sequence[Row]
    trajectories: Mapping[str, Trajectory]
    """By key."""


def load_records(run: Path) -> Records:
    """A run folder's rollouts; none if there is no such folder.

    Raises:
        RunError: if it is damaged.
    """
    if not (run / "run.yaml").is_file():
        return Records({}, (), {})
    trajectories = {t.key: t for t in read_journal(run / "trajectories.jsonl", Trajectory)}
    return Records(load_settings(run), tuple(read_journal(run / "rows.jsonl", Row)), trajectories)


def find_rates(run: Path, pilot: Records, settings: Mapping[str, Any], named: Path | None = None) -> Rates | None:
    """The rates to estimate with.

    Args:
        run: the folder of the run to come.
        pilot: what it holds; this comes first.
        settings: of the run to come, as in run.yaml.
        named: the run folder that the user named.

    Raises:
        RunError: if the named folder is no run folder, or holds no finished rollout.
    """
    if named is not None:
        if not (named / "run.yaml").is_file():
            raise RunError(f"{named} is no run folder: it has no run.yaml; pass the folder that `cof-eval run --out` wrote")
        found = rates(named, load_records(named), settings, own=_same(named, run))
        if not found.samples:
            raise RunError(
                f"{named} holds no finished rollout to take rates from; name a finished run, or make a pilot with --limit 10"
            )
        return found
    own = rates(run, pilot, settings, own=True)
    return own if own.samples else _nearest(run, settings)


def rates(run: Path, records: Records, settings: Mapping[str, Any], *, own: bool = False) -> Rates:
    """The rates of a run, finished or not; `settings` are those of the run to come."""
    there = records.settings
    ended = {key: t for key, t in records.trajectories.items() if t.stop is not Stop.ERROR and t.turns}
    begins = [began for session in _sessions(there) if (began := _unix(session.get("started"))) is not None]
    return Rates(
        run=run,
        own=own,
        samples=_samples(records.rows, ended),
        pace=pace(((t.ended, t.wall_s) for t in ended.values()), begins),
        rollouts=len(ended),
        differences=tuple(_differences(there, settings)) if ended else (),
        on_gpus=str(_part(there, "machine").get("gpus", "none")) != "none",
    )


def _nearest(run: Path, settings: Mapping[str, Any]) -> Rates | None:
    """The finished run of the same checkpoint and protocol that differs least; the newest of those."""
    folders = {
        folder.resolve(): folder for parent in (run.parent, _RUNS) for folder in _folders(parent) if not _same(folder, run)
    }
    fitting = []
    for folder in sorted(folders.values(), key=_age)[:_NEWEST]:
        with contextlib.suppress(RunError):
            there = load_settings(folder)
            if _kind(there) == _kind(settings):
                fitting.append((len(list(_differences(there, settings))), folder))
    for _, folder in sorted(fitting, key=lambda each: each[0]):
        with contextlib.suppress(RunError):
            found = rates(folder, load_records(folder), settings)
            if found.samples:
                return found
    return None


def _folders(parent: Path) -> list[Path]:
    with contextlib.suppress(OSError):
        return [folder for folder in parent.iterdir() if _age(folder) < 0 and (folder / "run.yaml").is_file()]
    return []


def _age(folder: Path) -> float:
    """Smaller for newer runs; 0 for a run without rollouts, or with too many to read unasked."""
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
    first: dict[str, Cell] = {}
    every: dict[Cell, dict[str, Trajectory]] = defaultdict(dict)
    for row in sorted(rows, key=lambda row: resolution_rank(row.resolution)):
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
        crop_tokens=max(0, (trajectory.visual_tokens or 0) - trajectory.shown.visual_tokens),
        use=use_of(trajectory),
    )


def _kind(settings: Mapping[str, Any]) -> tuple[object, object, object]:
    return _part(settings, "model").get("fingerprint"), _part(settings, "protocol").get("name"), settings.get("view", "full")


def _differences(there: Mapping[str, Any], here: Mapping[str, Any]) -> Iterator[str]:
    """The reasons why the other run's rates may differ from this one's, in words."""
    (their_model, their_protocol, their_view), (model, protocol, view) = _kind(there), _kind(here)
    if their_model != model:
        yield f"checkpoint: {_short(_part(there, 'model').get('pretrained'))}"
    if their_protocol != protocol:
        yield f"protocol: {_short(their_protocol)}"
    else:
        yield from _changed("protocol's ", _part(there, "protocol"), _part(here, "protocol"))
    if their_view != view:
        yield f"view: {_short(their_view)}"
    theirs, ours = _part(there, "engine"), _part(here, "engine")
    yield from _changed("engine's ", theirs, ours, ("name",))
    yield from _changed("engine's ", _part(theirs, "engine_args"), _part(ours, "engine_args"))
    yield from _changed("", _last_session(there), _last_session(here), ("concurrency", "base_url"))
    yield from _changed("", _part(there, "machine"), _part(here, "machine"), ("gpus", "cpus"))


def _changed(what: str, there: Mapping[str, Any], here: Mapping[str, Any], names: Collection[str] = ()) -> Iterator[str]:
    for name in names or sorted({*there, *here}, key=str):
        if there.get(name) != here.get(name):
            yield f"{what}{name}: {_short(there.get(name))}"


def _part(settings: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A part of run.yaml, which people edit: nothing where it is no mapping."""
    part = settings.get(name)
    return part if isinstance(part, dict) else {}


def _last_session(settings: Mapping[str, Any]) -> Mapping[str, Any]:
    return (_sessions(settings) or [{}])[-1]


def _sessions(settings: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    sessions = settings.get("sessions")
    return [each for each in sessions if isinstance(each, dict)] if isinstance(sessions, list) else []


def _short(value: object) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= 40 else f"{text[:39]}…"


def _unix(text: object) -> float | None:
    try:
        return datetime.fromisoformat(str(text)).timestamp()
    except ValueError:
        return None
