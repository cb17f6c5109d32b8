"""Questions of several runs told apart: two data sets may give one id to different questions.

Runs are compared by ids. So the later run's question gets an id of its own, and its run a note.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace

from ..core.option_order import find_layout
from ..core.records import Question
from .folder import RunData


def runs_told_apart(runs: Sequence[RunData], labels: Sequence[str]) -> list[RunData]:
    """The runs; a question whose id is that of another one in an earlier run gets an id of its own, and its run a note."""
    if len(runs) < 2:
        return list(runs)
    taken = {(row.benchmark, row.question_id) for run in runs for row in run.rows}
    known = defaultdict[tuple[str, str], list[tuple[str, _Identity]]](list)
    return [_told_apart(run, label, known, taken) for run, label in zip(runs, labels, strict=True)]


@dataclass(frozen=True, slots=True)
class _Identity:
    """What makes a question this one, whatever order its options are shown in."""

    asked: Hashable
    """Its text, options and reference."""
    image: str
    """Hash of the native image's file; empty if it is not known."""
    view: str
    cluster: str
    label: str
    """Of the run."""

    def same(self, other: _Identity) -> bool:
        """Whether both are one question. Images are compared by content where both show them alike, else by name."""
        if self.image and other.image and self.view == other.view:
            return self.asked == other.asked and self.image == other.image
        return self.asked == other.asked and (self.cluster == other.cluster or self.view == other.view)


def _told_apart(
    run: RunData, label: str, known: dict[tuple[str, str], list[tuple[str, _Identity]]], taken: set[tuple[str, str]]
) -> RunData:
    names: dict[tuple[str, str], str] = {}
    others = Counter[str]()
    for key, identity in _identities(run, label).items():
        names[key], others_label = _name(key, identity, known[key], taken)
        others[others_label] += 1
    changed = {key: name for key, name in names.items() if name != key[1]}
    if not changed:
        return run
    rows = (replace(row, question_id=changed.get((row.benchmark, row.question_id), row.question_id)) for row in run.rows)
    which = " and ".join(other for other in others if other)
    note = f"{len(changed):,} questions have the id of another question in {which}: they are not compared with it"
    return replace(run, rows=tuple(rows), settings={**run.settings, "notes": [*(run.settings.get("notes") or []), note]})


def _name(
    key: tuple[str, str], identity: _Identity, known: list[tuple[str, _Identity]], taken: set[tuple[str, str]]
) -> tuple[str, str]:
    """(the id of a question, the run that has another question under its old id)."""
    benchmark, old = key
    found = next((name for name, other in known if other.same(identity)), None)
    if found is None:
        found, number = old, len(known) + 1
        while known and (benchmark, found) in taken:
            found, number = f"{old}#{number}", number + 1
        taken.add((benchmark, found))
        known.append((found, identity))
    return found, known[0][1].label if found != old else ""


def _identities(run: RunData, label: str) -> dict[tuple[str, str], _Identity]:
    """By benchmark and id, of the questions that are known; from a row whose image is known, if there is one."""
    found: dict[tuple[str, str], _Identity] = {}
    view = str(run.settings.get("view", ""))
    for row in run.rows:
        key = (row.benchmark, row.question_id)
        if key in found and found[key].image:
            continue
        question, ended = run.question(row), run.trajectories.get(row.trajectory)
        image = ended.image.hash if ended else ""
        if question is not None and (image or key not in found):
            found[key] = _Identity(_asked(question), image, view, question.cluster, label)
    return found


def _asked(question: Question) -> Hashable:
    layout = find_layout(question.text, question.options) if question.options else None
    text = layout.stem if layout else question.text
    return text, tuple(sorted(question.options)), question.answer_text, question.also
