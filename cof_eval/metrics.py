"""Metrics of benchmarks beyond accuracy: what one row came to, and figures of many rows.

Each benchmark names its own in its module; they are columns in lmms-eval's table, and `measured` gives them for a run
folder. A figure without a row that it could be taken from is NaN.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from .records import Outcome, Question, Stop, Trajectory, Verdict


@dataclass(frozen=True, slots=True)
class Answered:
    """One row as metrics see it."""

    question: Question
    answer: str
    """What the model answered; empty unless it did."""
    outcome: Outcome

    def __str__(self) -> str:
        """How lmms-eval's samples show it."""
        return self.outcome.value


@dataclass(frozen=True, slots=True)
class Metric:
    """A figure of a benchmark's rows."""

    name: str
    of: Callable[[Sequence[Answered]], float]
    higher_is_better: bool = True


def answered(question: Question, trajectory: Trajectory | None, verdict: Verdict | None) -> Answered:
    """The row of a question, whatever became of it."""
    said = trajectory.answer if trajectory and trajectory.stop is Stop.ANSWERED else ""
    return Answered(question, said, verdict.verdict if verdict else Outcome.UNSCORED)


def accuracy(rows: Sequence[Answered]) -> float:
    """Share of right rows; unscored ones count as not right."""
    return _mean([float(row.outcome is Outcome.CORRECT) for row in rows])


def part(name: str, category: str) -> Metric:
    """Accuracy of the rows whose category is this one, or begins with it and a slash."""

    def of(rows: Sequence[Answered]) -> float:
        return accuracy([row for row in rows if f"{row.question.category}/".startswith(f"{category}/")])

    return Metric(name, of)


ANLS_THRESHOLD = 0.5
"""Less similar answers count as wrong, not as badly spelled."""


def row_anls(row: Answered) -> float:
    """Similarity of the answer to the accepted answer nearest to it, 0 below the threshold.

    1 - edit distance / length of the longer text, case and runs of blanks aside (Biten et al. 2019, arXiv 1907.00490; the
    threshold itself is kept, as in the challenge's evaluation script).
    """
    from rapidfuzz.distance import Levenshtein

    said = _plain(row.answer)
    similar = (Levenshtein.normalized_similarity(_plain(known), said) for known in row.question.answers)
    best = max(similar, default=0.0) if said else 0.0
    return best if best >= ANLS_THRESHOLD else 0.0


def _plain(text: str) -> str:
    return " ".join(text.lower().split())


ANLS = Metric("anls", lambda rows: _mean([row_anls(row) for row in rows]))
"""Average normalized Levenshtein similarity; it needs no judge."""


def strict(size: int) -> Metric:
    """Share of questions that are right in all `size` rows which ask them with differently ordered options.

    A question of which some rows are missing, as with `--limit`, is not counted.
    """

    def of(rows: Sequence[Answered]) -> float:
        groups: defaultdict[tuple[str, str], list[Answered]] = defaultdict(list)
        for row in rows:
            groups[row.question.cluster, _stem(row.question)].append(row)
        whole = [group for group in groups.values() if len(group) == size]
        return _mean([float(all(row.outcome is Outcome.CORRECT for row in group)) for group in whole])

    return Metric(f"acc_{size}_of_{size}", of)


def _stem(question: Question) -> str:
    """A question's text before its options."""
    return question.text.partition("\n(A)")[0].strip()


def _yes_or_no(rows: Sequence[Answered]) -> Iterator[tuple[str, str]]:
    """(standard answer, what was said: yes, no or nothing) of the rows for which that is known."""
    other = {"yes": "no", "no": "yes"}
    for row in rows:
        if row.outcome is Outcome.UNSCORED:
            continue
        standard = row.question.answer
        said = standard if row.outcome is Outcome.CORRECT else other[standard]
        yield standard, said if row.answer else ""


def _of_yes(rows: Sequence[Answered], index: int) -> float:
    """Precision, recall or F1 of "yes"."""
    from sklearn.metrics import precision_recall_fscore_support

    pairs = list(_yes_or_no(rows))
    if not pairs:
        return math.nan
    standard, said = zip(*pairs, strict=True)
    return float(precision_recall_fscore_support(standard, said, labels=["yes"], zero_division=0.0)[index][0])


def _yes_ratio(rows: Sequence[Answered]) -> float:
    return _mean([float(said == "yes") for _, said in _yes_or_no(rows)])


YES_NO = (
    Metric("precision", lambda rows: _of_yes(rows, 0)),
    Metric("recall", lambda rows: _of_yes(rows, 1)),
    Metric("f1", lambda rows: _of_yes(rows, 2)),
    Metric("yes_ratio", _yes_ratio),
)
"""Of questions to be answered yes or no, with "yes" as the positive class; what was said, not what is right, makes the ratio.

A row without an answer says neither. Unscored rows are left out: what they say is not known.
"""


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan
