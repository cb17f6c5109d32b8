"""The list's data: a compact column per fact, in chunks, and the questions' texts once for all resolutions and runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ...core.frames import box_units
from ...core.records import Question, Row, Trajectory, Verdict
from ...core.resolution import RESOLUTIONS, in_sweep_order
from .chunks import ChunkedList, ChunkFolder
from .details import Pictures, details

if TYPE_CHECKING:
    from ...runs.folder import RunData

ROWS_PER_CHUNK = 10_000
QUESTION_CHUNK_BYTES = 2 * 1024 * 1024
ANSWER_CHARS = 500
"""As much of an answer as the list holds and searches; the trajectory's page has it whole."""
QUESTION_CHARS = 2000
"""Likewise of a question."""
PENDING = "pending"
"""The verdict of a row that has no trajectory yet."""

COLUMNS = (
    *("task", "doc", "repeat", "question", "resolution", "category", "verdict", "stop", "by"),
    *("zooms", "errors", "turns", "output_tokens", "visual_tokens", "wall_ms", "record"),
)
"""Columns of numbers; `answer` is a column of texts. Names are codes of the vocabulary; `record` is -1 without a trajectory."""


@dataclass(slots=True)
class Vocabulary:
    """Names as numbers, in the order of their first use."""

    names: list[str] = field(default_factory=list)
    _codes: dict[str, int] = field(default_factory=dict)

    def code(self, name: str) -> int:
        """The number of a name."""
        found = self._codes.get(name)
        if found is None:
            found = self._codes[name] = len(self.names)
            self.names.append(name)
        return found


@dataclass(slots=True)
class RunIndex:
    """What the page knows of one run before it loads a record."""

    first: int
    """Position of its first row among the rows of all runs."""
    rows: int
    records: list[int]
    """Position of the first record of each of its record chunks."""


class Index:
    """Writes rows, questions and records of several runs; `manifest` then says where they are."""

    def __init__(self, folder: ChunkFolder, runs: Sequence[RunData]) -> None:
        self._folder = folder
        self._known = {(t.question.benchmark, t.question.id): t.question for run in runs for t in run.trajectories.values()}
        self._questions = ChunkedList(folder, "questions", max_bytes=QUESTION_CHUNK_BYTES)
        self._numbers: dict[tuple[str, str], int] = {}
        self._vocabulary = {
            name: Vocabulary() for name in ("task", "benchmark", "resolution", "category", "verdict", "stop", "by")
        }
        for name in in_sweep_order({*RESOLUTIONS, *(row.resolution for run in runs for row in run.rows)}):
            self._vocabulary["resolution"].code(name)
        self._runs: list[RunIndex] = []
        self._chunks: list[int] = []
        with self._questions:
            for run in runs:
                self._write_run(run)

    def manifest(self) -> dict[str, Any]:
        """Vocabularies, and where every chunk begins."""
        return {
            "vocabulary": {name: vocabulary.names for name, vocabulary in self._vocabulary.items()},
            "rows": sum(run.rows for run in self._runs),
            "chunks": self._chunks,
            "questions": self._questions.starts,
            "runs": self._runs,
        }

    def _write_run(self, run: RunData) -> None:
        first = sum(before.rows for before in self._runs)
        positions: dict[tuple[str, str], int] = {}
        pictures, units = Pictures(run.path / "images"), box_units(run.settings)
        with ChunkedList(self._folder, f"records-{len(self._runs)}") as records:
            for part in _parts(run.rows, ROWS_PER_CHUNK):
                for row in part:
                    trajectory, place = run.trajectories.get(row.trajectory), _place(run, row)
                    if trajectory is not None and place not in positions:
                        own = replace(trajectory, question=run.question(row) or trajectory.question)
                        positions[place] = records.append(details(own, run.verdict(row), pictures, units))
                self._write_rows(run, part, positions)
        self._runs.append(RunIndex(first, len(run.rows), records.starts))

    def _write_rows(self, run: RunData, rows: Sequence[Row], positions: dict[tuple[str, str], int]) -> None:
        facts = [self._facts(run, row, positions) for row in rows]
        columns = dict(zip(COLUMNS, zip(*facts, strict=True), strict=True))
        answers = [
            _cut(run.trajectories[row.trajectory].answer, ANSWER_CHARS) if row.trajectory in run.trajectories else ""
            for row in rows
        ]
        self._folder.write(f"rows-{len(self._chunks)}", {**columns, "answer": answers})
        self._chunks.append(len(rows))

    def _facts(self, run: RunData, row: Row, positions: dict[tuple[str, str], int]) -> tuple[int, ...]:
        """The numbers of one row, in the order of `COLUMNS`."""
        code = {name: vocabulary.code for name, vocabulary in self._vocabulary.items()}
        known = run.question(row) or self._known.get((row.benchmark, row.question_id))
        question = self._question(row, known)
        place = (code["task"](row.task), row.doc_id, row.repeat, question, code["resolution"](row.resolution))
        category = code["category"](known.category if known else "")
        trajectory = run.trajectories.get(row.trajectory)
        if trajectory is None:
            return (*place, category, code["verdict"](PENDING), code["stop"](PENDING), code["by"](""), *([0] * 6), -1)
        verdict, by = _verdict(run.verdict(row), known)
        said = (code["verdict"](verdict), code["stop"](trajectory.stop.value), code["by"](by))
        return (*place, category, *said, *_counts(trajectory), positions[_place(run, row)])

    def _question(self, row: Row, known: Question | None) -> int:
        key = (row.benchmark, row.question_id)
        if key not in self._numbers:
            text, answer = (_cut(known.text, QUESTION_CHARS), _cut(known.answer, ANSWER_CHARS)) if known else ("", "")
            benchmark = self._vocabulary["benchmark"].code(row.benchmark)
            self._numbers[key] = self._questions.append((row.question_id, benchmark, text, answer))
        return self._numbers[key]


def _parts(rows: Sequence[Row], size: int) -> Iterator[Sequence[Row]]:
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


def _place(run: RunData, row: Row) -> tuple[str, str]:
    """What one record is about: a trajectory, and a row's own question where it is another than the trajectory's."""
    trajectory = run.trajectories.get(row.trajectory)
    same = trajectory is None or run.question(row) == trajectory.question
    return row.trajectory, "" if same else row.question


def _verdict(verdict: Verdict | None, question: Question | None) -> tuple[str, str]:
    if verdict:
        return verdict.verdict.value, verdict.by
    return "unscored", "no standard answer" if question and not question.answer else "not judged yet"


UNKNOWN = -1
"""Of visual tokens that nobody told: the columns are whole numbers."""


def _counts(trajectory: Trajectory) -> tuple[int, ...]:
    return (
        trajectory.zooms,
        trajectory.tool_errors,
        len(trajectory.turns),
        trajectory.output_tokens,
        UNKNOWN if (visual := trajectory.visual_tokens) is None else visual,
        round(trajectory.wall_s * 1000),
    )


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
