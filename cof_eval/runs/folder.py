"""The run folder: one model under one protocol on any number of tasks.

`RunFolder` is the writing side: locked against a second process, refused if it was made with other settings, every
record on disk before it counts. `load_run` is the reading side, for reports and for scoring; it needs no lock.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import yaml
from filelock import FileLock, Timeout
from PIL import Image

from ..agent.protocols import complete
from ..core.distinct import rows_told_apart
from ..core.errors import RunError, flat_message, system_says
from ..core.files import write_whole
from ..core.image_view import ImageView
from ..core.images import encode_png, preview
from ..core.journal import Disk, Journal, read_journal
from ..core.records import Outcome, Question, Row, Stop, Trajectory, Verdict, question_key, stop_verdict, verdict_key
from ..core.settings import KeepImages
from ..judging.identity import describes, set_name
from ..servers import add_facts

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""Ten times as fast where libyaml is there."""
FORMAT = 1
"""Version of the folder's layout."""

IDENTITY = ("format", "model", "protocol", "engine", "view", "seed", "option_order", "repeats")
"""Settings that decide what a trajectory is: a run resumes only where these are equal."""

RESOURCE_ARGS = frozenset(
    {"gpu_memory_utilization", "tensor_parallel_size", "pipeline_parallel_size", "data_parallel_size", "max_num_seqs",
     "max_num_batched_tokens", "kv_cache_memory_bytes", "enforce_eager", "disable_log_stats", "mm_processor_cache_gb", "cpu_offload_gb",
     "distributed_executor_backend", "max_batch", "device", "retries", "timeout_s", "backoff_s", "patience_s"}
)  # fmt: skip
"""Engine arguments that change only how results are computed: they may change between the sessions of one run."""


_BY_FINGERPRINT = frozenset({"pretrained", "lora"})
"""Where a checkpoint lies may change; its fingerprint says which one it is."""


@dataclass(frozen=True, slots=True)
class RunData:
    """All that a run folder holds, read at one moment."""

    path: Path
    settings: dict[str, Any]
    rows: tuple[Row, ...]
    """One for each question of each task and repeat."""
    trajectories: Mapping[str, Trajectory]
    """By key; while a run is unfinished, a row's trajectory may be missing."""
    verdicts: Mapping[str, Verdict]
    """By trajectory key, stops included, of one verdict set: on the question that it was generated for. A row's own is `verdict`'s."""
    expected_rows: int
    questions: Mapping[str, Question] = field(default_factory=dict)
    """By question key."""
    judgements: Mapping[str, Verdict] = field(default_factory=dict)
    """By content, see `records.verdict_key`."""

    def question(self, row: Row) -> Question | None:
        """A row's own question; in runs of earlier versions, that of its trajectory. None while neither is known."""
        ended = self.trajectories.get(row.trajectory)
        return self.questions.get(row.question) or (ended.question if ended else None)

    def verdict(self, row: Row) -> Verdict | None:
        """The verdict on a row's trajectory as an answer to the row's own question; None if there is none yet."""
        question = self.question(row)
        return self.verdict_on(row.trajectory, question) if question else None

    def settled(self, row: Row) -> bool:
        """Whether a row is done: scored, or answered where its benchmark gives no reference."""
        question, ended = self.question(row), self.trajectories.get(row.trajectory)
        if question is None or ended is None or ended.stop is Stop.ERROR:
            return False
        verdict = self.verdict(row)
        return not question.answer or (verdict is not None and verdict.verdict is not Outcome.UNSCORED)

    def verdict_on(self, trajectory: str, question: Question) -> Verdict | None:
        """The verdict on a trajectory as an answer to a question of equal text and image."""
        ended = self.trajectories.get(trajectory)
        if ended is None or not question.answer:
            return None
        if (question.answers, question.options) == (ended.question.answers, ended.question.options):
            return self.verdicts.get(trajectory)
        return _verdict(ended, question, self.judgements, self.settings.get("judge") or {})


class RunFolder:
    """A run folder opened for writing."""

    def __init__(
        self, path: Path, settings: Mapping[str, Any], *, keep_images: KeepImages = KeepImages.CROPS, disk: Disk = os
    ) -> None:
        """Open or create a run folder.

        Args:
            path: the folder.
            settings: everything that run.yaml says; the `IDENTITY` keys must equal those of an existing run.
            keep_images: which images are stored.
            disk: what the journals are written through.

        Raises:
            RunError: if another process uses it, it was made with other settings, or it cannot be written or read.
        """
        self.path = path
        self.keep_images = keep_images
        try:
            path.mkdir(parents=True, exist_ok=True)
            lock = FileLock(path / ".lock")
            lock.acquire(timeout=0)
        except Timeout as error:
            raise RunError(f"{path} is in use by another process; wait for it, or choose another folder with --out") from error
        except OSError as error:
            raise RunError(f"cannot use {path} as a run folder: {system_says(error, 'choose another with --out')}") from error
        with contextlib.ExitStack() as opened:
            opened.callback(lock.release)
            self.settings = _merge_settings(path, settings)
            self._servers = self.settings.get("servers") or {}
            _write_settings(path, self.settings)
            self._questions = opened.enter_context(Journal(path / "questions.jsonl", Question, disk=disk))
            self._rows = opened.enter_context(Journal(path / "rows.jsonl", Row, disk=disk))
            self._trajectories = opened.enter_context(Journal(path / "trajectories.jsonl", Trajectory, disk=disk))
            self._verdicts = opened.enter_context(Journal(path / "verdicts.jsonl", Verdict, disk=disk))
            self.questions = _read_questions(path)
            self.rows, self.trajectories, self.verdicts = _read_journals(path)
            self._opened = opened.pop_all()

    def add_questions(self, questions: Iterable[Question]) -> None:
        """Write what is asked, each question once."""
        new = {key: question for question in questions if (key := question_key(question)) not in self.questions}
        if new:
            self._questions.append(*new.values())
            self.questions.update(new)

    def add_rows(self, rows: Iterable[Row]) -> None:
        """Write which trajectories answer which questions, each row once; one that changed replaces the earlier."""
        new = {slot: row for slot, row in _by_slot(rows).items() if self.rows.get(slot) != row}
        if new:
            self._rows.append(*new.values())
            self.rows.update(new)

    def add_trajectory(self, trajectory: Trajectory) -> None:
        """Write a trajectory; a later one with the same key replaces an earlier one that failed."""
        self._trajectories.append(trajectory)
        self.trajectories[trajectory.key] = trajectory

    def add_verdict(self, *verdicts: Verdict) -> None:
        """Write verdicts, all at once."""
        self._verdicts.append(*verdicts)
        self.verdicts.update((verdict.key, verdict) for verdict in verdicts)

    def use_verdicts(self, judge: Mapping[str, Any]) -> None:
        """Put one of the run's verdict sets in use; the others are kept."""
        others = [one for one in verdict_sets(self.settings) if one and one != judge]
        self.settings = {**self.settings, "judge": dict(judge), "judges": [*others, dict(judge)]}
        _write_settings(self.path, self.settings)

    def record_servers(self, told: Mapping[str, Mapping[str, Any]]) -> None:
        """Record what this session's servers did, by whose they are; what earlier sessions recorded is kept, counts are added."""
        servers = {who: add_facts(self._servers.get(who) or {}, facts) for who, facts in told.items()}
        settings = {**self.settings, "servers": {**self._servers, **servers}}
        if settings != self.settings:
            self.settings = settings
            _write_settings(self.path, settings)

    def finished(self, key: str) -> Trajectory | None:
        """The trajectory with this key, unless it still has to be generated (none yet, or it failed)."""
        trajectory = self.trajectories.get(key)
        return None if trajectory is None or trajectory.stop is Stop.ERROR else trajectory

    def keep_image(self, name: str, image: Image.Image) -> None:
        """Store an image by its hash, as `keep_images` says: a preview, every pixel, or nothing."""
        if self.keep_images is KeepImages.NONE:
            return
        exact = self.keep_images is KeepImages.ALL
        path = image_path(self.path, name, exact=exact)
        if not path.exists():
            _write_file(path, encode_png(image) if exact else preview(image), sync=False)

    def close(self) -> None:
        """Close the journals, then let others use the folder."""
        self._opened.close()

    def __enter__(self) -> RunFolder:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def image_path(run: Path, name: str, *, exact: bool) -> Path:
    """Where an image with this hash is stored."""
    return run / "images" / name[:2] / f"{name}.{'png' if exact else 'jpg'}"


def kept_image(run: Path, name: str) -> bytes | None:
    """An image of a run by its hash, encoded: every pixel if it was kept so, else the preview; None if neither was."""
    for exact in (True, False):
        with contextlib.suppress(OSError):
            return image_path(run, name, exact=exact).read_bytes()
    return None


def load_run(path: Path, judge: str | None = None) -> RunData:
    """Read a run folder, finished or not.

    Args:
        path: the folder.
        judge: which of its verdict sets: `CARD` or `CARD:MODEL`, the latest that fits; None for the one in use.
            `settings["judge"]` of what is returned says which it is.

    Raises:
        RunError: if it is no run folder, a file in it is damaged, or it was not judged so.
    """
    settings = load_settings(path)
    rows, trajectories, by_content = _read_journals(path)
    settings["judge"] = used = _verdict_set(path, settings, judge)
    found = {key: _verdict(each, each.question, by_content, used) for key, each in trajectories.items()}
    expected = sum((settings.get("tasks") or {}).values())
    told, renamed = rows_told_apart(list(rows.values()))
    if renamed:
        note = f"{renamed:,} rows have the id of another row in their data; they are counted apart, as #2, #3 and so on"
        settings["notes"] = [*(settings.get("notes") or []), note]
    return RunData(
        path=path,
        settings=settings,
        rows=tuple(told),
        trajectories=trajectories,
        verdicts={key: verdict for key, verdict in found.items() if verdict is not None},
        expected_rows=max(expected, len(rows)),
        questions=_read_questions(path),
        judgements=by_content,
    )


def load_settings(path: Path) -> dict[str, Any]:
    """run.yaml of a folder.

    Raises:
        RunError: if there is none or it is damaged.
    """
    file = path / "run.yaml"
    if not file.is_file():
        raise RunError(f"{path} is no run folder: it has no run.yaml; pass the folder that `cof-eval run --out` wrote")
    try:
        settings = yaml.load(file.read_bytes(), Loader=_LOADER)
    except (yaml.YAMLError, OSError) as error:
        raise RunError(f"{file} is damaged: {flat_message(error)}; restore it, or start a new run") from error
    if not isinstance(settings, dict) or settings.get("format") != FORMAT:
        found = settings.get("format") if isinstance(settings, dict) else None
        raise RunError(f"{file} has format {found!r}; this version of cof-eval reads format {FORMAT}")
    settings.setdefault("view", ImageView.FULL.value)  # runs of earlier versions had no other
    if isinstance(settings.get("protocol"), dict):
        settings["protocol"] = complete(settings["protocol"])
    return settings


_Slot = tuple[str, int, int]
"""The slot of a row: task, document and repeat."""


def _by_slot(rows: Iterable[Row]) -> dict[_Slot, Row]:
    """Rows by slot. A later row replaces an earlier one: a repaired image file has another trajectory."""
    return {(row.task, row.doc_id, row.repeat): row for row in rows}


def _read_journals(path: Path) -> tuple[dict[_Slot, Row], dict[str, Trajectory], dict[str, Verdict]]:
    """Rows, trajectories by key, verdicts by key; later records replace earlier ones."""
    rows = _by_slot(read_journal(path / "rows.jsonl", Row))
    trajectories = {t.key: t for t in read_journal(path / "trajectories.jsonl", Trajectory)}
    return rows, trajectories, {v.key: v for v in read_journal(path / "verdicts.jsonl", Verdict)}


def _read_questions(path: Path) -> dict[str, Question]:
    return {question_key(question): question for question in read_journal(path / "questions.jsonl", Question)}


def verdict_sets(settings: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The card and judge model of every verdict set of a run, in the order in which they were last used."""
    used = settings.get("judge") or {}
    return [*(one for one in settings.get("judges") or [] if one != used), used]


def _verdict_set(path: Path, settings: Mapping[str, Any], judge: str | None) -> dict[str, Any]:
    sets = verdict_sets(settings)
    if judge is None:
        return sets[-1]
    found = [one for one in sets if describes(one, judge)]
    if not found:
        known = ", ".join(dict.fromkeys(set_name(one) for one in sets if one))
        raise RunError(f"{path} has no verdicts of judge {judge!r}; it has {known or 'none'}. Make them with `cof-eval judge`")
    return found[-1]


def _verdict(
    trajectory: Trajectory, question: Question, judgements: Mapping[str, Verdict], judge: Mapping[str, Any]
) -> Verdict | None:
    """The verdict on a trajectory as an answer to a question, under this card and judge model."""
    card, model = str(judge.get("card", "")), str(judge.get("model", ""))
    shown = trajectory.shown.hash if judge.get("sees_image") else ""
    keys = (verdict_key(card, by, question, trajectory.answer, shown) for by in dict.fromkeys((model, "")))
    judged = (judgements[key] for key in keys if key in judgements)  # without the judge, the rules' verdict
    return stop_verdict(trajectory, card) or next(judged, None)


def _merge_settings(path: Path, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings to continue with: the new ones, after comparing them with an existing run's."""
    new = yaml.safe_load(
        yaml.safe_dump({"format": FORMAT, "view": ImageView.FULL.value, **settings}, sort_keys=False)
    )  # plain types, as read back from disk
    if not (path / "run.yaml").exists():
        others = [p.name for p in path.iterdir() if not (p.name.startswith(".") and p.name.endswith((".lock", ".tmp")))]
        if others:
            raise RunError(f"{path} is not empty ({others[0]}, …) and no run folder; choose another with --out")
        return dict(new)
    old = load_settings(path)
    differences = [line for name in IDENTITY for line in _differences(name, old.get(name), new.get(name))]
    data, known = new.get("data") or {}, old.get("data") or {}
    differences += [
        line for name in sorted({*data} & {*known}) for line in _differences(f"data.{name}", known[name], data[name])
    ]
    differences += _other_weights(old, new)
    if differences:
        raise RunError(
            f"{path} was made with other settings: {'; '.join(differences)}. Choose another folder with --out, or use the same settings"
        )
    _check_judge(path, old.get("judge") or {}, new.get("judge") or {})
    return {**new, **_kept(old, new), "tasks": _most(old.get("tasks") or {}, new.get("tasks") or {})}


def _check_judge(path: Path, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Refuse to go from a judge's verdicts to the rules alone because the card or its rules have another version.

    Raises:
        RunError: if rows that the judge has scored would become unscored so.
    """
    changed = before.get("card") != now.get("card")
    same_card = str(before.get("card")).partition("@")[0] == str(now.get("card")).partition("@")[0]
    if changed and same_card and before.get("model") and not now.get("model"):
        raise RunError(
            f"{path} was judged by {set_name(before)} under another version of the card or its rules ({before['card']}, now {now['card']}); "
            f"without a judge, what it scored would become unscored. Name its judge with --judge-url, choose rules alone with "
            "--judge strict, or choose another folder with --out"
        )


def _weights(settings: Mapping[str, Any]) -> list[str]:
    """The models behind the served name, as the servers told them; empty if they did not."""
    return list(((settings.get("servers") or {}).get("model") or {}).get("weights") or [])


def _other_weights(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    """How the model behind the served name differs from that of earlier sessions, where both were told."""
    before, now = _weights(old), _weights(new)
    if before and set(now) - set(before):
        yield f"the server's weights were {', '.join(before)}, now {', '.join(now)} (`root` of its list of models)"


def _kept(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Settings that a later session keeps: the first session's provenance, every caveat, a judge's verdicts."""
    notes = [*(old.get("notes") or []), *(new.get("notes") or [])]
    if old.get("versions") != new.get("versions"):
        notes.append("sessions ran with different versions, see `sessions` in run.yaml")
    if (new.get("engine") or {}).get("served") and not (_weights(old) and _weights(new)):
        notes.append("sessions may have used different weights under one name: the server tells only the name")
    before, now = old.get("judge") or {}, new.get("judge") or {}
    judge = before if before.get("card") == now.get("card") and not now.get("model") else now
    return {
        **{name: old[name] for name in ("versions", "machine", "commit") if name in old},
        "judge": judge,
        **({"prices": prices} if (prices := {**(old.get("prices") or {}), **(new.get("prices") or {})}) else {}),
        "judges": [one for one in verdict_sets({**old, "judge": before}) if one and one != judge] + [judge],
        "notes": list(dict.fromkeys(notes)),
        **({"servers": old["servers"]} if old.get("servers") else {}),
        "data": {**(old.get("data") or {}), **(new.get("data") or {})},
        "sessions": [*(old.get("sessions") or []), *(new.get("sessions") or [])],
    }


def _most(old: Mapping[str, int], new: Mapping[str, int]) -> dict[str, int]:
    """Rows of each task over all sessions: a later session with a smaller `--limit` takes none away."""
    return {task: max(old.get(task, 0), new.get(task, 0)) for task in {**old, **new}}


def _differences(name: str, old: Any, new: Any) -> Iterator[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted({*old, *new} - RESOURCE_ARGS - _BY_FINGERPRINT):
            yield from _differences(f"{name}.{key}", old.get(key), new.get(key))
    elif old != new:
        yield f"{name} was {_short(old)}, now {_short(new)}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"


class _Plain(yaml.SafeDumper):
    """Writes equal values out each time, without YAML's references."""

    def ignore_aliases(self, data: Any) -> bool:
        """Never refer."""
        return True


def _write_settings(path: Path, settings: Mapping[str, Any]) -> None:
    _write_file(
        path / "run.yaml", yaml.dump(dict(settings), Dumper=_Plain, sort_keys=False, allow_unicode=True, width=100).encode()
    )


def _write_file(path: Path, data: bytes, *, sync: bool = True) -> None:
    try:
        write_whole(path, data, sync=sync)
    except OSError as error:
        raise RunError(f"cannot write {path}: {system_says(error, 'free space and run the same command again')}") from error
